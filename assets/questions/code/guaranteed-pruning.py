"""Prune by attention for as long as a guarantee holds on rows that are kept apart, whatever the order is worth."""

from math import comb

import numpy as np

import pruning

ALLOWED, RISK = 0.03, 0.05  # at most 3% new errors, and at most a 5% chance that this statement is wrong


def upper_bound(errors: int, rows: int, risk: float) -> float:
    """Exact one-sided upper bound of a share (Clopper and Pearson, 1934), by bisection."""
    if errors == rows:
        return 1.0
    low, high = errors / rows, 1.0
    for _ in range(60):
        p = (low + high) / 2
        chance = sum(comb(rows, k) * p**k * (1 - p) ** (rows - k) for k in range(errors + 1))
        low, high = (p, high) if chance > risk else (low, p)
    return high


assert np.isclose(upper_bound(0, 100, 0.05), 1 - 0.05 ** (1 / 100))  # known in closed form: about 3 / n

model = pruning.load_model("digits")
task = pruning.task_of(model)
calibration = task.encode(model, pruning.load_data(pruning.DataSpec("digits", split="calibration")))
apart = task.encode(model, pruning.load_data("digits"))
right = pruning.evaluate(model, apart).outcome.hits.astype(bool)


def largest(criterion: str) -> tuple[pruning.Mask, float]:
    """The largest cut whose bound holds, and that bound. The order is fixed BEFORE the rows kept apart are used."""
    importance = pruning.score(model, criterion, calibration)
    best, bound = pruning.Mask(), 0.0
    for count in range(4, model.anatomy.total_heads + 1, 4):
        mask = importance.lowest(count)
        hits = pruning.evaluate(model, apart, mask).outcome.hits.astype(bool)
        found = upper_bound(int((right & ~hits).sum()), len(apart), RISK)
        if found > ALLOWED:  # stop at the first failure: only so does no test need a correction for the others
            break
        best, bound = mask, found
    return best, bound


# "confidence" is the mean of the largest attention weights, "output-norm" the size of the attention-weighted values.
for criterion in ("confidence", "output-norm"):
    best, bound = largest(criterion)
    smaller = pruning.prune(model, best)  # cut, not scaled: the weights are gone
    assert bound <= ALLOWED
    assert smaller.difference <= 1e-5
    assert smaller.parameters < model.anatomy.parameters or not best
    print(f"{criterion}: {len(best.heads)} of {model.anatomy.total_heads} heads cut, {smaller.parameters:,} parameters")
    print(f"  new errors: at most {bound:.1%} on such data, with 95% confidence")
