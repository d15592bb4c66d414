"""Watching a model while it runs over the examples: attention weights, inputs of projections, what layers add.

What is watched is the model in the setting in which units are scored, so what is removed there shows up as removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pruning.anatomy import AttentionSite, Layer, MLPSite
from pruning.errors import UnsupportedError
from pruning.importance.context import ScoringContext
from pruning.importance.weights import units_width
from pruning.language import later, mark
from pruning.scopes import parts_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.hooks import RemovableHandle

    from pruning.tasks import Batch

NOT_SEEN = mark("the {what} of {part} cannot be seen: choose another criterion")
ACTIVATIONS, ATTENTION = mark("activations"), mark("attention weights")
Look = Callable[["Batch", int, "Tensor"], None]  # batch, part, what was seen


class Tally:
    """Means over the calls of each part, for each example; a module that several layers share is called for each."""

    def __init__(self, context: ScoringContext, what: str) -> None:
        self.context, self.what = context, what
        self.ends = np.cumsum((0, *context.sizes))
        self.sums = np.zeros((context.samples, context.total_units))
        self.calls = np.zeros((context.samples, len(context.sizes)))

    def add(self, batch: Batch, part: int, values: Tensor) -> None:
        """Values of one call, ``(example, unit)``."""
        rows = list(batch.positions)
        self.sums[rows, self.ends[part] : self.ends[part + 1]] += values.double().cpu().numpy()
        self.calls[rows, part] += 1

    def means(self) -> np.ndarray:
        """``(example, unit)``; 0 for what is removed.

        Raises:
            UnsupportedError: A part was not seen.
        """
        check_seen(self.context, [bool(calls.all()) for calls in self.calls.T], self.what)
        return self.sums / self.calls.repeat(self.context.sizes, axis=1) * kept_units(self.context)


def attention_means(context: ScoringContext, statistic: Callable[[Tensor], Tensor]) -> np.ndarray:
    """A statistic of each head's attention weights, averaged over queries, for each example, ``(example, unit)``.

    Args:
        statistic: Weights ``(batch, head, query, key)`` to ``(batch, head, query)``.
    """
    tally = Tally(context, ATTENTION)

    def look(batch: Batch, part: int, weights: Tensor) -> None:
        each = statistic(weights).mean(-1)  # (batch or window, head)
        tally.add(batch, part, each.view(len(batch.positions), -1, each.shape[-1]).mean(1))

    _run(context, lambda batch: _attention_watched(context, batch, look))
    return tally.means()


def activation_means(context: ScoringContext, statistic: Callable[[int, Tensor], Tensor]) -> np.ndarray:
    """A statistic of what each unit holds at each token, averaged over tokens, for each example, ``(example, unit)``.

    Args:
        statistic: Part and its activations ``(example, token, width)`` to ``(example, token, unit)``.
    """
    tally = Tally(context, ACTIVATIONS)

    def look(batch: Batch, part: int, x: Tensor) -> None:
        tally.add(batch, part, statistic(part, x.reshape(len(batch.positions), -1, x.shape[-1])).mean(1))

    watch_activations(context, look)
    return tally.means()


def watch_activations(context: ScoringContext, look: Look) -> None:
    """Run over the examples once and hand on what each call of each part sees, ``(…, width)``.

    That is the heads side by side or the neurons, as the input of their projection, or what a layer adds to its input.
    """
    _run(context, lambda batch: _parts_watched(context, batch, look))


def check_seen(context: ScoringContext, seen: Iterable[bool], what: str = ACTIVATIONS) -> None:
    """Refuse to score parts about which the run over the examples said nothing.

    Raises:
        UnsupportedError: Names the first.
    """
    for part, was_seen in zip(parts_of(context.model.anatomy, context.scope), seen, strict=True):
        if not was_seen:
            raise UnsupportedError(NOT_SEEN, what=later(what), part=part.name)


def kept_units(context: ScoringContext) -> np.ndarray:
    """1 for units that are there, 0 for those that the setting removes, ``(unit,)``."""
    return context.kept.double().cpu().numpy()


def _run(context: ScoringContext, watching: Callable[[Batch], AbstractContextManager[Any]]) -> None:
    import torch

    context.require_gates()
    alone = None if context.model.anatomy.per_example else 1  # rows of one example cannot be told from another's
    seen = 0
    for batch in context.batches(alone):
        with watching(batch), torch.inference_mode():
            context.model.module(**batch.inputs)
        seen += len(batch.positions)
        context.progress(seen, context.samples)


def _attention_watched(context: ScoringContext, batch: Batch, look: Look) -> AbstractContextManager[Any]:
    from pruning.attention_products import attention_seen

    def refuse(site: AttentionSite) -> None:
        raise UnsupportedError(NOT_SEEN, what=later(ATTENTION), part=site.name)

    def take(site: AttentionSite, weights: Tensor) -> None:
        look(batch, site.index, weights)

    return attention_seen(context.model.module, context.model.anatomy.sites, take, refuse)


@contextmanager
def _parts_watched(context: ScoringContext, batch: Batch, look: Look) -> Iterator[None]:
    """Hooks that are put in later run later, so these see what the gates let through."""
    with ExitStack() as stack:
        for part in parts_of(context.model.anatomy, context.scope):
            handle = _hooked(context.model.module, part, partial(look, batch, part.index))
            stack.callback(handle.remove)
        yield


def _hooked(module: Any, part: AttentionSite | MLPSite | Layer, see: Callable[[Tensor], None]) -> RemovableHandle:
    from torch import Tensor

    from pruning.attention import on_this_thread
    from pruning.gating import entry

    def after(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        y = output if isinstance(output, Tensor) else output[0]
        x = entry(args, kwargs, y)
        if x is not None:
            see(y - x)

    if isinstance(part, Layer):
        return module.get_submodule(part.name).register_forward_hook(on_this_thread(after), with_kwargs=True)
    width = units_width(part)
    before = on_this_thread(lambda projection, args: see(args[0][..., :width]))
    return module.get_submodule(part.projection).register_forward_pre_hook(before)
