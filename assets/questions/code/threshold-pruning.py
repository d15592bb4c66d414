"""A threshold from a budget: one for the whole model, or one in each layer."""

import numpy as np

Layers = dict[str, np.ndarray]  # importance of every unit, by layer


def threshold_for(values: np.ndarray, budget: float) -> float:
    """A value with just the share ``budget`` of units at or above it (where no two values are equal)."""
    keep = round(budget * values.size)
    return np.inf if keep == 0 else float(np.sort(values)[values.size - keep])


def prune_globally(layers: Layers, budget: float) -> dict[str, np.ndarray]:
    """Which units stay: all layers compete."""
    threshold = threshold_for(np.concatenate(list(layers.values())), budget)
    return {name: values >= threshold for name, values in layers.items()}


def prune_by_layer(layers: Layers, budget: float) -> dict[str, np.ndarray]:
    """Which units stay: every layer gives the same share."""
    return {name: values >= threshold_for(values, budget) for name, values in layers.items()}


def with_floor(layers: Layers, budget: float, least: int) -> dict[str, np.ndarray]:
    """As `prune_globally`, but the ``least`` best units of every layer are safe."""
    total = round(budget * sum(v.size for v in layers.values()))
    safe = {name: values >= np.sort(values)[-least] for name, values in layers.items()}
    others = np.concatenate([values[~safe[name]] for name, values in layers.items()])
    room = total - sum(int(s.sum()) for s in safe.values())
    if room < 0:
        raise ValueError(f"the floor alone keeps more than the budget of {total} units")
    threshold = np.inf if room == 0 else np.sort(others)[-room]
    return {name: safe[name] | (values >= threshold) for name, values in layers.items()}


random = np.random.default_rng(0)
layers = {f"layer {i}": random.exponential(scale, 12) for i, scale in enumerate((0.1, 1.0, 2.0))}
results = {
    "global": prune_globally(layers, 0.5),
    "by layer": prune_by_layer(layers, 0.5),
    "global, at least 2": with_floor(layers, 0.5, 2),
}
for name, kept in results.items():
    counts = [int(k.sum()) for k in kept.values()]
    value = sum(float(layers[one][kept[one]].sum()) for one in layers)
    assert sum(counts) == 18  # every way meets the budget exactly
    print(f"{name:19} kept {counts}  importance kept {value:.1f}")
kept = {name: sum(float(layers[one][k[one]].sum()) for one in layers) for name, k in results.items()}
assert kept["global"] >= kept["global, at least 2"] >= kept["by layer"]  # freedom never costs importance
assert [int(k.sum()) for k in results["by layer"].values()] == [6, 6, 6]
assert min(int(k.sum()) for k in results["global, at least 2"].values()) >= 2
