"""What a criterion is, and the registry that menus, help texts and the command line are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from pruning.errors import PruningError
from pruning.language import later, mark
from pruning.masks import HeadId, Mask, NeuronId
from pruning.registry import Registry
from pruning.scopes import SCOPES, Scope, UnitId, mask_of

if TYPE_CHECKING:
    from pruning.importance.context import ScoringContext

Direction = Literal["high", "low"]  # which end of the scale is important, that is, kept


class Criterion:
    """A published way to say how important a unit is: a head, a neuron or a layer, as the context's scope says.

    A frozen dataclass: its fields are its only settings. Calling it returns raw values, either one per unit,
    ``(unit,)``, or one per example and unit, ``(example, unit)``; units are counted through all parts in order. The
    importance of a unit is then the mean over examples. A criterion that estimates by sampling returns `Sampled`.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    scopes: ClassVar[tuple[Scope, ...]] = SCOPES  # the kinds of unit that it is defined for
    unit: ClassVar[str]  # for axes and hover texts
    direction: ClassVar[Direction]
    signed: ClassVar[bool]  # drawn on a diverging scale around zero
    needs_data: ClassVar[bool]
    needs_labels: ClassVar[bool]
    needs_gradients: ClassVar[bool]
    quick: ClassVar[bool]  # a pass or two over the examples, not one for every head
    cost: ClassVar[str]
    per_example: ClassVar[bool] = True  # scores each example by itself: with data, a mean with a standard error
    may_tie: ClassVar[bool] = False  # different units may well have equal values
    about: ClassVar[str]  # what it means, in two sentences
    reference: ClassVar[str]

    def __call__(self, context: ScoringContext) -> np.ndarray | Sampled:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Sampled:
    """Values that are estimates for another reason than the choice of examples.

    Attributes:
        values: ``(unit,)``.
        standard_errors: ``(unit,)``.
        samples: Number of examples that were used.
    """

    values: np.ndarray
    standard_errors: np.ndarray
    samples: int


_CRITERIA: Registry[type[Criterion]] = Registry("criterion")
register, criteria, get_criterion = _CRITERIA.add, _CRITERIA.all, _CRITERIA.get


def describe_criterion(criterion: type[Criterion]) -> dict[str, object]:
    """One row of the registry, as the command line prints it."""
    keys = "name label direction unit signed scopes needs_data needs_labels needs_gradients quick cost about reference"
    return {key: getattr(criterion, key) for key in keys.split()}


@dataclass(frozen=True)
class ImportanceMap:
    """Raw importance of every unit of a scope under one criterion.

    Attributes:
        criterion: Name in the registry.
        values: ``[part][unit]``, ragged, raw: ``[site][head]``, ``[block][neuron]`` or ``[layer][0]``.
        sites: Path of each part.
        samples: Number of examples that were scored (0 where the criterion needs none).
        seconds: Time that the scoring took, without loading.
        model: Fingerprint of the model.
        data: Fingerprint of the examples; empty where the criterion needs none.
        made: ISO date on which it was measured.
        standard_errors: Of the mean over examples, ``[part][unit]``; empty where it is not a mean.
        scope: The kind of unit.
        label_free: Whether the model's own predictions took the place of the labels.
        scores: ``(example, unit)``, where the criterion scores each example; not part of JSON.
    """

    criterion: str
    values: tuple[tuple[float, ...], ...]
    sites: tuple[str, ...]
    samples: int
    seed: int
    seconds: float
    model: str
    data: str
    made: str
    standard_errors: tuple[tuple[float, ...], ...] = ()
    scope: Scope = "heads"
    label_free: bool = False
    scores: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def sign(self) -> float:
        """1 where high values are important, -1 where low ones are."""
        return 1.0 if get_criterion(self.criterion).direction == "high" else -1.0

    @property
    def keep_values(self) -> dict[UnitId, float]:
        """Importance by unit, turned so that more is always more important."""
        make = HeadId if self.scope == "heads" else NeuronId if self.scope == "neurons" else _unit
        return {make(p, u): self.sign * v for p, row in enumerate(self.values) for u, v in enumerate(row)}

    def ranked(self) -> list[UnitId]:
        """Units from the least to the most important; equals stay in the model's order."""
        keep = self.keep_values
        return sorted(keep, key=lambda unit: (keep[unit], unit))

    def lowest(self, count: int) -> Mask:
        """The mask that removes the ``count`` least important units."""
        if not 0 <= count <= len(self.keep_values):
            raise PruningError(
                "cannot remove {count} {scope}: the model has {units}",
                count=count,
                scope=later(self.scope),
                units=len(self.keep_values),
            )
        return mask_of(self.scope, self.ranked()[:count])

    def threshold_for(self, count: int) -> float | None:
        """A raw value between the ``count`` least important heads and the others; None where there is nothing between.

        Equal values on both sides cannot be told apart by a threshold; then it is that value.
        """
        values, ranked = self.keep_values, self.ranked()
        if not 0 < count < len(ranked):
            return None
        return self.sign * (values[ranked[count - 1]] + values[ranked[count]]) / 2

    def below(self, threshold: float) -> Mask:
        """The mask that removes every unit less important than a raw value of ``threshold``."""
        return mask_of(self.scope, (u for u, value in self.keep_values.items() if value < self.sign * threshold))

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "scores"}

    @classmethod
    def from_json(cls, value: dict[str, object]) -> ImportanceMap:
        rows = ("values", "standard_errors")
        fixed = {name: tuple(tuple(row) for row in value.get(name, ())) for name in rows}  # type: ignore[attr-defined]
        return cls(**{**value, **fixed, "sites": tuple(value["sites"])})  # type: ignore[arg-type]

    def with_values(self, values: tuple[tuple[float, ...], ...]) -> ImportanceMap:
        """The same map with other values (normalised ones, say)."""
        return replace(self, values=values)

    def flat(self) -> np.ndarray:
        """``(unit,)``."""
        return np.array([value for row in self.values for value in row], dtype=np.float64)


def _unit(part: int, unit: int) -> UnitId:
    return part, unit


def check_alike(maps: Sequence[ImportanceMap]) -> None:
    """Refuse maps that do not rank the same units.

    Raises:
        PruningError: There are no maps, or two differ in their model, their scope or their shape.
    """
    if not maps:
        raise PruningError("there are no importance maps: give at least one")
    first = maps[0]
    for other in maps[1:]:
        for what, one, two in (
            (mark("models"), first.model, other.model),
            (mark("scopes"), first.scope, other.scope),
            (mark("shapes"), tuple(map(len, first.values)), tuple(map(len, other.values))),
        ):
            if one != two:
                raise PruningError(
                    "importance maps of different {what} cannot be put together: {first} has {one}, {other} has {two}",
                    what=later(what),
                    first=first.criterion,
                    one=one,
                    other=other.criterion,
                    two=two,
                )


def ragged(flat: np.ndarray, sizes: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """``(unit,)`` to ``[part][unit]``."""
    ends = np.cumsum(sizes)[:-1]
    return tuple(tuple(float(v) for v in part) for part in np.split(np.asarray(flat, dtype=np.float64), ends))


Progress = Callable[[int, int], None]  # done, total; may raise Cancelled
