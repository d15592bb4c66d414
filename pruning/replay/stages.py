"""A model as a row of stages, one for each layer, and one pass through them that may leave some out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MethodType
from typing import Any

from torch import Tensor, nn

from pruning.linear import fan
from pruning.replay.products import product
from pruning.replay.tape import Tape

NAMES = ("hidden_states", "x", "hidden")  # what layers call their first input


@dataclass(frozen=True)
class Stage:
    """One layer in the order of execution.

    Attributes:
        path: Of the layer.
        extras: How many ``None`` follow the hidden states in the tuple that it gives; ``None`` where it gives a tensor.
        site: Index of its attention site, where it has exactly one, called once.
        projection: Path of that site's projection.
        feeders: Paths of the linear layers that feed this site and nothing else.
    """

    number: int
    path: str
    extras: int | None
    site: int | None = None
    projection: str = ""
    feeders: tuple[str, ...] = ()

    def wrapped(self, hidden: Tensor) -> Any:
        """Hidden states in the form in which the layer gives them."""
        return hidden if self.extras is None else (hidden, *[None] * self.extras)


@dataclass(frozen=True, eq=False)
class Narrowing:
    """How the last stage can be run for the first position alone.

    Attributes:
        readers: Its key and value layers, which need all positions.
        norm: The normalisation between the layer's input and these, where there is one.
    """

    readers: tuple[nn.Module, ...]
    norm: nn.Module | None = None

    def source(self, whole: Tensor) -> Tensor:
        """What the readers read, from the layer's input."""
        return whole if self.norm is None else self.norm(whole)


@dataclass(frozen=True, eq=False)
class Slice:
    """A linear layer without the rows that nobody needs: zeros stand in their places.

    Attributes:
        runs: ``(first, past the last)`` of each run of rows that stay.
        weight: ``(kept, in)``.
        width: How many there are in all.
    """

    runs: tuple[tuple[int, int], ...]
    weight: Tensor
    bias: Tensor | None
    width: int

    def __call__(self, x: Tensor) -> Tensor:
        kept, whole, past = product(x, self.weight, self.bias), x.new_zeros(*x.shape[:-1], self.width), 0
        for first, last in self.runs:
            whole[..., first:last] = kept[..., past : past + last - first]
            past += last - first
        return whole


