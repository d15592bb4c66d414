"""Gates: masks that act while a model runs, through hooks put in once and a context variable.

Each head is a slice of the INPUT of its attention output projection, each neuron one column of the input of its
feed-forward block's last projection. A hook multiplies that input by the gates of the current context; a layer's gate
scales what the layer adds to its input. Zero ablation puts nothing in the place of what is removed, mean ablation its
mean over a calibration set. Nothing is stored on the module, so threads that share one model keep their
masks apart (a context variable does not cross into another thread by itself: set the gates inside the job).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pruning.anatomy import Anatomy, AttentionSite, Layer, MLPSite
from pruning.errors import UnsupportedError
from pruning.masks import Mask
from pruning.scopes import Scope, sizes_of

if TYPE_CHECKING:
    from pruning.means import Means
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation


class Slot:
    """One place where gates act: a hook object, compared by identity. Copies of a model get slots of their own."""

    def __init__(self, units: int, width: int) -> None:
        self.units, self.width = units, width

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        gate = _gate_of(self)
        return None if gate is None or not args else (self.gate(args[0], gate), *args[1:])

    def gate(self, x: Tensor, gate: Tensor) -> Tensor:
        """Multiply ``x (batch, …, unit * width)`` by ``gate (unit,)`` or ``(example, unit)``.

        Where the context says what stands in for what is gated out, that comes in by the same share.
        """
        gate = gate.repeat_interleave(self.width, -1)
        if gate.shape[-1] < x.shape[-1]:  # something else lies beside the heads
            gate = nn.functional.pad(gate, (0, x.shape[-1] - gate.shape[-1]), value=1.0)
        gate = _expand(gate, x)
        fill = _fill_of(self)
        return x * gate if fill is None else x * gate + fill.to(x.dtype) * (1 - gate)

    def refit(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        """What the projection gives with the weights that a compensation has for it; its gated input arrives here."""
        refits = _REFITS.get()
        refit = None if refits is None else refits.get(self)
        return None if refit is None or not isinstance(output, Tensor) else refit(module, args[0], output)


class LayerSlot(Slot):
    """Scales what a residual layer adds to its first input: gate 0 is as if the layer were not there."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        gate = _gate_of(self)
        if gate is None:
            return None
        y = output if isinstance(output, Tensor) else output[0]
        x = entry(args, kwargs, y) if isinstance(y, Tensor) else None
        if x is None:
            return None
        gate = _expand(gate, y)
        fill = _fill_of(self)
        y = gate * y + (1 - gate) * (x if fill is None else x + fill.to(x.dtype))  # exact where the gate is 1
        return _with_first(output, y)


def _with_first(output: Any, y: Tensor) -> Any:
    """A layer's output with its hidden states replaced, of the type that the layer gives."""
    if isinstance(output, Tensor):
        return y
    if isinstance(output, dict):
        return type(output)(**(dict(output) | {next(iter(output)): y}))
    values = (y, *output[1:])
    return type(output)(*values) if hasattr(output, "_fields") else values


def entry(args: tuple[Any, ...], kwargs: Mapping[str, Any], y: Tensor) -> Tensor | None:
    """What a residual layer with output ``y`` adds to: the first of its inputs with that shape, if there is one.

    A layer that ran for the first position alone (`pruning.replay`) adds to the first position of its input.
    """
    inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    if y.dim() == 3 and y.shape[1] == 1:
        inputs += [value[:, :1] for value in inputs if value.dim() == 3]
    return next((value for value in inputs if value.shape == y.shape), None)


Gates = Mapping[Slot, Tensor]
Refit = Callable[[nn.Module, Tensor, Tensor], Tensor]  # projection, its gated input, its output: another output
_GATES: ContextVar[Gates | None] = ContextVar("headroom_gates", default=None)


_FILLS: ContextVar[Gates | None] = ContextVar("headroom_fills", default=None)
_REFITS: ContextVar[Mapping[Slot, Refit] | None] = ContextVar("headroom_refits", default=None)


def _fill_of(slot: Slot) -> Tensor | None:
    fills = _FILLS.get()
    return None if fills is None else fills.get(slot)


def _gate_of(slot: Slot) -> Tensor | None:
    gates = _GATES.get()
    return None if gates is None else gates.get(slot)


