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

    from pruning.models import LoadedModel
    from pruning.tasks import Examples


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


def _weights_of(model: LoadedModel, inputs: dict[str, Tensor], head: HeadId) -> list[Tensor]:
    """The head's own attention in each run of its site, ``(example, query, key)``."""
    own: list[Tensor] = []

    def look(_: int, weights: Tensor, __: Words) -> None:
        own.append(weights[:, head.head])

    refused = watch(model, inputs, {head.site}, look)
    if head.site in refused:
        name = model.anatomy.sites[head.site].name
        raise UnsupportedError(
            "the attention of {name} cannot be compared: {reason}", name=name, reason=refused[head.site]
        )
    return own


def _divergences(model: LoadedModel, inputs: dict[str, Tensor], at: int, own: list[Tensor]) -> dict[int, np.ndarray]:
    """Of each site from one head, ``(example, head)``; sites between other sequences are left out."""
    kinds = [site.kind for site in model.anatomy.sites]
    alike = {site for site, kind in enumerate(kinds) if kind == kinds[at]}
    found: dict[int, list[np.ndarray]] = {site: [] for site in alike}

    def look(site: int, weights: Tensor, _: Words) -> None:
        run = len(found[site])
        if run < len(own) and own[run].shape == weights[:, 0].shape:
            found[site].append(divergence(weights, own[run]).double().cpu().numpy())

    refused = watch(model, inputs, alike, look)
    return {site: np.mean(runs, axis=0) for site, runs in found.items() if runs and site not in refused}


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
