"""Budgets: how much of a model may remain, and the gauge that says how much of it does."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from pruning.errors import PruningError
from pruning.language import later, mark
from pruning.masks import Mask
from pruning.scopes import SCOPES, sizes_of

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy
    from pruning.cost import CostModel
    from pruning.latency import LatencyTable

Kind = Literal["heads", "neurons", "layers", "params", "macs", "latency"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ALIASES = {"parameters": "params"}
FORM = mark("heads=0.5 or params=0.6: a kind and the share of it that may remain")


class PlanError(PruningError):
    """A plan that cannot be made, read, or used with this model."""


class BudgetError(PlanError):
    """A budget that cannot be read or met; where it cannot be met, the message names one that can."""


def get_kind(name: str) -> Kind:
    """The kind of budget of that name.

    Raises:
        BudgetError: There is none; the message lists those there are.
    """
    found = next((kind for kind in KINDS if kind == ALIASES.get(name, name)), None)
    if found is None:
        raise BudgetError(
            "there is no budget in {name!r}; there are {known}", name=name, known=", ".join((*KINDS, *ALIASES))
        )
    return found


@dataclass(frozen=True)
class Budget:
    """What may remain of a model, at most: ``Budget("heads", 0.5)`` keeps no more than half of the heads.

    Attributes:
        share: Of the original, 0 to 1. Only a share of exactly 0 asks for everything to go.

    Raises:
        BudgetError: There is no such kind, or the share is not between 0 and 1.
    """

    kind: Kind
    share: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", get_kind(self.kind))
        if not 0 <= self.share <= 1:
            raise BudgetError(
                "{share:g} is not a share: 0 to 1 is, of what may remain of the {kind}",
                share=self.share,
                kind=later(self.kind),
            )

    def __str__(self) -> str:
        return f"{self.kind}={self.share:g}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read a budget as people type it: ``heads=0.5``, ``params=0.6``, ``macs=50%``.

        Raises:
            BudgetError: Says what cannot be read, and what can.
        """
        match = re.fullmatch(r"\s*([a-z]+)\s*=\s*([0-9.]{1,12})\s*(%?)\s*", text)
        if not match or match[2].count(".") > 1 or match[2] == ".":
            raise BudgetError("{text!r} is not a budget: write {form}", text=text, form=later(FORM))
        return cls(get_kind(match[1]), float(match[2]) / (100 if match[3] else 1))


@dataclass(frozen=True, eq=False)
class Gauge:
    """How much of a model is left under a mask, by one measure.

    Attributes:
        latency: Needed for the kind ``latency`` only.
    """

    kind: Kind
    anatomy: Anatomy
    costs: CostModel
    latency: LatencyTable | None = None

    @cached_property
    def whole(self) -> float:
        return self.amount(Mask())

    def amount(self, mask: Mask) -> float:
        """Heads, neurons, layers, parameters, multiply-accumulates or milliseconds that are left."""
        if self.kind in SCOPES:
            return left(self.anatomy, mask)[self.kind]
        if self.kind == "latency":
            if self.latency is None:
                raise BudgetError("a latency budget needs a latency table: measure_latency_table makes one")
            return self.latency.predict(mask)
        cost = self.costs.after(mask)
        return cost.parameters if self.kind == "params" else cost.macs

    def share(self, mask: Mask) -> float:
        """Of the original, 0 to 1."""
        return self.amount(mask) / self.whole if self.whole else 1.0

    def meets(self, mask: Mask, share: float) -> bool:
        """Whether no more than that share is left; sums of floats may miss it by their last digits."""
        return self.amount(mask) <= share * self.whole * (1 + 1e-9)

    def unreachable(self, share: float, most: Mask) -> BudgetError:
        """The error for a share that even removing ``most`` does not reach; the one that it names is reached."""
        nearest = min(1.0, math.ceil(self.share(most) * 1e4) / 1e4)
        return BudgetError(
            "{name}={share:g} cannot be met: removing all that may be removed leaves {left:.1%} of the {kind}; the "
            "nearest that can is {name}={nearest:g}",
            name=self.kind,
            kind=later(self.kind),
            share=share,
            left=self.share(most),
            nearest=nearest,
        )


def left(anatomy: Anatomy, mask: Mask) -> dict[str, int]:
    """How many heads, neurons and layers are left; what is inside a removed layer is not."""
    sites = {site for layer in mask.layers for site in anatomy.layers[layer].sites}
    blocks = {block for layer in mask.layers for block in anatomy.layers[layer].blocks}
    gone = {"layers": len(mask.layers)}
    gone["heads"] = sum(head.site not in sites for head in mask.heads)
    gone["heads"] += sum(anatomy.sites[site].heads for site in sites)
    gone["neurons"] = sum(neuron.block not in blocks for neuron in mask.neurons)
    gone["neurons"] += sum(anatomy.blocks[block].neurons for block in blocks)
    return {scope: sum(sizes_of(anatomy, scope)) - gone[scope] for scope in SCOPES}
