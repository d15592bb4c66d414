"""What a strategy is, what it finds, and the registry that menus, help texts and the command line are made from."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pruning.language import later
from pruning.masks import HeadId, Mask, NeuronId
from pruning.registry import Registry
from pruning.scopes import SCOPES, Scope
from pruning.search.budget import Gauge, PlanError

if TYPE_CHECKING:
    from pruning.search.context import SearchContext


class Unit(NamedTuple):
    """One head, neuron or layer: its scope, the index of its site, block or layer, and its number inside it."""

    scope: Scope
    part: int
    number: int


Bundle = tuple[Unit, ...]  # units that go together: one, or the heads of a key-value group


def mask_of_units(units: Iterable[Unit]) -> Mask:
    """The mask that removes these units."""
    rows: dict[str, list[Unit]] = {scope: [] for scope in SCOPES}
    for unit in units:
        rows[unit.scope].append(unit)
    return Mask(
        frozenset(HeadId(part, index) for _, part, index in rows["heads"]),
        frozenset(NeuronId(part, index) for _, part, index in rows["neurons"]),
        frozenset(part for _, part, _ in rows["layers"]),
    )


class Search:
    """What a strategy found out about a model: enough to answer any budget."""

    def mask_for(self, gauge: Gauge, share: float) -> Mask:
        """The mask that leaves no more than that share of what the gauge measures.

        Raises:
            BudgetError: None does; the message names the nearest share that can be met.
        """
        raise NotImplementedError

    def most(self) -> Mask:
        """All that a budget above zero may remove."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class RemovalOrder(Search):
    """Which unit goes first, which next: every budget is met by a prefix, so larger cuts contain the smaller ones.

    Attributes:
        steps: Least important first.
        spared: Steps that go only where a budget asks for nothing to remain: the last of a kind that would be gone.
    """

    steps: tuple[Bundle, ...]
    spared: frozenset[Bundle] = frozenset()

    @cached_property
    def usual(self) -> tuple[Bundle, ...]:
        """The steps that any budget may take."""
        return tuple(step for step in self.steps if step not in self.spared)

    def prefix(self, count: int) -> Mask:
        """The mask of the first ``count`` usual steps."""
        return mask_of_units(chain(*self.usual[:count]))

    def most(self) -> Mask:
        return self.prefix(len(self.usual))

    def mask_for(self, gauge: Gauge, share: float) -> Mask:
        """The smallest prefix that meets the budget."""
        everything = mask_of_units(chain(*self.steps))
        if share == 0 and gauge.kind in SCOPES and gauge.meets(everything, 0):
            return everything
        if not gauge.meets(self.most(), share):
            raise gauge.unreachable(share, self.most())
        return self.prefix(smallest(self.usual, gauge, share))


def smallest(steps: Sequence[Bundle], gauge: Gauge, share: float, start: int = 0) -> int:
    """Length of the smallest prefix, of ``start`` steps or more, that meets a share which all the steps meet.

    Found by halving: a longer prefix never leaves more.
    """
    sizes = range(start, len(steps) + 1)
    return start + bisect_left(sizes, True, key=lambda count: gauge.meets(mask_of_units(chain(*steps[:count])), share))


class Strategy:
    """A way to choose what to remove, the budget still being open. A frozen dataclass: its fields are its settings."""

    name: ClassVar[str]
    label: ClassVar[str]
    scopes: ClassVar[tuple[Scope, ...]] = SCOPES  # the kinds of unit that it can choose among
    measure: ClassVar[str] = ""  # what it ranks by, where that is not the criterion that the user chooses
    cost: ClassVar[str]
    about: ClassVar[str]  # what it does, in two sentences
    reference: ClassVar[str]

    def __call__(self, context: SearchContext) -> Search:
        raise NotImplementedError


_STRATEGIES: Registry[type[Strategy]] = Registry("strategy", PlanError)
register, strategies, get_strategy = _STRATEGIES.add, _STRATEGIES.all, _STRATEGIES.get


def describe_strategy(strategy: type[Strategy]) -> dict[str, object]:
    """One row of the registry, with the strategy's own settings and their defaults."""
    row = {key: getattr(strategy, key) for key in ["name", "label", "scopes", "measure", "cost", "about", "reference"]}
    return row | {"settings": _defaults(strategy)}


def make_strategy(name: str, settings: dict[str, str]) -> Strategy:
    """A strategy with settings as people type them.

    Raises:
        PlanError: The strategy has no such setting, or the value is not of its type.
    """
    kind = get_strategy(name)
    defaults = _defaults(kind)
    values: dict[str, object] = {}
    for key, text in settings.items():
        if key not in defaults:
            known = ", ".join(f"{k}={v}" for k, v in defaults.items()) or later("none")
            raise PlanError(
                "the strategy {name} has no setting {key!r}; its settings and defaults: {known}",
                name=name,
                key=key,
                known=known,
            )
        try:
            values[key] = _read_as(type(defaults[key]), text)
        except (ValueError, KeyError):
            raise PlanError(
                "{key}={text} cannot be: it takes a value like {key}={default}",
                key=key,
                text=text,
                default=defaults[key],
            ) from None
    return kind(**values)


def _defaults(strategy: type[Strategy]) -> dict[str, Any]:
    return {field.name: field.default for field in fields(strategy)}  # type: ignore[arg-type]


def _read_as(kind: type, text: str) -> object:
    return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
