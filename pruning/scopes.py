"""Scopes: the kinds of unit that can be removed, counted alike. A unit is ``(part, index)``.

Heads sit in attention sites, neurons in feed-forward blocks; a layer is a part with one unit. So whatever is said of a
unit, its importance or its cost, is ragged: ``[part][unit]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, get_args

from pruning.errors import PruningError
from pruning.masks import HeadId, Mask, NeuronId

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy, AttentionSite, Layer, MLPSite

Scope = Literal["heads", "neurons", "layers"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
UnitId = tuple[int, int]


def get_scope(name: str) -> Scope:
    """The scope of that name.

    Raises:
        PruningError: There is none; the message lists those there are.
    """
    found = next((scope for scope in SCOPES if scope == name), None)
    if found is None:
        raise PruningError("there is no scope {name!r}; there are {known}", name=name, known=", ".join(SCOPES))
    return found


def parts_of(anatomy: Anatomy, scope: Scope) -> tuple[AttentionSite | MLPSite | Layer, ...]:
    """The sites, blocks or layers that hold the units."""
    if scope == "layers":
        return anatomy.layers
    return anatomy.sites if scope == "heads" else anatomy.blocks


def sizes_of(anatomy: Anatomy, scope: Scope) -> tuple[int, ...]:
    """Number of units in each part."""
    if scope == "layers":
        return (1,) * len(anatomy.layers)
    return anatomy.heads_per_site if scope == "heads" else tuple(block.neurons for block in anatomy.blocks)


def unit_ids(anatomy: Anatomy, scope: Scope) -> Iterator[UnitId]:
    """Every unit, part by part."""
    return ((part, unit) for part, size in enumerate(sizes_of(anatomy, scope)) for unit in range(size))


def mask_of(scope: Scope, units: Iterable[UnitId]) -> Mask:
    """The mask that removes these units."""
    if scope == "heads":
        return Mask(heads=frozenset(HeadId(*unit) for unit in units))
    if scope == "neurons":
        return Mask(neurons=frozenset(NeuronId(*unit) for unit in units))
    return Mask(layers=frozenset(part for part, _ in units))


def units_of(mask: Mask, scope: Scope) -> frozenset[UnitId]:
    """The units of a scope that a mask removes."""
    if scope == "layers":
        return frozenset((layer, 0) for layer in mask.layers)
    return frozenset(tuple(unit) for unit in (mask.heads if scope == "heads" else mask.neurons))  # type: ignore[misc]
