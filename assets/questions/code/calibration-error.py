"""Expected calibration error (Naeini et al., 2015; Guo et al., 2017) of an honest and an over-confident model."""

import numpy as np


def calibration_error(confidence: np.ndarray, hit: np.ndarray, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equally wide bins, each weighted by its rows.

    Args:
        confidence: ``(row,)`` the probability of the predicted class, 0 to 1.
        hit: ``(row,)`` whether the prediction was right.
    """
    if len(confidence) == 0 or len(confidence) != len(hit):
        raise ValueError(f"{len(confidence)} confidences do not fit {len(hit)} answers")
    place = np.minimum((confidence * bins).astype(int), bins - 1)  # 1.0 belongs to the last bin
    error = 0.0
    for one in np.unique(place):
        rows = place == one
        error += rows.mean() * abs(hit[rows].mean() - confidence[rows].mean())
    return float(error)


# By hand: 4 rows at 0.9, 3 of them right; 6 rows at 0.6, 3 of them right.
confidence = np.array([0.9] * 4 + [0.6] * 6)
hit = np.array([1, 1, 1, 0, 1, 1, 1, 0, 0, 0])
assert np.isclose(calibration_error(confidence, hit, bins=10), 0.4 * 0.15 + 0.6 * 0.10)

random = np.random.default_rng(0)
truth = random.uniform(0.5, 1.0, size=20_000)  # the real chance of being right
hit = random.random(20_000) < truth
logit = np.log(truth / (1 - truth))
sure = 1 / (1 + np.exp(-2 * logit))  # logits twice as large: same answers, more confidence
honest, loud = calibration_error(truth, hit), calibration_error(sure, hit)
assert honest < 0.02 < loud

# Few rows look badly calibrated by chance alone: compare like with like.
small = np.mean([calibration_error(truth[i : i + 100], hit[i : i + 100]) for i in range(0, 20_000, 100)])
assert small > 3 * honest
print(f"honest {honest:.3f}, over-confident {loud:.3f}, same accuracy {hit.mean():.3f}")
print(f"the honest model on 100 rows at a time: {small:.3f} on average")
