"""A plan: what is to be removed, how that was found, what it will give, and what it gave."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import MaskError
from pruning.language import Later, later, mark
from pruning.masks import Mask
from pruning.scopes import Scope, get_scope
from pruning.search.budget import Budget, PlanError
from pruning.wording import english

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.surgery import PrunedModel

PLAN_VERSION = 1
COMPENSATIONS = ("none", "mean", "reconstruct")


@dataclass(frozen=True)
class Figures:
    """What a model is once the plan is carried out, predicted.

    Attributes:
        heads, neurons, layers: That are left.
        macs: Of one example of ``tokens`` tokens (0: of one image).
        share: Of what the budget counts, left of the original; ``None`` without a budget.
        latency_ms: Of one forward pass; ``None`` where no times were measured.
    """

    heads: int
    neurons: int
    layers: int
    parameters: int
    macs: int
    tokens: int
    share: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class Reached:
    """The same, counted on the model that was cut.

    Attributes:
        share: Of parameters or MACs; ``None`` for other budgets, which are counted before cutting.
    """

    parameters: int
    macs: int
    tokens: int
    share: float | None = None


@dataclass(frozen=True)
class Guarantee:
    """What can be said about accuracy on examples that played no part in the search.

    Attributes:
        points: Of accuracy that may be lost, 0 to 100.
        bound: One-sided 95% upper bound on the loss of this plan, in points.
        lost: Loss on these examples, in points.
        confirmed: Whether the bound is within the points. Otherwise the plan removes nothing.
        samples: Examples that confirm.
        tested: Sizes of cut that were tried, the smallest first.
        needed: About how many examples in all the smallest cut would need; ``None`` where it is confirmed, or where
            no number would do.
        message: All that in a sentence or two, in English; `said` is in the reader's language.
    """

    points: float
    bound: float
    lost: float
    confirmed: bool
    samples: int
    tested: int
    message: str
    needed: int | None = None

    @property
    def said(self) -> Later:
        """The figures in a sentence or two; where nothing is confirmed, about the smallest cut."""
        figures = {"count": self.samples, "lost": self.lost, "bound": self.bound, "points": self.points}
        if self.confirmed:
            return later(
                "On {count} examples kept apart it loses {lost:.1f} points of accuracy, and with 95% confidence no "
                "more than {bound:.1f}.",
                **figures,
            )
        short = later(
            "{count} examples kept apart cannot support a loss of at most {points:g} points: even the smallest cut "
            "loses {lost:.1f} points on them, up to {bound:.1f} with 95% confidence, so nothing is removed.",
            **figures,
        )
        if self.needed:
            return later("{short} About {needed:,} examples would be needed in all.", short=short, needed=self.needed)
        return later("{short} More examples would not help.", short=short)


@dataclass(frozen=True)
class Plan:
    """What is to be removed from one model.

    Attributes:
        mask: In the coordinates of the original model.
        budget: What it had to meet; ``None`` with a threshold or a guarantee in its place.
        settings: Of the strategy.
        criterion: Name in the registry, or what the strategy ranks by itself.
        scopes: The kinds of unit that could go.
        normalise: How importance was rescaled before it was ranked.
        compensation: How the projections are to be compensated.
        model, data: Fingerprints of the model and of the examples.
        samples: Number of examples that were looked at for the search.
        seconds: That the search took.
        made: ISO date.
    """

    mask: Mask
    budget: Budget | None
    strategy: str
    criterion: str
    scopes: tuple[Scope, ...]
    predicted: Figures
    model: str
    data: str
    samples: int
    seed: int
    seconds: float
    made: str
    settings: dict[str, Any] = field(default_factory=dict)
    normalise: str = "none"
    compensation: str = "none"
    threshold: float | None = None
    guarantee: Guarantee | None = None
    reached: Reached | None = None
    notes: tuple[str | Later, ...] = ()
    version: int = PLAN_VERSION

    def to_json(self) -> dict[str, Any]:
        """A plan file; as a mask file it is read by its ``mask``."""
        budget = {str(self.budget.kind): self.budget.share} if self.budget else None
        plain = replace(self, notes=tuple(map(english, self.notes)))
        return {**asdict(plain), "mask": self.mask.to_json(), "budget": budget}

    @classmethod
    def from_json(cls, value: object) -> Plan:
        """Read a plan.

        Raises:
            PlanError: The value is not a plan of a version that this program knows.
        """
        if not is_plan(value):
            raise PlanError('a plan is an object with a "mask" and what it is "predicted" to give')
        assert isinstance(value, dict)
        if value.get("version") != PLAN_VERSION:
            raise PlanError(
                "the plan has version {version!r}, but this program reads {known}",
                version=value.get("version"),
                known=PLAN_VERSION,
            )
        try:
            read = {**value, "mask": Mask.from_json(value["mask"]), "predicted": Figures(**value["predicted"])}
            read["budget"] = next((Budget(k, float(s)) for k, s in (value.get("budget") or {}).items()), None)
            read["scopes"] = tuple(map(get_scope, value["scopes"]))
            read["notes"] = tuple(value.get("notes") or ())
            for name, kind in (("guarantee", Guarantee), ("reached", Reached)):
                read[name] = kind(**value[name]) if value.get(name) else None
            return cls(**read)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise PlanError("the plan cannot be read: {error}", error=str(error)) from error

    @classmethod
    def read(cls, path: str | Path) -> Plan:
        """Read a plan file.

        Raises:
            PlanError: The file is missing, is not JSON, or holds no plan.
        """
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise PlanError("the plan file {path} cannot be read: {error}", path=path, error=error.strerror) from error
        except (ValueError, RecursionError) as error:
            raise PlanError("the plan file {path} is not JSON: {error}", path=path, error=str(error)) from error

    def write(self, path: str | Path) -> None:
        """Write a plan file.

        Raises:
            PlanError: The file cannot be written.
        """
        try:
            text = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False)
            Path(path).expanduser().write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise PlanError("the plan cannot be written to {path}: {error}", path=path, error=error.strerror) from error

    def fit(self, model: LoadedModel) -> tuple[Later, ...]:
        """What to know about using this plan with that model, in sentences; none where it was made for it.

        Raises:
            PlanError: The plan was made for another model and does not fit this one.
        """
        if self.model == model.fingerprint:
            return ()
        try:
            self.mask.check(model.anatomy)
        except MaskError as error:
            raise PlanError(
                "this plan was made for another model than {model}: {error}", model=model.spec.name, error=error
            ) from error
        told = mark("this plan was made for other weights than those of {model}: its predictions may not hold")
        return (later(told, model=model.spec.name),)


def is_plan(value: object) -> bool:
    """Whether what a file holds is a whole plan, and not just a mask."""
    return isinstance(value, dict) and isinstance(value.get("mask"), dict) and isinstance(value.get("predicted"), dict)


def reached(plan: Plan, model: LoadedModel, pruned: PrunedModel) -> Plan:
    """The plan with what the model that was cut really has: parameters and counted multiply-accumulates.

    Args:
        model: The original.
    """
    from pruning.macs import COUNTED_TOKENS, count_macs

    tokens = plan.predicted.tokens or COUNTED_TOKENS
    macs, share, kind = count_macs(pruned.module, tokens)[0], None, plan.budget.kind if plan.budget else None
    if kind == "params":
        share = pruned.parameters / model.anatomy.parameters
    elif kind == "macs":
        share = macs / count_macs(model.module, tokens)[0]
    return replace(plan, reached=Reached(pruned.parameters, macs, plan.predicted.tokens, share))
