"""Sensitivity by leaving out: the loss without a head minus the loss with it, and what that cannot see."""

from collections.abc import Callable

import numpy as np

Model = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (row, head), gates (head,) -> answers (row,)


def loss(model: Model, x: np.ndarray, y: np.ndarray, gates: np.ndarray) -> float:
    return float(np.mean((model(x, gates) - y) ** 2))


def sensitivity(model: Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``(head,)``: how much worse the answers are without each head. Negative: it did harm."""
    heads = x.shape[1]
    whole = loss(model, x, y, np.ones(heads))
    return np.array([loss(model, x, y, 1 - np.eye(heads)[h]) - whole for h in range(heads)])


random = np.random.default_rng(0)
signal = random.normal(size=400)
x = np.stack([signal, 0.5 * random.normal(size=400), np.zeros(400)], axis=1)
y = x @ [2.0, 1.0, 0.0]


def adding(x: np.ndarray, gates: np.ndarray) -> np.ndarray:
    return (x * gates) @ np.array([2.0, 1.0, 3.0])


found = sensitivity(adding, x, y)
expected = [np.mean((2 * x[:, 0]) ** 2), np.mean(x[:, 1] ** 2), 0.0]  # by hand: what each head added, squared
assert np.allclose(found, expected)

# Two heads that say the same: either alone can go, not both.
twins = np.stack([signal, signal, 0.1 * random.normal(size=400)], axis=1)


def either(x: np.ndarray, gates: np.ndarray) -> np.ndarray:
    """The average of the twins that are left, plus the third head."""
    left = gates[:2].sum()
    return (x[:, :2] @ gates[:2]) / max(left, 1.0) + x[:, 2] * gates[2]


goal = either(twins, np.ones(3))
alone = sensitivity(either, twins, goal)
both = loss(either, twins, goal, np.array([0.0, 0.0, 1.0]))
assert alone[0] < 1e-12
assert alone[1] < 1e-12
assert alone[2] > 0.005
assert both > 0.5
print("adding model:", np.round(found, 2))
print("twins, one at a time:", np.round(alone, 3) + 0.0)
print("twins, both at once:", round(both, 2))
