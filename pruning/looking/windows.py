"""Attention within windows of an image: which patch stands where in which window.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021. The windows, their
order and their shift are not computed anew: the model's own layer is run on patches that carry their numbers, up to
its attention, so padding and every way of cutting an image are as the model has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

BASE = 256  # of the digits that number a patch: whole numbers up to it are exact in every floating-point type
MARKS = 5  # channels that are written: three digits would be more patches than any image has
OUTSIDE = -1  # what fills a window beyond the image's edge
NOTHING = 1e-20  # masked places are not left out but pushed down by 100: exp(-100) is below this, attention is not


@dataclass(frozen=True, eq=False)
class Windows:
    """How the patches of an image are told off into windows.

    Attributes:
        places: ``(window, place)``: patches in reading order; −1 where a window goes beyond the image.
        grid: Rows and columns of patches.
    """

    places: Tensor
    grid: tuple[int, int]

    @property
    def patches(self) -> int:
        return self.grid[0] * self.grid[1]

    @cached_property
    def _order(self) -> Tensor:
        """Positions of the patches in ``places``, read window by window, in reading order of the image."""
        return self.places.flatten().argsort()[-self.patches :]

    @cached_property
    def keys(self) -> Tensor:
        """``(patch, place)``: the patches in the window of each."""
        return self.places.repeat_interleave(self.places.shape[1], 0)[self._order]

    def by_patch(self, weights: Tensor) -> Tensor:
        """From ``(example × window, head, place, place)`` to ``(example, head, patch, place)``.

        Entry ``[…, patch, place]`` is the weight on the patch ``keys[patch, place]``.
        """
        count, size = self.places.shape
        each = weights.view(-1, count, weights.shape[1], size, size).transpose(1, 2).flatten(2, 3)
        found = each[:, :, self._order]
        return found.masked_fill(found < NOTHING, 0.0)

    def within(self, weights: Tensor) -> Tensor:
        """Shares of the attention to the image: without what falls on padding, and adding up to one again."""
        inside = weights * (self.keys >= 0)
        return inside / inside.sum(-1, keepdim=True).clamp_min(NOTHING)

    def spread(self, weights: Tensor, first: int, last: int) -> Tensor:
        """Rows ``first`` to ``last`` over the whole image, ``(example, head, last − first, patch)``."""
        rows = weights[..., first:last, :]
        whole = rows.new_zeros(*rows.shape[:-1], self.patches + 1)
        index = (self.keys[first:last] % (self.patches + 1)).expand_as(rows)  # −1 goes behind the last patch
        return whole.scatter_add_(-1, index, rows)[..., : self.patches]


@dataclass(frozen=True, eq=False)
class LayerCall:
    """A call of a module around an attention module, without the values: ``(example, patch, channel)`` and the rest."""

    module: nn.Module
    shape: Sequence[int]
    like: Tensor
    rest: tuple[Any, ...]
    named: dict[str, Any]

    @property
    def patches(self) -> int:
        count = 1
        for size in self.shape[1:-1]:
            count *= size
        return count

    @property
    def stated(self) -> tuple[int, int] | None:
        """Rows and columns, if the call says them."""
        for value in (*self.rest, *self.named.values()):
            if _is_pair(value) and value[0] * value[1] == self.patches:
                return value[0], value[1]
        return None


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2 and all(isinstance(one, int) for one in value)


class _Arrived(Exception):
    """The numbers have reached the attention: no error, but the way out of a forward pass."""


def find_windows(call: LayerCall, attention: nn.Module, grid: tuple[int, int] | None) -> Windows | None:
    """Run the layer on numbered patches; ``None`` where not each patch stands in just one place of one window.

    Args:
        call: Of the layer in the forward pass that was watched.
        attention: The attention module in it.
        grid: Where neither the call says it nor its shape, ``(example, row, column, channel)``.
    """
    as_shaped = (call.shape[1], call.shape[2]) if len(call.shape) == 4 else grid
    grid = call.stated or as_shaped
    if grid is None or grid[0] * grid[1] != call.patches or call.shape[-1] < MARKS:
        return None
    arrived = _numbers_at(call, attention)
    if arrived is None or arrived.dim() < 3:
        return None
    marks = arrived.flatten(1, -2)[..., :MARKS].round().long()
    inside, example = marks[..., 0] == 1, marks[..., 3] + BASE * marks[..., 4]
    places = (marks[..., 1] + BASE * marks[..., 2]).masked_fill(~inside, OUTSIDE)
    examples, count = call.shape[0], len(places) // call.shape[0]
    if count * examples != len(places):
        return None
    places, own = places.view(examples, count, -1), example.view(examples, count, -1)
    belongs = bool((own == _column(own, examples))[inside.view_as(own)].all())
    each_once = places[0][places[0] >= 0].sort().values.tolist() == list(range(call.patches))
    if not belongs or not each_once or not bool((places == places[:1]).all()):
        return None
    return Windows(places[0], grid)


def _column(like: Tensor, count: int) -> Tensor:
    import torch

    return torch.arange(count, device=like.device)[:, None, None]


def _numbers_at(call: LayerCall, attention: nn.Module) -> Tensor | None:
    """What the attention module gets when every patch carries its number instead of its features."""
    import torch

    examples, patches = call.shape[0], call.patches
    marked = call.like.new_zeros(examples, patches, call.shape[-1])
    number = torch.arange(patches, device=marked.device)
    marked[..., 0] = 1
    marked[..., 1], marked[..., 2] = number % BASE, number // BASE
    example = torch.arange(examples, device=marked.device)[:, None]
    marked[..., 3], marked[..., 4] = example % BASE, example // BASE
    caught: list[Tensor] = []
    with _handing_on(call.module, attention, caught), suppress(_Arrived):
        call.module(marked.view(call.shape), *call.rest, **call.named)
    return caught[0] if caught else None


@contextmanager
def _handing_on(layer: nn.Module, attention: nn.Module, caught: list[Tensor]) -> Iterator[None]:
    """Norms hand on what they get, and the pass ends at the attention; on this thread only."""
    from pruning.attention import on_this_thread

    def end(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(args[0] if args else kwargs["hidden_states"])
        raise _Arrived

    handles = [attention.register_forward_pre_hook(on_this_thread(end), with_kwargs=True)]
    for child in layer.modules():
        if "Norm" in type(child).__name__:
            handles.append(child.register_forward_hook(on_this_thread(lambda _, args, __: args[0])))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
