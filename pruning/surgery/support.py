"""How far each part of a model can be taken: a trial cut of a few heads, neurons and layers decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from torch import nn

from pruning.anatomy import Anatomy, AttentionSite, Layer, MLPSite, Support
from pruning.errors import UnsupportedError, message_of, named_line
from pruning.language import Later, later
from pruning.masks import HeadId, Mask, NeuronId
from pruning.surgery import cut
from pruning.surgery.heads import Layout
from pruning.wiring import Wiring

P = TypeVar("P", AttentionSite, MLPSite, Layer)
LEVELS: tuple[Support, ...] = ("none", "gate", "prune")
MOST_TRIALS = 24  # cuts of one kind, before what is left is given up
UNTOLD = later("the weights that feed its single heads cannot be told apart")


def judge(module: nn.Module, anatomy: Anatomy, wiring: Wiring, reason: str | Later = "") -> Anatomy:
    """Raise what can be gated to ``prune`` where a trial cut gives the masked model's output, or say why not.

    Args:
        reason: Why there is no wiring.
    """
    trial = _Trial(module, anatomy, wiring)
    apart = {owner.site for strand in wiring.heads for owner in strand.owners if len(strand.owners) == 1}
    sites = [s for s in anatomy.sites if s.support != "none" and (s.index in apart or s.heads == 1)]
    site_reasons = dict.fromkeys((s.index for s in anatomy.sites), reason or UNTOLD) | trial.of(sites, _some_heads)
    layouts = dict(trial.layouts)
    blocks = [b for b in anatomy.blocks if b.support != "none"]
    block_reasons = trial.of(blocks, _some_neurons)
    layer_reasons: dict[int, str | Later] = {}
    for start in (0, 1):  # neighbours apart: a stack must not lose all of its layers at once
        some = [layer for layer in anatomy.layers[start::2] if layer.support != "none"]
        layer_reasons |= trial.of(some, lambda layer: Mask(layers=frozenset({layer.index})))
    anatomy = replace(
        anatomy,
        sites=tuple(
            replace(_raised(part, site_reasons), layout=layouts.get(part.index, part.layout)) for part in anatomy.sites
        ),
        blocks=tuple(_raised(part, block_reasons) for part in anatomy.blocks),
        layers=tuple(_raised(part, layer_reasons) for part in anatomy.layers),
    )
    return _summed_up(anatomy)


class _Trial:
    def __init__(self, module: nn.Module, anatomy: Anatomy, wiring: Wiring) -> None:
        self.module, self.anatomy, self.wiring = module, anatomy, wiring
        self.layouts: dict[int, Layout] = {}

    def of(self, parts: Sequence[P], mask_of: Callable[[P], Mask]) -> dict[int, str | Later]:
        """Why each part cannot be cut, by its index; empty for those that can. Parts that fail together are halved."""
        reasons: dict[int, str | Later] = {}
        waiting, trials = [list(parts)] if parts else [], 0
        while waiting:
            some = waiting.pop(0)
            trials += 1
            reason = self._cut(some, mask_of)
            if reason and len(some) > 1 and trials < MOST_TRIALS:
                waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
            else:
                reasons |= dict.fromkeys((part.index for part in some), reason)
        return reasons

    def _cut(self, parts: list[P], mask_of: Callable[[P], Mask]) -> str | Later:
        masks = [mask_of(part) for part in parts]
        mask = Mask(*(frozenset().union(*(getattr(m, kind) for m in masks)) for kind in ("heads", "neurons", "layers")))
        try:
            layout = cut(self.module, self.anatomy, self.wiring, mask).layout
        except Exception as error:  # the code of any architecture may fail in any way when parts of it are masked
            return message_of(error) if isinstance(error, UnsupportedError) else named_line(error)
        self.layouts |= dict.fromkeys((part.index for part in parts), layout)
        return ""


def _some_heads(site: AttentionSite) -> Mask:
    """One key-value group, a different one in each site; one head where there is just one group."""
    group = site.groups[site.index % len(site.groups)] if len(site.groups) > 1 else (site.index % site.heads,)
    return Mask(frozenset(HeadId(site.index, head) for head in group))


def _some_neurons(block: MLPSite) -> Mask:
    return Mask(neurons=frozenset(NeuronId(block.index, i) for i in range(block.index % 2, block.neurons, 3)))


def _raised(part: P, reasons: dict[int, str | Later]) -> P:
    if part.support == "none" or part.index not in reasons:
        return part
    reason = reasons[part.index]
    return replace(part, support="gate", reason=reason) if reason else replace(part, support="prune")


def _summed_up(anatomy: Anatomy) -> Anatomy:
    """The lowest level of the sites, and ``none`` only where no site can be gated."""
    levels = [LEVELS.index(site.support) for site in anatomy.sites]
    support = LEVELS[max(min(levels), min(1, max(levels)))]
    short = [site for site in anatomy.sites if site.support != "prune"]
    reason = later("{name}: {reason}", name=short[0].name, reason=short[0].reason) if short else ""
    return replace(anatomy, support=support, reason=reason or anatomy.reason)
