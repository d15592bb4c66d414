"""Which heads attend alike: the Jensen–Shannon divergence between their attention weights.

Clark et al., "What Does BERT Look At? An Analysis of BERT's Attention", BlackboxNLP 2019, section 6.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Progress
from pruning.looking.watching import Words, small_batches, watch
from pruning.masks import HeadId

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.looking.windows import Windows
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

    Run = tuple[Tensor, Windows | None]  # weights (example, head, query, key), and what they are within

ROWS = 256  # queries whose attention is spread over the whole image at a time


def similar_heads(
    model: LoadedModel, examples: Examples, head: HeadId, progress: Progress | None = None
) -> tuple[tuple[float, ...], ...]:
    """How far the attention of each head is from that of one head, ``[site][head]``.

    Mean over queries, then over examples, of the divergence in bits: 0 where two heads attend alike, 1 where they have
    no token in common. Queries that may attend to a single token are left out.

    Args:
        progress: Called with examples done and in all; it may raise `Cancelled`.

    Returns:
        Heads that attend between other sequences, or whose attention cannot be seen, are nan.

    Raises:
        UnsupportedError: The attention of the head itself cannot be seen.
    """
    sizes = model.anatomy.heads_per_site
    sums, counts, seen = [np.zeros(size) for size in sizes], [np.zeros(size) for size in sizes], 0
    for batch in small_batches(model, examples):
        own = _weights_of(model, batch.inputs, head)
        for site, values in _divergences(model, batch.inputs, head.site, own).items():
            finite = np.isfinite(values)
            sums[site] += np.where(finite, values, 0.0).sum(0)
            counts[site] += finite.sum(0)
        seen += len(batch.positions)
        if progress is not None:
            progress(seen, len(examples))
    means = [np.divide(s, c, out=np.full_like(s, np.nan), where=c > 0) for s, c in zip(sums, counts, strict=True)]
    return tuple(tuple(float(value) for value in row) for row in means)


def _weights_of(model: LoadedModel, inputs: dict[str, Tensor], head: HeadId) -> list[Run]:
    """The head's own attention in each run of its site."""
    own: list[Run] = []

    def look(site: int, weights: Tensor, words: Words) -> None:
        own.append(_run(weights[:, [head.head]], words.windows.get(site)))

    refused = watch(model, inputs, {head.site}, look, windows=True)
    if head.site in refused:
        name = model.anatomy.sites[head.site].name
        raise UnsupportedError(
            "the attention of {name} cannot be compared: {reason}", name=name, reason=refused[head.site]
        )
    return own


def _run(weights: Tensor, windows: Windows | None) -> Run:
    return (weights if windows is None else windows.within(weights)), windows


def _divergences(model: LoadedModel, inputs: dict[str, Tensor], at: int, own: list[Run]) -> dict[int, np.ndarray]:
    """Of each site from one head, ``(example, head)``; sites between other sequences are left out."""
    kinds = [site.kind for site in model.anatomy.sites]
    alike = {site for site, kind in enumerate(kinds) if kind == kinds[at]}
    found: dict[int, list[np.ndarray]] = {site: [] for site in alike}

    def look(site: int, weights: Tensor, words: Words) -> None:
        run = len(found[site])
        if run >= len(own):
            return
        each = divergence_of(_run(weights, words.windows.get(site)), own[run])
        if each is not None:
            found[site].append(each.double().cpu().numpy())

    refused = watch(model, inputs, alike, look, windows=True)
    return {site: np.mean(runs, axis=0) for site, runs in found.items() if runs and site not in refused}


def divergence_of(one: Run, own: Run) -> Tensor | None:
    """The same as `divergence`, whatever windows the two have; ``None`` where they are between other sequences."""
    import torch

    (weights, windows), (reference, others) = one, own
    if _grid(windows, weights) != _grid(others, reference):
        return None
    apart = windows is not None and others is not None and not torch.equal(windows.places, others.places)
    if not apart and (windows is None) == (others is None):
        return divergence(weights, reference[:, 0])
    sums = counts = torch.zeros(())
    for first in range(0, weights.shape[-2], ROWS):  # over the whole image, which is too much at once
        a, b = (_spread(*each, first) for each in (one, own))
        chosen = ((b > 0).sum(-1) > 1).sum(-1)
        sums = sums + divergence(a, b[:, 0]).nan_to_num() * chosen
        counts = counts + chosen
    return sums / counts


def _grid(windows: Windows | None, weights: Tensor) -> tuple[int, ...]:
    return (windows.patches,) * 2 if windows else tuple(weights.shape[-2:])


def _spread(weights: Tensor, windows: Windows | None, first: int) -> Tensor:
    return weights[..., first : first + ROWS, :] if windows is None else windows.spread(weights, first, first + ROWS)


def divergence(weights: Tensor, own: Tensor) -> Tensor:
    """Jensen–Shannon divergence in bits, averaged over the queries that have a choice, ``(example, head)``.

    Args:
        weights: ``(example, head, query, key)``.
        own: ``(example, query, key)``.
    """
    import torch

    def entropy(p: Tensor) -> Tensor:
        return torch.special.entr(p).sum(-1)

    one = own[:, None]
    bits = (entropy((weights + one) / 2) - (entropy(weights) + entropy(one)) / 2) / math.log(2)
    chooses = ((one > 0).sum(-1) > 1).expand_as(bits)
    return torch.where(chooses, bits.clamp_min(0), 0.0).sum(-1) / chooses.sum(-1)
