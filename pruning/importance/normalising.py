"""Normalising an importance map: an option, never the default, since raw values are what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pruning.errors import PruningError
from pruning.importance.base import ImportanceMap, ragged
from pruning.scopes import Scope
from pruning.wording import either


@dataclass(frozen=True)
class Normalisation:
    """A way to rescale a map.

    Attributes:
        about: What it does, in one sentence.
        rescale: Values of each part, ``(unit,)`` each, to new ones of the same shapes.
        by_part: Whether it treats each part by itself, and so means something only where parts hold several units.
    """

    name: str
    label: str
    about: str
    rescale: Callable[[list[np.ndarray]], list[np.ndarray]]
    by_part: bool = False


def _layer_l2(parts: list[np.ndarray]) -> list[np.ndarray]:
    return [part / (np.linalg.norm(part) or 1.0) for part in parts]


def _min_max(parts: list[np.ndarray]) -> list[np.ndarray]:
    low, high = min(part.min() for part in parts), max(part.max() for part in parts)
    return [(part - low) / ((high - low) or 1.0) for part in parts]


NORMALISATIONS = {
    one.name: one
    for one in (
        Normalisation("none", "None", "Values as they were measured.", lambda parts: parts),
        Normalisation(
            "layer-l2",
            "Per layer (L2)",
            "Each layer's values divided by their L2 norm (Molchanov et al., ICLR 2017), so that layers weigh alike.",
            _layer_l2,
            by_part=True,
        ),
        Normalisation(
            "min-max",
            "Minimum to maximum",
            "All raw values moved to the range from 0 to 1; the order, and which end is important, stay.",
            _min_max,
        ),
    )
}


def get_normalisation(name: str, scope: Scope = "heads") -> Normalisation:
    """The normalisation of that name.

    Raises:
        PruningError: There is none, or it would make all units of this scope alike.
    """
    if name not in NORMALISATIONS:
        raise PruningError(
            "there is no normalisation {name!r}; there are {known}", name=name, known=", ".join(NORMALISATIONS)
        )
    if NORMALISATIONS[name].by_part and scope == "layers":
        others = either(other.name for other in NORMALISATIONS.values() if not other.by_part)
        raise PruningError(
            "{name} would give every layer the same importance: choose {others}", name=name, others=others
        )
    return NORMALISATIONS[name]


def normalise(importance: ImportanceMap, name: str) -> ImportanceMap:
    """The same map with rescaled values; standard errors and scores of examples belong to raw ones and are left out.

    Args:
        name: A name in `NORMALISATIONS`; ``none`` gives the map back as it is.

    Raises:
        PruningError: There is no such way, or it would make all units of this map alike.
    """
    chosen = get_normalisation(name, importance.scope)
    if name == "none":
        return importance
    rows = chosen.rescale([np.array(row, dtype=np.float64) for row in importance.values])
    values = ragged(np.concatenate(rows), tuple(map(len, importance.values)))
    return replace(importance, values=values, standard_errors=(), scores=None)
