"""What heads attend to on average.

Clark et al., "What Does BERT Look At? An Analysis of BERT's Attention", BlackboxNLP 2019, sections 3.1 to 3.3: the
share on neighbours, on the same token and on separators, and how broad a head attends, by entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.importance.base import Progress
from pruning.language import Later, mark
from pruning.looking.watching import Words, small_batches, special_ids, watch
from pruning.masks import HeadId
from pruning.statistics import Z95, Estimate

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.models import LoadedModel
    from pruning.tasks import Batch, Examples

OFFSETS = 8  # of the positional profile, both ways
SINGLE = ("first", "special", "separator", "effective", "broad", "distance")
PROFILE = (mark("further back"), *(f"{offset:+d}" for offset in range(-OFFSETS, OFFSETS + 1)), mark("further ahead"))
STATISTICS = (*SINGLE, *PROFILE)
FOCUSED, BROAD = 0.4, 0.6  # from this share on a head is named after it; from this breadth on it is broad


@dataclass(frozen=True)
class HeadPattern:
    """What one head attends to, averaged over queries and then over examples, with 95% intervals over examples.

    Shares are of the attention, 0 to 1, and may overlap: the previous token may be the first one. Patches count in
    reading order; within windows, shares are of the attention to the image: what falls on padding is left out.

    Attributes:
        first: Share on the first token.
        special: Share on tokens that are no part of the text or image, the first one among them.
        separator: The same without the first token.
        effective: Tokens attended to: the perplexity of the weights, from 1 to how many a query may attend to.
        broad: ``effective`` as a share of the tokens that a query may attend to.
        distance: Mean distance, in tokens.
        profile: Shares by offset: further back, −8 … +8, further ahead; they add up to 1.
        examples: How many they are averages over.
    """

    first: Estimate
    special: Estimate
    separator: Estimate
    effective: Estimate
    broad: Estimate
    distance: Estimate
    profile: tuple[Estimate, ...]
    examples: int

    def at(self, offset: int) -> Estimate:
        """The share on the token so many places ahead: −1 is the previous one."""
        return self.profile[offset + OFFSETS + 1]

    @property
    def shares(self) -> dict[str, Estimate]:
        """The shares that a head can be named after."""
        neighbours = {"previous": self.at(-1), "same": self.at(0), "next": self.at(1)}
        return {**neighbours, "first": self.first, "separator": self.separator}

    @property
    def label(self) -> str:
        """The largest share, if it is at least 0.4; else ``broad`` from a breadth of 0.6 on; else ``mixed``."""
        name, share = max(self.shares.items(), key=lambda item: item[1].value)
        if share.value >= FOCUSED:
            return name
        return "broad" if self.broad.value >= BROAD else "mixed"


@dataclass(frozen=True, eq=False)
class Patterns:
    """Patterns of all heads.

    Attributes:
        sizes: Heads of each site.
        means, errors: ``(head, statistic)`` in the order of `STATISTICS`; nan where nothing could be seen.
        refused: Why, for the sites that cannot be seen.
        examples: How many were averaged; those in which no query had a choice are left out.
        windowed: Sites that attend within windows of the image.
    """

    sizes: tuple[int, ...]
    means: np.ndarray
    errors: np.ndarray
    refused: dict[int, Later]
    examples: int
    windowed: frozenset[int] = frozenset()

    def of(self, head: HeadId) -> HeadPattern | None:
        """That of one head; ``None`` where its site cannot be seen."""
        row = sum(self.sizes[: head.site]) + head.head
        if not np.isfinite(self.means[row]).all():
            return None
        half = Z95 * self.errors[row]
        found = [Estimate(float(m), float(m - h), float(m + h)) for m, h in zip(self.means[row], half, strict=True)]
        single = dict(zip(SINGLE, found, strict=False))
        return HeadPattern(**single, profile=tuple(found[len(SINGLE) :]), examples=self.examples)

    def labels(self) -> dict[HeadId, str]:
        """The word for each head whose pattern is known."""
        heads = (HeadId(site, head) for site, size in enumerate(self.sizes) for head in range(size))
        return {head: found.label for head in heads if (found := self.of(head)) is not None}


def measure_patterns(model: LoadedModel, examples: Examples, progress: Progress | None = None) -> Patterns:
    """One pass over the examples, all heads at once.

    A query that may attend to a single token has no choice, and is left out. A site that is run several times counts
    with the mean over its runs.

    Args:
        progress: Called with examples done and in all; it may raise `Cancelled`.
    """
    tally = _Tally(model)
    seen = 0
    for batch in small_batches(model, examples):
        tally.add(batch)
        seen += len(batch.positions)
        if progress is not None:
            progress(seen, len(examples))
    return tally.patterns()


class _Tally:
    """Sums over examples, in float64."""

    def __init__(self, model: LoadedModel) -> None:
        self.model, self.special = model, special_ids(model)
        self.sizes = model.anatomy.heads_per_site
        shape = (sum(self.sizes), len(STATISTICS))
        self.sums, self.squares, self.counts = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.refused: dict[int, Later] = {}
        self.windowed: set[int] = set()

    def add(self, batch: Batch) -> None:
        found: dict[int, list[Tensor]] = {}

        def look(site: int, weights: Tensor, words: Words) -> None:
            windows = words.windows.get(site)
            if windows is not None:
                self.windowed.add(site)
                found.setdefault(site, []).append(statistics(windows.within(weights), keys=windows.keys))
                return
            special = self._special(weights, words.of(self.model.anatomy.sites[site].kind, "key"), batch.inputs)
            found.setdefault(site, []).append(statistics(weights, special))

        sites = set(range(len(self.sizes))) - self.refused.keys()
        self.refused |= watch(self.model, batch.inputs, sites, look, windows=True)
        for site in found.keys() - self.refused.keys():
            values = np.mean([one.double().cpu().numpy() for one in found[site]], axis=0)
            there, first = np.isfinite(values), sum(self.sizes[:site])
            rows = slice(first, first + self.sizes[site])
            values = np.nan_to_num(values)
            self.sums[rows] += values.sum(0)
            self.squares[rows] += np.square(values).sum(0)
            self.counts[rows] += there.sum(0)

    def _special(self, weights: Tensor, ids: Tensor | None, inputs: dict[str, Tensor]) -> Tensor:
        """Which keys are special, ``(example, key)``."""
        import torch

        from pruning.looking.maps import patch_grid

        examples, _, _, keys = weights.shape
        if ids is not None and ids.shape[-1] == keys:
            return torch.isin(ids, torch.tensor(sorted(self.special), device=ids.device, dtype=ids.dtype))
        grid = patch_grid(inputs, keys)
        before = keys - grid[0] * grid[1] if grid else 0
        return (torch.arange(keys, device=weights.device) < before).expand(examples, keys)

    def patterns(self) -> Patterns:
        counts = np.where(self.counts > 0, self.counts, np.nan)
        means = self.sums / counts
        spread = np.maximum(self.squares - counts * np.square(means), 0.0)
        errors = np.sqrt(spread / np.maximum(counts - 1, 1) / counts)
        for site in self.refused:
            first = sum(self.sizes[:site])
            means[first : first + self.sizes[site]] = np.nan
        examples = int(self.counts.max(initial=0))
        return Patterns(self.sizes, means, errors, self.refused, examples, frozenset(self.windowed))


def statistics(weights: Tensor, special: Tensor | None = None, keys: Tensor | None = None) -> Tensor:
    """Means over the queries that have a choice, ``(example, head, statistic)``; nan where none has.

    Args:
        weights: ``(example, head, query, key)``.
        special: Which keys are no part of the text or image, ``(example, key)``; none where it is ``None``.
        keys: The place of each key, ``(query, key)``, where queries see different ones: their windows.
    """
    import torch

    queries, count = weights.shape[-2:]
    visible = (weights > 0).any(1).sum(-1)[:, None]  # (example, 1, query)
    keys = torch.arange(count, device=weights.device).expand(queries, count) if keys is None else keys
    offsets = keys - torch.arange(queries, device=weights.device)[:, None]
    bins = offsets.clamp(-OFFSETS - 1, OFFSETS + 1) + OFFSETS + 1
    profile = weights.new_zeros(*weights.shape[:-1], len(PROFILE))
    profile.scatter_add_(-1, bins.expand_as(weights), weights)
    effective = torch.special.entr(weights).sum(-1).exp()
    on_special = torch.zeros_like(weights) if special is None else weights * special[:, None, None]
    first, others = (weights * (keys == 0)).sum(-1), (on_special * (keys > 0)).sum(-1)
    single = [first, on_special.sum(-1), others, effective, effective / visible, (weights * offsets.abs()).sum(-1)]
    each = torch.cat([torch.stack(single, -1), profile], -1)  # (example, head, query, statistic)
    chooses = (visible > 1)[..., None]
    return torch.where(chooses, each, 0.0).sum(2) / chooses.sum(2)
