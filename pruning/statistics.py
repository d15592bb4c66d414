"""Intervals and paired tests: every figure that Headroom shows comes with one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054
RESAMPLES = 2000
FEWEST = 20  # examples that a bootstrap needs: of one example all resamples are equal, which is no certainty


@dataclass(frozen=True)
class Estimate:
    """A measured value with its 95% interval, in the value's own unit."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def proportion(successes: int, count: int) -> Estimate:
    """A proportion with Wilson's score interval (Wilson, JASA 1927)."""
    p, z2 = successes / count, Z95**2
    centre = (p + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * math.sqrt(p * (1 - p) / count + z2 / (4 * count**2))
    return Estimate(p, min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half)))


def mean(values: np.ndarray, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """A mean with the interval of Student's t; a single value has none.

    Args:
        values: ``(example,)``.
        least, most: What the mean can be: the interval of a few values may reach beyond, and ends there.
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    centre = float(values.mean())
    if len(values) < 2:
        return Estimate(centre, -math.inf, math.inf)
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Estimate(centre, min(centre, max(least, centre - half)), max(centre, min(most, centre + half)))


def paired_proportion(better: int, worse: int, count: int) -> Estimate:
    """Difference of two proportions on the same examples.

    The interval adds one to each discordant count (Bonett & Price, J. Educ. Behav. Stat. 2012), so that it has a width
    even where nothing flipped; the value is the plain difference.
    """
    p12, p21 = (better + 1) / (count + 2), (worse + 1) / (count + 2)
    half = Z95 * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (count + 2))
    value, centre = (better - worse) / count, p12 - p21
    return Estimate(value, min(value, max(-1.0, centre - half)), max(value, min(1.0, centre + half)))


def difference_of(first: Estimate, second: Estimate) -> Estimate:
    """The second minus the first, of two estimates from different examples.

    The interval is made from the ends of both (MOVER; Zou & Donner, Statistics in Medicine 2008).
    """
    value = second.value - first.value
    down = math.hypot(second.value - second.low, first.high - first.value)
    up = math.hypot(second.high - second.value, first.value - first.low)
    return Estimate(value, value - down, value + up)


def percentile_interval(value: float, resampled: np.ndarray, count: int = FEWEST) -> Estimate:
    """The percentile bootstrap interval (Efron & Tibshirani 1993), never excluding the value itself.

    Args:
        count: Of the examples that were resampled; below `FEWEST` there is no interval.
    """
    finite = resampled[np.isfinite(resampled)]
    if not len(finite) or count < FEWEST:
        return Estimate(value, -math.inf, math.inf)
    low, high = np.percentile(finite, [2.5, 97.5])
    return Estimate(value, min(value, float(low)), max(value, float(high)))


def resampled_counts(counts: np.ndarray, seed: int) -> np.ndarray:
    """Bootstrap of a table of counts: resampling examples is drawing from a multinomial over its cells.

    Args:
        counts: Any shape; its cells partition the examples.

    Returns:
        ``(resample, *counts.shape)``.
    """
    total = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(total, counts.ravel() / total, size=RESAMPLES)
    return draws.reshape(RESAMPLES, *counts.shape)


def mcnemar(better: int, worse: int) -> float:
    """Two-sided exact p value of McNemar's test (McNemar, Psychometrika 1947): are flips equally likely both ways?"""
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse, 0.5).pvalue) if better + worse else 1.0
