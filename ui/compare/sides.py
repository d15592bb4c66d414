"""Which two models are compared: what the menus offer, what the link says, and what that is for the loaded model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pruning.errors import MaskError
from pruning.importance import get_criterion
from pruning.language import mark, tr
from pruning.masks import Mask
from pruning.recovery.methods import get_method
from ui import state
from ui.compare.pairs import Side
from ui.compare.picks import BY, MASK, NOW, RECOVERED, WHOLE, Pick
from ui.importance import known_importance, known_maps
from ui.kept_plans import plans_of
from ui.maps import Scoring
from ui.plan_line import made
from ui.recovery_values import Trained
from ui.removed import mask_words, misfit
from ui.scenarios import scenarios
from ui.store import session_id, store

if TYPE_CHECKING:
    from pruning.models import LoadedModel

NAMES = ("a", "b")
Kept = tuple[tuple[str, str], ...]
DEFAULTS = {"a": Pick(WHOLE), "b": Pick(NOW)}
STANDS_IN = {"none": "", "mean": mark("mean replacement"), "reconstruct": mark("reconstructed replacement")}


@dataclass(frozen=True)
class Chosen:
    """Both sides.

    Attributes:
        problems: What the link asked for and could not be had, in sentences.
        kept: Names and codes of this model's scenarios and plans.
    """

    picks: dict[str, Pick]
    sides: dict[str, Side]
    problems: tuple[str, ...]
    kept: Kept


def chosen(model: LoadedModel) -> Chosen:
    """What is to be compared; what does not fit the model gives way to the default."""
    picks, problems, kept = dict(DEFAULTS), [], _kept(model)
    for name in NAMES:
        try:
            pick = Pick.read(getattr(state.current(), name))
            problem = misfit(pick.mask, model.anatomy.heads_per_site, model.anatomy)
        except MaskError as error:
            problem = str(error)
        if problem:
            instead = label(DEFAULTS[name], model, kept)
            text = tr("{side} cannot be had: {problem}. “{instead}” stands in its place.", side=name.upper(),
                      problem=problem, instead=instead)  # fmt: skip
            problems.append(text)
            continue
        if pick.kind == RECOVERED and _trained(pick, model) is None:
            text = tr(
                "{side} was a recovered model. It is kept by the session that trained it and does not travel with a "
                "link: what it removes is shown without training.",
                side=name.upper(),
            )
            problems.append(text)
            pick = replace(pick, kind=MASK)
        picks[name] = pick
    sides = {name: side_of(pick, model, kept) for name, pick in picks.items()}
    return Chosen(picks, sides, tuple(problems), kept)


def side_of(pick: Pick, model: LoadedModel, kept: Kept) -> Side:
    """The model that a pick means."""
    session = state.current()
    if pick.kind == NOW:
        return Side(label(pick, model, kept), session.mask, session.replacement)
    trained = _trained(pick, model) if pick.kind == RECOVERED else None
    return Side(label(pick, model, kept), pick.mask, pick.replacement if pick.mask else "none", trained)


def label(pick: Pick, model: LoadedModel, kept: Kept) -> str:
    """What the menus call it; equal masks of several names have them all."""
    if pick.kind in (WHOLE, NOW):
        return tr("Unpruned model") if pick.kind == WHOLE else tr("What is removed now")
    if pick.criterion:
        return tr("Same number: {criterion}", criterion=tr(get_criterion(pick.criterion).label))
    if pick.kind == RECOVERED:
        trained = _trained(pick, model)
        if trained is None:
            return tr("Recovered")
        return tr("Recovered: {method}", method=tr(get_method(trained.asked.method).label))
    names = [name for name, code in kept if code == pick.code]
    if names:
        return " = ".join(dict.fromkeys(names))
    return tr("Mask from a link, {removed} removed", removed=mask_words(pick.mask) or tr("nothing"))


def options(name: str, both: Chosen, model: LoadedModel) -> dict[str, Pick]:
    """What the menu of one side offers, by what stays the same while the other side changes."""
    found = [Pick(WHOLE), Pick(NOW), *(Pick.read(code) for _, code in both.kept)]
    trained = store().recoveries.trained(session_id())
    if trained is not None and trained.source == model.fingerprint:
        found.append(Pick(RECOVERED, trained.asked.mask, trained.asked.compensation))
    like = reference(name, both)
    if like is not None:
        found += [_same_number(criterion, like) for criterion in known_maps(Scoring("random"))]
    found.append(both.picks[name])  # a mask from a link
    return {pick.option: pick for pick in found}


def reference(name: str, both: Chosen) -> Side | None:
    """Which mask "the same number" means: that of the other side, or else of what is removed now."""
    other = NAMES[1 - NAMES.index(name)]
    if both.sides[other].mask.heads and not both.picks[other].criterion:
        return both.sides[other]
    session = state.current()
    return Side("", session.mask, session.replacement) if session.mask.heads else None


def out_of_step(both: Chosen) -> dict[str, str]:
    """The sides that are the lowest heads of a criterion but not, or no more, as many as the other side removes."""
    changes = {}
    for name, pick in both.picks.items():
        like = reference(name, both) if pick.criterion else None
        if like is None or known_importance(Scoring(pick.criterion)) is None:
            continue
        if (now := _same_number(pick.criterion, like)) != pick:
            changes[name] = now.code
    return changes


def elsewhere(model: LoadedModel) -> int:
    """How many scenarios belong to other models."""
    return len(scenarios()) - len(scenarios(state.current().model))


def removal(side: Side) -> str:
    """What a side removes, in words."""
    if not side.mask:
        return tr("nothing removed")
    parts = [tr("{removed} removed", removed=mask_words(side.mask)), tr(STANDS_IN[side.replacement])]
    return " · ".join(filter(None, [*parts, tr("then trained") if side.trained else ""]))


def _same_number(criterion: str, like: Side) -> Pick:
    importance = known_importance(Scoring(criterion))
    mask = importance.lowest(len(like.mask.heads)) if importance is not None else Mask()
    return Pick(f"{BY}{criterion}", mask, like.replacement)


def _kept(model: LoadedModel) -> Kept:
    found = [
        (tr("Scenario: {name}", name=one.name), Pick(MASK, one.mask, one.compensation if one.mask else "none").code)
        for one in scenarios(state.current().model)
    ]
    for plan in plans_of(model.fingerprint):
        how = made(plan).partition(" · ")[0]
        code = Pick(MASK, plan.mask, plan.compensation if plan.mask else "none").code
        removed = mask_words(plan.mask) or tr("nothing")
        found.append((tr("Plan: {how}, {removed}", how=how, removed=removed), code))
    return tuple(found)


def _trained(pick: Pick, model: LoadedModel) -> Trained | None:
    """The session's recovered model, where it is the one that is meant."""
    found = store().recoveries.trained(session_id())
    if found is None or found.source != model.fingerprint:
        return None
    return found if (found.asked.mask, found.asked.compensation) == (pick.mask, pick.replacement) else None
