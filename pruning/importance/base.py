"""What a criterion is, and the registry that menus, help texts and the command line are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import numpy as np

from pruning.errors import PruningError
from pruning.masks import HeadId, Mask

if TYPE_CHECKING:
    from pruning.importance.context import ScoringContext

Direction = Literal["high", "low"]  # which end of the scale is important, that is, kept


class Criterion:
    """A published way to say how important a head is. A frozen dataclass: its fields are its only settings.

    Calling it returns raw values, either one per head, ``(head,)``, or one per example and head, ``(example, head)``;
    heads are counted through all sites in order. The importance of a head is then the mean over examples.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    unit: ClassVar[str]  # for axes and hover texts
    direction: ClassVar[Direction]
    signed: ClassVar[bool]  # drawn on a diverging scale around zero
    needs_data: ClassVar[bool]
    needs_labels: ClassVar[bool]
    needs_gradients: ClassVar[bool]
    quick: ClassVar[bool]  # a pass or two over the examples, not one for every head
    cost: ClassVar[str]
    about: ClassVar[str]  # what it means, in two sentences
    reference: ClassVar[str]

    def __call__(self, context: ScoringContext) -> np.ndarray:
        raise NotImplementedError


C = TypeVar("C", bound=Criterion)
_REGISTRY: dict[str, type[Criterion]] = {}


def register(criterion: type[C]) -> type[C]:
    """Class decorator that adds a criterion to the registry; a name that is taken is refused."""
    if criterion.name in _REGISTRY:
        raise ValueError(f"a criterion named {criterion.name!r} is registered already")
    _REGISTRY[criterion.name] = criterion
    return criterion


def criteria() -> dict[str, type[Criterion]]:
    """All registered criteria by name, in the order of registration."""
    return dict(_REGISTRY)


def get_criterion(name: str) -> type[Criterion]:
    """The criterion class of that name.

    Raises:
        PruningError: No criterion has that name; the message lists those there are.
    """
    if name not in _REGISTRY:
        raise PruningError(f"there is no criterion {name!r}; there are {', '.join(_REGISTRY)}")
    return _REGISTRY[name]


def describe_criterion(criterion: type[Criterion]) -> dict[str, object]:
    """One row of the registry, as the command line prints it."""
    keys = "name label direction unit signed needs_data needs_labels needs_gradients quick cost about reference"
    return {key: getattr(criterion, key) for key in keys.split()}


@dataclass(frozen=True)
class ImportanceMap:
    """Raw importance of every head under one criterion.

    Attributes:
        criterion: Name in the registry.
        values: ``[site][head]``, ragged, raw.
        sites: Path of each site.
        samples: Number of examples that were scored (0 where the criterion needs none).
        seconds: Time that the scoring took, without loading.
        model: Fingerprint of the model.
        data: Fingerprint of the examples; empty where the criterion needs none.
        made: ISO date on which it was measured.
        standard_errors: Of the mean over examples, ``[site][head]``; empty where it is not a mean.
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

    @property
    def keep_values(self) -> dict[HeadId, float]:
        """Importance by head, turned so that more is always more important."""
        sign = 1.0 if get_criterion(self.criterion).direction == "high" else -1.0
        return {HeadId(s, h): sign * v for s, row in enumerate(self.values) for h, v in enumerate(row)}

    def ranked(self) -> list[HeadId]:
        """Heads from the least to the most important; equals stay in the model's order."""
        keep = self.keep_values
        return sorted(keep, key=lambda head: (keep[head], head))

    def lowest(self, count: int) -> Mask:
        """The mask that removes the ``count`` least important heads."""
        if not 0 <= count <= len(self.keep_values):
            raise PruningError(f"cannot remove {count} heads: the model has {len(self.keep_values)}")
        return Mask(frozenset(self.ranked()[:count]))

    def threshold_for(self, count: int) -> float | None:
        """A raw value between the ``count`` least important heads and the others; None where there is nothing between.

        Equal values on both sides cannot be told apart by a threshold; then it is that value.
        """
        values, ranked = self.keep_values, self.ranked()
        if not 0 < count < len(ranked):
            return None
        sign = 1.0 if get_criterion(self.criterion).direction == "high" else -1.0
        return sign * (values[ranked[count - 1]] + values[ranked[count]]) / 2

    def below(self, threshold: float) -> Mask:
        """The mask that removes every head less important than a raw value of ``threshold``."""
        sign = 1.0 if get_criterion(self.criterion).direction == "high" else -1.0
        return Mask(frozenset(head for head, value in self.keep_values.items() if value < sign * threshold))

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, value: dict[str, object]) -> ImportanceMap:
        rows = ("values", "standard_errors")
        fixed = {name: tuple(tuple(row) for row in value.get(name, ())) for name in rows}  # type: ignore[attr-defined]
        return cls(**{**value, **fixed, "sites": tuple(value["sites"])})  # type: ignore[arg-type]

    def with_values(self, values: tuple[tuple[float, ...], ...]) -> ImportanceMap:
        """The same map with other values (normalised ones, say)."""
        return replace(self, values=values)


def ragged(flat: np.ndarray, heads_per_site: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """``(head,)`` to ``[site][head]``."""
    ends = np.cumsum(heads_per_site)[:-1]
    return tuple(tuple(float(v) for v in part) for part in np.split(np.asarray(flat, dtype=np.float64), ends))


Progress = Callable[[int, int], None]  # done, total; may raise Cancelled
