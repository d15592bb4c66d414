"""A 95% interval for the change of accuracy: both models answer the same rows, so rows are drawn in pairs."""

import numpy as np


def paired_interval(before: np.ndarray, after: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, ...]:
    """Change, lower and upper end in points. ``before`` and ``after`` say row by row which answers are right."""
    if before.shape != after.shape:
        raise ValueError(f"pairs need the same rows, not {before.shape} and {after.shape}")
    change = after.astype(float) - before.astype(float)  # -1, 0 or 1
    rows = np.random.default_rng(seed).integers(len(change), size=(draws, len(change)))
    low, high = np.percentile(change[rows].mean(1), [2.5, 97.5])
    return tuple(100 * float(value) for value in (change.mean(), low, high))


def unpaired_interval(before: np.ndarray, after: np.ndarray, draws: int = 2000, seed: int = 0) -> tuple[float, ...]:
    """The same with rows drawn for each model by itself: wrong here, because it forgets that the rows agree."""
    random = np.random.default_rng(seed)
    n = len(before)
    first = before[random.integers(n, size=(draws, n))].mean(1)
    second = after[random.integers(n, size=(draws, n))].mean(1)
    low, high = np.percentile(second - first, [2.5, 97.5])
    return tuple(100 * float(value) for value in (after.mean() - before.mean(), low, high))


random = np.random.default_rng(1)
before = random.random(500) < 0.87
after = before.copy()
flips = random.permutation(500)[:30]
after[flips] = ~after[flips]  # most right answers that flip become wrong

paired, unpaired = paired_interval(before, after), unpaired_interval(before, after)
width = [high - low for _, low, high in (paired, unpaired)]
assert np.isclose(paired[0], unpaired[0])  # the same change
assert width[0] < 0.7 * width[1]  # known far more exactly
assert np.isclose(paired[0], 100 * (np.sum(after & ~before) - np.sum(before & ~after)) / 500)

# 2 more right answers of 100 are within chance.
few = before[:100].copy()
better = few.copy()
better[np.flatnonzero(~few)[:5]] = True
better[np.flatnonzero(few)[:3]] = False
gain = paired_interval(few, better)
assert gain[1] < 0 < gain[2]
print("500 rows, paired:   {:+.1f} points ({:+.1f} to {:+.1f})".format(*paired))
print("500 rows, unpaired: {:+.1f} points ({:+.1f} to {:+.1f})".format(*unpaired))
print("100 rows, paired:   {:+.1f} points ({:+.1f} to {:+.1f})".format(*gain))
