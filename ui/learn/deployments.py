"""Deployments: what places of use ask for, the rule that makes a kind of plan of it, and the check of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pruning.language import listing, mark, tr
from pruning.statistics import Estimate

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy

Kind = Literal["heads", "both", "weights", "guarantee"]
State = Literal["met", "missed", "open"]
HEADS_ENOUGH = 0.8  # with at least this share of the work left, heads alone can do it; below, neurons go, too
LOSS_POINTS = 0.05  # added to the loss of a model without classes, for each point of accuracy that may be lost
LIMITS = {"size": mark("Parameters"), "macs": mark("Work (MACs)"), "loss": mark("Loss of quality")}
STATES = {"met": mark("met"), "missed": mark("missed"), "open": mark("cannot be told yet")}
PLANS: dict[Kind, str] = {
    "heads": mark("Heads alone, one shot by absolute gradient: the limits are mild and the result runs anywhere"),
    "both": mark("Heads and neurons together by Fisher search: heads alone cannot save this much"),
    "weights": mark("Single weights in the pattern 2:4 by Wanda scores: this hardware can leave out zeros"),
    "guarantee": mark("Only what rows kept apart confirm with 95% confidence: a wrong answer costs too much here"),
}


@dataclass(frozen=True)
class Deployment:
    """What a place of use asks for.

    Attributes:
        label: Marked for translation.
        loss: Points of accuracy that may be lost.
        size, macs: Shares of the parameters and of the work that may remain; 1 where nothing is asked.
        sparse: Whether its hardware multiplies faster where two of four neighbouring weights are zero.
        confirmed: Whether the loss has to be confirmed on rows that played no part.
    """

    label: str
    loss: float
    size: float = 1.0
    macs: float = 1.0
    sparse: bool = False
    confirmed: bool = False

    def kind(self, anatomy: Anatomy) -> Kind:
        """The rule: who must confirm, confirms; who can use zeros, makes zeros; else by how much has to go."""
        if self.confirmed:
            return "guarantee"
        if self.sparse:
            return "weights"
        neurons = any(block.support == "prune" for block in anatomy.blocks)
        return "both" if min(self.size, self.macs) < HEADS_ENOUGH and neurons else "heads"


DEPLOYMENTS = {
    "server": Deployment(mark("Busy server: a little cheaper, hardly worse"), loss=2, macs=0.85),
    "phone": Deployment(mark("Phone: small and frugal"), loss=5, size=0.85, macs=0.6),
    "speech": Deployment(mark("Real-time speech: every millisecond counts"), loss=8, macs=0.5),
    "vision": Deployment(mark("Camera at the edge: little work, few errors"), loss=3, size=0.8, macs=0.7),
    "recommendation": Deployment(mark("Recommendation on chips that use sparse weights"), loss=2, sparse=True),
    "risk": Deployment(mark("High risk, such as medicine: loss confirmed"), loss=2, confirmed=True),
}


@dataclass(frozen=True)
class Check:
    """One limit and what was found.

    Attributes:
        name: A key of `LIMITS`.
        limit, found: Shares of the whole model, or points (loss without classes: in loss).
        state: ``open`` where the value is within the limit and its interval is not.
    """

    name: str
    limit: float
    found: Estimate
    state: State


def checks_of(wanted: Deployment, size: float, macs: float, loss: Estimate, classes: bool) -> tuple[Check, ...]:
    """Each limit that there is, and whether it is kept; the loss only where its whole interval is."""
    checks = [
        Check(name, limit, Estimate(found, found, found), "met" if found <= limit * (1 + 1e-9) else "missed")
        for name, limit, found in (("size", wanted.size, size), ("macs", wanted.macs, macs))
        if limit < 1
    ]
    most = wanted.loss if classes else wanted.loss * LOSS_POINTS
    state: State = "missed" if loss.value > most else "met" if loss.high <= most else "open"
    return (*checks, Check("loss", most, loss, state))


def limits_text(wanted: Deployment, classes: bool) -> str:
    """What a deployment asks for, in words."""
    limits = []
    if wanted.size < 1:
        limits.append(tr("at most {share:.0%} of the parameters", share=wanted.size))
    if wanted.macs < 1:
        limits.append(tr("at most {share:.0%} of the work", share=wanted.macs))
    if classes:
        limits.append(tr("a loss of at most {points:g} points", points=wanted.loss))
    else:
        limits.append(tr("at most {loss:g} more in loss", loss=wanted.loss * LOSS_POINTS))
    if wanted.sparse:
        limits.append(tr("zeros in the pattern 2:4"))
    if wanted.confirmed:
        limits.append(tr("confirmed on rows kept apart"))
    return tr("Limits: {limits}", limits=listing(limits))