class Pass:
    """One forward pass.

    Args:
        tape: Where states are taken from, and noted.
        start: Number of the first stage that is run; the outputs of those before come from the tape.
        resumes: Begin that stage at its attention projection, with the input that the tape has.
        notes: Whether states are noted.
        narrowing: Run the last stage for the first position alone.
        slices: What runs in the place of some layers that feed attention.
    """

    def __init__(
        self,
        last: int,
        tape: Tape | None = None,
        start: int = 0,
        *,
        resumes: bool = False,
        notes: bool = True,
        narrowing: Narrowing | None = None,
        slices: Mapping[nn.Module, Slice] | None = None,
    ) -> None:
        self.last, self.tape, self.start = last, tape or Tape(), start
        self.resumes, self.notes, self.narrowing = resumes, notes and tape is not None, narrowing
        self.slices = slices or {}
        self.now: int | None = None  # the stage that is being run
        self.whole: Tensor | None = None  # the input of the last stage before it was narrowed

    def layer(self, stage: Stage, plain: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A layer's forward."""
        if stage.number < self.start:
            return stage.wrapped(self.tape.outputs[stage.number])
        if self.narrowing and stage.number == self.last:
            args, kwargs = self._narrowed(args, kwargs)
        self.now = stage.number
        try:
            output = plain(*args, **kwargs)
        finally:
            self.now = None
        if self.notes and stage.number < self.last:
            self.tape.outputs[stage.number] = output if stage.extras is None else output[0]
        return output

    def _narrowed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The layer's arguments with the first position of its hidden states alone."""
        name = next((name for name in kwargs if name in NAMES), "")
        self.whole = args[0] if args else kwargs[name]
        first = self.whole[:, :1]
        return ((first, *args[1:]), kwargs) if args else (args, {**kwargs, name: first})

    def before_projection(self, stage: Stage, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """What reaches a projection, before its gates."""
        if self.resumes and stage.number == self.start:
            return (self.tape.inputs[stage.number], *args[1:])
        if self.notes:
            self.tape.inputs[stage.number] = args[0]
        return None

    def feeder(self, stage: Stage, module: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The forward of a linear layer that feeds the stage's attention."""
        if self.resumes and stage.number == self.start:
            return x.new_zeros(()).expand(*x.shape[:-1], fan(module)[1])
        plain = self.slices.get(module, plain)
        if self.whole is not None and self.narrowing and module in self.narrowing.readers:
            return plain(self.narrowing.source(self.whole))
        return plain(x)

    def attention(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The attention function of the stage that is being run."""
        if self.now is not None and self.now == self.start and self.resumes:
            return _no_attention
        return function if self.now is None or self.whole is None else self._narrow_attention(function)

    def _narrow_attention(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Keys and values of all positions were folded into the shape for one: they get their own shape back."""
        assert self.whole is not None
        tokens = self.whole.shape[1]

        def call(
            module: nn.Module,
            query: Tensor,
            key: Tensor,
            value: Tensor,
            mask: Tensor | None = None,
            *args: Any,
            **options: Any,
        ) -> Any:
            key, value = _unfolded(key, tokens), _unfolded(value, tokens)
            mask = mask[..., :1, :] if mask is not None and mask.dim() == 4 else mask
            return function(module, query, key, value, mask, *args, **options)

        return call


def _unfolded(tensor: Tensor, tokens: int) -> Tensor:
    """``(batch, token * head, 1, head_dim)`` to ``(batch, head, token, head_dim)``."""
    return tensor.transpose(1, 2).reshape(len(tensor), tokens, -1, tensor.shape[-1]).transpose(1, 2)


def _no_attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Any:
    """Zeros in the place of what is on tape."""
    batch, heads, tokens, _ = query.shape
    return query.new_zeros(()).expand(batch, tokens, heads, value.shape[-1]), None


PASS: ContextVar[Pass | None] = ContextVar("headroom_pass", default=None)


def put_in(module: nn.Module, stages: tuple[Stage, ...]) -> None:
    """Let the layers of a twin look at the pass of the context; without one they do what they always do."""
    for part in module.modules():
        if type(part) is nn.Linear:
            part.forward = MethodType(_linear_forward, part)  # type: ignore[assignment]
    for stage in stages:
        layer = module.get_submodule(stage.path)
        layer._stage, layer.forward = stage, MethodType(_layer_forward, layer)  # type: ignore[assignment]
        if stage.site is not None:
            projection = module.get_submodule(stage.projection)
            projection._stage = stage  # type: ignore[assignment]
            projection.register_forward_pre_hook(_before_projection)
        for path in stage.feeders:
            feeder = module.get_submodule(path)
            feeder._stage, feeder.forward = stage, MethodType(_feeder_forward, feeder)  # type: ignore[assignment]


def _layer_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
    now, plain = PASS.get(), MethodType(type(self).forward, self)
    return plain(*args, **kwargs) if now is None else now.layer(self._stage, plain, args, kwargs)


def _feeder_forward(self: Any, x: Tensor) -> Tensor:
    now, plain = PASS.get(), MethodType(_linear_forward if type(self) is nn.Linear else type(self).forward, self)
    return plain(x) if now is None else now.feeder(self._stage, self, plain, x)


def _linear_forward(self: Any, x: Tensor) -> Tensor:
    return nn.functional.linear(x, self.weight, self.bias) if PASS.get() is None else product(x, self.weight, self.bias)


def _before_projection(self: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    now = PASS.get()
    return None if now is None else now.before_projection(self._stage, args)
