"""What is presented: how much goes, of what; or the mask of the session. No streamlit here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pruning.language import mark
from pruning.masks import Mask
from pruning.presenting.prices import PriceError
from pruning.search.budget import Budget, BudgetError

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy
    from pruning.search.planning import Planner, Request

Kind = Literal["heads", "macs", "mask"]
KINDS: dict[Kind, str] = {
    "heads": mark("Attention heads"),
    "macs": mark("Compute: heads and neurons"),
    "mask": mark("The mask of this session"),
}
PERCENTS = tuple(range(0, 91, 10))
COMPENSATION = "reconstruct"  # what the benchmark found best (benchmarks/README.md)
JOINT = "fisher"  # its strategy for heads and neurons together; re-scoring thousands of neurons takes too long


@dataclass(frozen=True)
class Choice:
    """How much is removed.

    Attributes:
        percent: Of the heads or of the multiply-accumulates; means nothing for a mask.
    """

    kind: Kind = "heads"
    percent: int = 40

    def to_code(self) -> str:
        """As the link says it.

        >>> Choice("macs", 30).to_code(), Choice("mask").to_code()
        ('macs.30', 'mask')
        """
        return self.kind if self.kind == "mask" else f"{self.kind}.{self.percent}"

    @classmethod
    def from_code(cls, code: str) -> Choice:
        """The inverse.

        Raises:
            PriceError: The code is none.
        """
        if code == "mask":
            return cls("mask", 0)
        kind, _, percent = code.partition(".")
        if kind in ("heads", "macs") and percent.isdigit() and int(percent) in PERCENTS:
            return cls(kind, int(percent))  # type: ignore[arg-type]
        raise PriceError("share is heads.40, macs.40 or mask, in steps of ten up to 90, not {code}", code=code[:40])

    @property
    def budget(self) -> Budget:
        return Budget("macs" if self.kind == "macs" else "heads", (100 - self.percent) / 100)

    def request(self, anatomy: Anatomy) -> Request:
        """How its plan is made: the engine's default strategy; for compute the one that the benchmark found best."""
        from pruning.search.planning import Request

        grouped = anatomy.is_grouped
        if self.kind == "macs":
            scopes = ("heads", "neurons") if has_neurons(anatomy) else ("heads",)
            return Request(strategy=JOINT, scopes=scopes, compensation=COMPENSATION, whole_groups=grouped)  # type: ignore[arg-type]
        return Request(compensation=COMPENSATION, whole_groups=grouped)


def has_neurons(anatomy: Anatomy) -> bool:
    """Whether neurons can be cut, too."""
    return any(block.support == "prune" for block in anatomy.blocks)


def possible(planner: Planner, kind: Kind) -> dict[int, Mask]:
    """The steps that exist, with what each removes: something else than the one before it."""
    found = {Mask(): 0}
    for percent in PERCENTS[1:]:
        try:
            found.setdefault(planner.plan(Choice(kind, percent).budget).mask, percent)
        except BudgetError:
            continue
    return {percent: mask for mask, percent in found.items()}


def nearest(percent: int, steps: Iterable[int]) -> int:
    """The step that exists, at most so far."""
    return max((step for step in steps if step <= percent), default=0)
