"""2:4 sparsity: of every four weights in a row that lie side by side, the two smallest are set to zero."""

import numpy as np


def prune_n_of_m(weight: np.ndarray, keep: int = 2, group: int = 4) -> np.ndarray:
    """Keep the ``keep`` largest of every ``group`` neighbours along the inputs. ``weight`` is ``(output, input)``."""
    outputs, inputs = weight.shape
    if inputs % group:
        raise ValueError(f"{inputs} inputs cannot be split into groups of {group}")
    groups = weight.reshape(outputs, inputs // group, group)
    order = np.argsort(-np.abs(groups), axis=-1, kind="stable")
    kept = np.zeros(groups.shape, dtype=bool)
    np.put_along_axis(kept, order[..., :keep], True, axis=-1)
    return np.where(kept, groups, 0).reshape(weight.shape)


def compress(pruned: np.ndarray, keep: int = 2, group: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """What sparse hardware stores: the kept values, and where each stood in its group (two bits each for 2:4)."""
    groups = pruned.reshape(len(pruned), -1, group)
    places = np.sort(np.argsort(groups == 0, axis=-1, kind="stable")[..., :keep], axis=-1)
    return np.take_along_axis(groups, places, -1), places


def restore(values: np.ndarray, places: np.ndarray, group: int = 4) -> np.ndarray:
    groups = np.zeros((*values.shape[:2], group))
    np.put_along_axis(groups, places, values, -1)
    return groups.reshape(len(values), -1)


row = np.array([[0.9, -0.1, 0.3, -0.5, 0.0, 0.2, -0.2, 0.8]])
assert prune_n_of_m(row).tolist() == [[0.9, 0, 0, -0.5, 0, 0.2, 0, 0.8]]  # by hand; the first of equals stays

weight = np.random.default_rng(0).normal(size=(64, 128))
pruned = prune_n_of_m(weight)
assert (np.count_nonzero(pruned.reshape(64, 32, 4), axis=-1) == 2).all()
assert np.array_equal(restore(*compress(pruned)), pruned)

# The pattern costs something: the freely chosen half keeps more of the matrix.
free = np.where(np.abs(weight) >= np.median(np.abs(weight)), weight, 0)
energy = [float((w**2).sum() / (weight**2).sum()) for w in (free, pruned)]
assert energy[0] > energy[1]
bits = [16 * 4, 2 * (16 + 2)]  # of four numbers in 16 bits
print(f"squared weight kept: {energy[0]:.0%} where any half may go, {energy[1]:.0%} with 2:4")
print(f"bits for four weights: {bits[0]} before, {bits[1]} after ({bits[1] / bits[0]:.0%})")
