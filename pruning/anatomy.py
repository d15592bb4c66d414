"""Anatomy: which heads, neurons and layers a model has, and what can be done with each. Values only, no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pruning.errors import MaskError
from pruning.language import Later
from pruning.masks import HeadId, Mask
from pruning.wording import english

if TYPE_CHECKING:
    from pruning.models import LoadedModel

Support = Literal["prune", "gate", "none"]


@dataclass(frozen=True)
class AttentionSite:
    """One attention module.

    Attributes:
        index: Position among the model's sites, in the order in which a forward pass reaches them.
        name: Path of the attention module from the top of the model.
        projection: Path of the linear layer whose input holds the heads side by side.
        kind: ``encoder self``, ``decoder self``, ``decoder cross``, ….
        heads: Number of query heads.
        kv_heads: Number of key-value heads (fewer than ``heads`` under grouped-query attention).
        head_dim: Width of one head in the projection's input.
        layout: What is left of a head that is cut: nothing (``compact``, ``configured``); zeros in its place
            (``padded``: its weights are gone, its attention arithmetic is not); all but its columns of the projection
            (``columns``).
        support: What can be done with its heads.
        reason: Why not more, in words that are translated when they are read; empty when nothing is missing.
    """

    index: int
    name: str
    projection: str
    kind: str
    heads: int
    kv_heads: int
    head_dim: int
    layout: str = "compact"
    support: Support = "gate"
    reason: str | Later = ""

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The query heads of each key-value head."""
        size = self.heads // self.kv_heads
        return tuple(tuple(range(first, first + size)) for first in range(0, self.heads, size))


@dataclass(frozen=True)
class MLPSite:
    """One feed-forward block: ``neurons`` inputs of the linear layer ``projection``."""

    index: int
    name: str
    projection: str
    neurons: int
    support: Support = "gate"
    reason: str | Later = ""


@dataclass(frozen=True)
class Layer:
    """One residual layer of a stack, with the attention sites and feed-forward blocks inside it."""

    index: int
    name: str
    sites: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    support: Support = "gate"
    reason: str | Later = ""


@dataclass(frozen=True)
class Anatomy:
    """Everything in a model that can be removed.

    Attributes:
        parameters: Number of distinct parameters.
        macs: Multiply-accumulate operations of one forward pass over the dry-run input.
        macs_input: What that input was, in words.
        support: The best level that every site reaches; ``none`` when there is no site.
        reason: Why not more, in words.
        per_example: Whether each example of a batch can have gates of its own.
    """

    sites: tuple[AttentionSite, ...]
    blocks: tuple[MLPSite, ...]
    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    macs_input: str
    support: Support
    reason: str | Later = ""
    per_example: bool = True

    @property
    def heads_per_site(self) -> tuple[int, ...]:
        return tuple(site.heads for site in self.sites)

    @property
    def total_heads(self) -> int:
        return sum(self.heads_per_site)

    @property
    def is_grouped(self) -> bool:
        """Whether query heads share keys and values anywhere (grouped-query or multi-query attention)."""
        return any(site.heads != site.kv_heads for site in self.sites)

    def with_their_groups(self, heads: Iterable[HeadId]) -> frozenset[HeadId]:
        """These heads and all that share a key and value with one of them."""
        found: set[HeadId] = set()
        for site, head in heads:
            groups = self.sites[site].groups
            found |= {HeadId(site, member) for group in groups if head in group for member in group}
        return frozenset(found)

    def group_mask(self, groups: Iterable[HeadId]) -> Mask:
        """The query heads of key-value groups, which are named like heads: ``(site, group)``.

        Raises:
            MaskError: A group does not exist.
        """
        heads: set[HeadId] = set()
        for site, group in sorted(groups):
            if site >= len(self.sites) or group >= self.sites[site].kv_heads:
                raise MaskError("key-value group {site}:{group} does not exist in this model", site=site, group=group)
            heads |= {HeadId(site, head) for head in self.sites[site].groups[group]}
        return Mask(frozenset(heads))

    def head_ids(self) -> Iterator[HeadId]:
        """Every head, site by site."""
        return (HeadId(site.index, head) for site in self.sites for head in range(site.heads))

    def to_json(self) -> dict[str, object]:
        found = asdict(self)
        rows = [found, *found["sites"], *found["blocks"], *found["layers"]]
        reasons = [self.reason, *(part.reason for parts in (self.sites, self.blocks, self.layers) for part in parts)]
        for row, reason in zip(rows, reasons, strict=True):
            row["reason"] = english(reason)
        return found


def describe(model: LoadedModel) -> Anatomy:
    """What can be removed from a model: found by a dry run and by names, then tested.

    The result is kept with the model, so asking again costs nothing.
    """
    return model.anatomy
