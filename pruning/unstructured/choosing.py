"""From scores to masks: which weights stay."""

from __future__ import annotations

import torch
from torch import Tensor

from pruning.errors import UnsupportedError
from pruning.unstructured.base import Sparsity, get_weight_score

Masks = dict[str, Tensor]  # by path, ``(out, in)``: whether a weight stays


def choose(scores: dict[str, Tensor], settings: Sparsity, share: float | None = None) -> Masks:
    """Keep the weights with the highest scores; of each pool, the rounded share becomes zero.

    Args:
        share: Instead of that of the settings.

    Raises:
        UnsupportedError: A pattern does not divide the inputs of a layer.
    """
    if settings.pattern:
        n, m = settings.kept
        return {path: by_pattern(score, n, m, path) for path, score in scores.items()}
    share = settings.share if share is None else share
    compare = settings.compare or get_weight_score(settings.method).compare
    if compare == "global":
        sizes = [score.numel() for score in scores.values()]
        kept = lowest_off(torch.cat([score.flatten() for score in scores.values()])[None], share)[0].split(sizes)
        return {path: part.view_as(score) for (path, score), part in zip(scores.items(), kept, strict=True)}
    if compare == "layer":
        return {path: lowest_off(score.flatten()[None], share).view_as(score) for path, score in scores.items()}
    return {path: lowest_off(score, share) for path, score in scores.items()}


def lowest_off(scores: Tensor, share: float) -> Tensor:
    """Whether each weight stays, when in each pool the rounded share with the lowest scores goes.

    Args:
        scores: ``(pool, weight)``.
    """
    kept = torch.ones_like(scores, dtype=torch.bool)
    return kept.scatter_(1, scores.topk(round(share * scores.shape[1]), dim=1, largest=False).indices, False)


def by_pattern(scores: Tensor, n: int, m: int, path: str) -> Tensor:
    """Keep the n highest of every m neighbours along the inputs of ``(out, in)``."""
    rows, columns = scores.shape
    if columns % m:
        raise UnsupportedError(
            "{path} has {columns} inputs, which the pattern {n}:{m} does not divide",
            path=path,
            columns=columns,
            n=n,
            m=m,
        )
    groups = scores.reshape(-1, m)
    kept = torch.zeros_like(groups, dtype=torch.bool).scatter_(1, groups.topk(n, dim=1).indices, True)
    return kept.view(rows, columns)
