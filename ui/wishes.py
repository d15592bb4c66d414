"""What a plan can be asked for, given a model, a strategy and a criterion. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pruning.anatomy import Anatomy
from pruning.importance import get_criterion
from pruning.language import mark, tr
from pruning.masks import Mask
from pruning.scopes import SCOPES, Scope, parts_of
from pruning.search import DEFAULT_CRITERION, DEFAULT_STRATEGY, KINDS, get_strategy

if TYPE_CHECKING:
    from pruning.search.planning import Request

SCOPE_CHOICES: tuple[tuple[Scope, ...], ...] = (("heads",), ("heads", "neurons"), ("neurons",), ("layers",))
SHARES = tuple(range(95, 0, -5))  # percent that may stay
KIND_NAMES = {"params": mark("parameters"), "macs": mark("MACs"), "latency": mark("latency")}  # beside the scopes
POINTS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True)
class Wish:
    """What the form says.

    Attributes:
        keep: Percent of what the budget counts, that may stay.
        points: Percentage points of accuracy that may be lost.
        layers, heads: That must stay.
    """

    strategy: str = DEFAULT_STRATEGY
    scopes: tuple[Scope, ...] = SCOPE_CHOICES[0]
    kind: str = "heads"
    keep: int = 50
    points: float = 2.0
    layers: tuple[int, ...] = ()
    heads: str = ""


def scope_choices(anatomy: Anatomy, strategy: str, criterion: str) -> list[tuple[Scope, ...]]:
    """What may go in this model, as far as the strategy and its ranking know of it."""
    chosen = get_strategy(strategy)
    ranked = SCOPES if chosen.measure else get_criterion(criterion).scopes
    there = {scope for scope in SCOPES if any(part.support == "prune" for part in parts_of(anatomy, scope))}
    return [scopes for scopes in SCOPE_CHOICES if there.intersection(chosen.scopes, ranked) >= set(scopes)]


def fitted(wish: Wish, anatomy: Anatomy, criterion: str) -> Wish:
    """The wish with what this model, strategy and criterion allow in the place of what they do not."""
    scopes = scope_choices(anatomy, wish.strategy, criterion)
    if not scopes:
        wish = replace(wish, strategy=DEFAULT_STRATEGY)
        scopes = scope_choices(anatomy, wish.strategy, criterion) or [wish.scopes]
    chosen = wish.scopes if wish.scopes in scopes else scopes[0]
    kinds = budget_kinds(chosen)
    kind = wish.kind if wish.kind in kinds else kinds[0]
    layers = tuple(layer for layer in wish.layers if layer < len(anatomy.layers))
    return replace(wish, scopes=chosen, kind=kind, layers=layers)


def budget_kinds(scopes: tuple[Scope, ...]) -> tuple[str, ...]:
    """The kinds of budget that removing units of these scopes can meet."""
    return tuple(kind for kind in KINDS if kind in scopes or kind not in SCOPES)


def request_of(wish: Wish, criterion: str, whole_groups: bool) -> Request:
    """The wish as the engine takes it. Compensation is left open: a search does not depend on it.

    Raises:
        PruningError: The heads cannot be read, or strategy, criterion and scopes do not go together.
    """
    from pruning.search.planning import Request

    return Request(
        criterion=DEFAULT_CRITERION if get_strategy(wish.strategy).measure else criterion,
        strategy=wish.strategy,
        scopes=wish.scopes,
        protected=replace(Mask.parse_heads(wish.heads), layers=frozenset(wish.layers)),
        whole_groups=whole_groups,
    ).check()


def kind_name(kind: str) -> str:
    """What a kind of budget counts, as it stands in a sentence."""
    return tr(KIND_NAMES.get(kind, kind))
