"""Calibration: whether a classifier is right as often as it is sure, in bins of equal width (Guo et al., ICML 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.errors import PruningError
from pruning.statistics import Estimate, proportion

CALIBRATION_BINS = 15  # as in Guo et al. 2017


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions whose confidence lies in one range.

    Attributes:
        low, high: Ends of the range, 0 to 1; the upper one belongs to it.
        count: How many predictions there are; at least one.
        confidence: Their mean confidence, 0 to 1.
        accuracy: The share of right ones, with Wilson's 95% interval.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: Estimate


def bin_of(confidences: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """The bin, from 0, of each confidence: ``(example,)`` to ``(example,)``."""
    return np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)


def reliability(confidences: np.ndarray, hits: np.ndarray, bins: int = CALIBRATION_BINS) -> tuple[ReliabilityBin, ...]:
    """A reliability diagram: the bins that hold a prediction, from the least to the most confident.

    Args:
        confidences: Of the predicted classes, ``(example,)``, 0 to 1.
        hits: 1 for a right prediction, 0 for a wrong one, ``(example,)``.

    Raises:
        PruningError: There is not one hit for each confidence, or there are no bins.
    """
    if len(confidences) != len(hits):
        raise PruningError(
            "there are {confidences} confidences and {hits} hits: one of each is needed",
            confidences=len(confidences),
            hits=len(hits),
        )
    if bins < 1:
        raise PruningError("a reliability diagram has at least one bin, not {bins}", bins=bins)
    where, found = bin_of(np.asarray(confidences, dtype=float), bins), []
    for index in np.unique(where).tolist():
        inside = where == index
        count, right = int(inside.sum()), int(np.asarray(hits)[inside].sum())
        mean = float(np.asarray(confidences)[inside].mean())
        found.append(ReliabilityBin(index / bins, (index + 1) / bins, count, mean, proportion(right, count)))
    return tuple(found)
