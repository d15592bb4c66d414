"""Masks drawn by lot that remove as many units as another one. Pure: no streamlit, no torch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pruning.anatomy import Anatomy
from pruning.masks import Mask
from pruning.scopes import SCOPES, Scope, UnitId, mask_of, parts_of, sizes_of, unit_ids, units_of


def lots(like: Mask, anatomy: Anatomy, count: int) -> tuple[Mask, ...]:
    """So many draws, with the seeds from 0 on; the first is that of the criterion called Random."""
    return tuple(lot(like, anatomy, seed) for seed in range(count))


def lot(like: Mask, anatomy: Anatomy, seed: int) -> Mask:
    """As many layers, heads and neurons as a mask removes, each with equal chances.

    Heads and neurons inside removed layers are not counted, and none are drawn inside drawn layers.
    """
    drawn = Mask()
    for scope in reversed(SCOPES):  # layers first: what is inside them cannot go twice
        wanted = len(_outside(units_of(like, scope), scope, like, anatomy))
        drawn |= mask_of(scope, _lowest(scope, anatomy, seed, drawn)[:wanted]) if wanted else Mask()
    return drawn


def _lowest(scope: Scope, anatomy: Anatomy, seed: int, drawn: Mask) -> list[UnitId]:
    """All that can go, in an order drawn by lot."""
    place = SCOPES.index(scope)
    generator = np.random.default_rng([seed, place] if place else seed)  # heads as `importance.random_scores` has them
    order = np.argsort(generator.random(sum(sizes_of(anatomy, scope))), kind="stable")
    units, parts = list(unit_ids(anatomy, scope)), parts_of(anatomy, scope)
    return _outside((units[i] for i in order if parts[units[i][0]].support != "none"), scope, drawn, anatomy)


def _outside(units: Iterable[UnitId], scope: Scope, mask: Mask, anatomy: Anatomy) -> list[UnitId]:
    """The units that are in none of the mask's layers."""
    if scope == "layers":
        return list(units)
    name = "sites" if scope == "heads" else "blocks"
    gone = {part for layer in mask.layers for part in getattr(anatomy.layers[layer], name)}
    return [unit for unit in units if unit[0] not in gone]