def _expand(gate: Tensor, x: Tensor) -> Tensor:
    """Give ``gate`` the shape that multiplies ``x``; rows that belong to one example (windows, tokens) are adjacent."""
    gate = gate.to(x.dtype)
    if gate.dim() == 1:
        return gate
    if x.shape[0] % gate.shape[0]:
        raise UnsupportedError(
            "gates for {examples} examples do not fit an activation of {shape}",
            examples=gate.shape[0],
            shape=tuple(x.shape),
        )
    gate = gate.repeat_interleave(x.shape[0] // gate.shape[0], 0)
    return gate.view(x.shape[0], *[1] * (x.dim() - 2), gate.shape[-1])


@dataclass(frozen=True, eq=False)
class Installation:
    """The slots of one model, in the order of its anatomy."""

    sites: tuple[Slot, ...]
    blocks: tuple[Slot, ...]
    layers: tuple[LayerSlot, ...]


_INSTALLED: weakref.WeakKeyDictionary[nn.Module, Installation] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def install(module: nn.Module, anatomy: Anatomy) -> Installation:
    """Put the hooks in, once per module; they do nothing until gates are set in a context."""
    with _LOCK:
        if module in _INSTALLED:
            return _INSTALLED[module]
        sites = tuple(_hooked(module, s.projection, Slot(s.heads, s.head_dim)) for s in anatomy.sites)
        blocks = tuple(_hooked(module, b.projection, Slot(b.neurons, 1)) for b in anatomy.blocks)
        layers = tuple(LayerSlot() for _ in anatomy.layers)
        for layer, slot in zip(anatomy.layers, layers, strict=True):
            # first, so that transformers' recorders of hidden states see what the gate lets through
            module.get_submodule(layer.name).register_forward_hook(slot.after, prepend=True, with_kwargs=True)
        _INSTALLED[module] = Installation(sites, blocks, layers)
        return _INSTALLED[module]


def _hooked(module: nn.Module, path: str, slot: Slot) -> Slot:
    projection = module.get_submodule(path)
    projection.register_forward_pre_hook(slot)
    projection.register_forward_hook(slot.refit)
    return slot


@contextmanager
def gates_set(gates: Gates) -> Iterator[None]:
    """Use these gates in this context, on top of those already set there."""
    token = _GATES.set({**(_GATES.get() or {}), **gates})
    try:
        yield
    finally:
        _GATES.reset(token)


@contextmanager
def refits_set(refits: Mapping[Slot, Refit]) -> Iterator[None]:
    """Use these numbers for the projections in this context, and no others."""
    token = _REFITS.set(refits or None)
    try:
        yield
    finally:
        _REFITS.reset(token)


def mask_gates(installation: Installation, anatomy: Anatomy, mask: Mask, device: torch.device) -> Gates:
    """One gate vector for each site, block and layer that the mask touches; untouched ones keep running ungated."""
    gates: dict[Slot, Tensor] = {}
    removed: dict[Slot, list[int]] = {}
    for site, head in mask.heads:
        removed.setdefault(installation.sites[site], []).append(head)
    for block, neuron in mask.neurons:
        removed.setdefault(installation.blocks[block], []).append(neuron)
    for layer in mask.layers:
        removed.setdefault(installation.layers[layer], []).append(0)
    for slot, units in removed.items():
        gates[slot] = torch.ones(slot.units, device=device)
        gates[slot][units] = 0.0
    return gates


@contextmanager
def gated(
    model: LoadedModel, mask: Mask, means: Means | None = None, compensation: Compensation | None = None
) -> Iterator[nn.Module]:
    """Run the model with the masked heads, neurons and layers removed, inside this ``with`` and on this thread only.

    Args:
        means: What stands in for what is removed: its mean over a calibration set (mean ablation). Without them it is
            zero (zero ablation), which is what cutting does.
        compensation: Other weights and biases for the projections, as they will be after cutting.

    Yields:
        The module itself; calling it gives the masked model's output.

    Raises:
        MaskError: The mask does not fit the model.
        UnsupportedError: The mask removes something that cannot be gated in this model.
    """
    anatomy = model.anatomy
    mask.check(anatomy)
    check_support(anatomy, mask)
    installation = install(model.module, anatomy)
    gates = mask_gates(installation, anatomy, mask, model.device)
    fills = _FILLS.set(means.by_slot(installation) if means else None)
    try:
        with gates_set(gates), refits_set(compensation.by_slot(installation) if compensation else {}):
            yield model.module
    finally:
        _FILLS.reset(fills)


def check_support(anatomy: Anatomy, mask: Mask) -> None:
    """Refuse to mask what cannot be gated.

    Raises:
        UnsupportedError: Names the part and the reason.
    """
    touched: list[AttentionSite | MLPSite | Layer] = [anatomy.sites[i] for i in {site for site, _ in mask.heads}]
    touched += [anatomy.blocks[i] for i in {block for block, _ in mask.neurons}]
    touched += [anatomy.layers[i] for i in mask.layers]
    for part in touched:
        if part.support == "none":
            raise UnsupportedError("{part} cannot be masked: {reason}", part=part.name, reason=part.reason)


@contextmanager
def unit_gates(model: LoadedModel, gates: Tensor, scope: Scope = "heads") -> Iterator[nn.Module]:
    """Run the model with a gate for every unit of a scope, given as numbers: for gradients, or several masks at once.

    Args:
        gates: ``(unit,)``, or ``(example, unit)`` for gates of each example; units counted through all parts.
    """
    slots = slots_of(install(model.module, model.anatomy), scope)
    parts = gates.split(sizes_of(model.anatomy, scope), dim=-1)
    with gates_set(dict(zip(slots, parts, strict=True))):
        yield model.module


def part_gates(model: LoadedModel, scope: Scope, part: int, gate: Tensor) -> AbstractContextManager[None]:
    """Gates for the units of one site, block or layer, ``(unit,)``; the others stay as they are set."""
    return gates_set({slots_of(install(model.module, model.anatomy), scope)[part]: gate})


def slots_of(installation: Installation, scope: Scope) -> tuple[Slot, ...]:
    """The places where the gates of a scope act."""
    return {"heads": installation.sites, "neurons": installation.blocks, "layers": installation.layers}[scope]
