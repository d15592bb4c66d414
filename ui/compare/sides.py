"""Which two models are compared: what the menus offer, what the link says, and what that is for the loaded model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.errors import MaskError
from pruning.importance import get_criterion
from pruning.language import mark, tr
from pruning.masks import Mask
from pruning.recovery.methods import get_method
from ui import state
from ui.compare.lots import lot, lots
from ui.compare.pairs import Side
from ui.compare.picks import BY, DRAWS, LOT, MASK, NOW, RECOVERED, WHOLE, Pick
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
                "{side} was a recovered model that is not in memory here, or not any more: it stays with the session "
                "that trained it and does not travel with a link. What it removes is shown without training.",
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
    if pick.kind == LOT:
        masks = lots(pick.mask, model.anatomy, pick.draws)
        several = masks if len(masks) > 1 else ()
        return Side(label(pick, model, kept), masks[shown_draw(len(masks))], pick.replacement, draws=several)
    return Side(label(pick, model, kept), pick.mask, pick.replacement if pick.mask else "none", trained)


def shown_draw(count: int) -> int:
    """Which of so many draws the page looks at closely, from 0."""
    return min(int(st.session_state.get("compare_draw", 0)), count - 1)


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
    return tr("Mask without a name, {removed} removed", removed=mask_words(pick.mask) or tr("nothing"))


def options(name: str, both: Chosen, model: LoadedModel) -> dict[str, Pick]:
    """What the menu of one side offers, by what stays the same while the other side changes."""
    found = [Pick(WHOLE), Pick(NOW), *(Pick.read(code) for _, code in both.kept)]
    trained = store().recoveries.trained(session_id())
    if trained is not None and trained.source == model.fingerprint:
        found.append(Pick(RECOVERED, trained.asked.mask, trained.asked.compensation))
    like = reference(name, both)
    if like is not None:
        named = known_maps(Scoring("random")) if like.mask.heads else {}
        found.append(_by_lot(like, model, DRAWS))
        found += [_same_number(criterion, like) for criterion in named if f"{BY}{criterion}" != LOT]
    found.append(both.picks[name])  # a mask without a name, or another number of draws
    return {pick.option: pick for pick in found}


def reference(name: str, both: Chosen) -> Side | None:
    """Which mask "the same number" means: that of the other side, or else of what is removed now."""
    other = NAMES[1 - NAMES.index(name)]
    if both.sides[other].mask and not both.picks[other].criterion:
        return both.sides[other].one
    session = state.current()
    if session.mask:
        return Side("", session.mask, session.replacement)
    return both.sides["a"].one if name == "b" and both.picks["a"].criterion else None


def out_of_step(both: Chosen, model: LoadedModel) -> dict[str, str]:
    """The sides that are the lowest heads of a criterion but not, or no more, as many as the other side removes."""
    changes = {}
    for name, pick in both.picks.items():
        like = reference(name, both) if pick.criterion else None
        if pick.kind == LOT:
            now = _by_lot(like or Side("", pick.mask, pick.replacement), model, pick.draws)
        elif like is None or not like.mask.heads or known_importance(Scoring(pick.criterion)) is None:
            continue
        else:
            now = _same_number(pick.criterion, like)
        if now != pick:
            changes[name] = now.code
    return changes


def unequal(both: Chosen) -> list[str]:
    """What "the same number" does not make equal, in sentences."""
    found = []
    for name, pick in both.picks.items():
        like = reference(name, both) if pick.criterion else None
        side, other = name.upper(), NAMES[1 - NAMES.index(name)].upper()
        if like is not None and pick.kind != LOT and len(pick.mask.heads) != len(like.mask.heads):
            text = mark("{side} has the heads of its link and not the same number: its criterion has no map here yet.")
            found.append(tr(text, side=side))
        if like is not None and pick.kind != LOT and (like.mask.neurons or like.mask.layers):
            text = mark("{side} removes only heads: this criterion of heads does not rank neurons and layers.")
            found.append(tr(text, side=side))
        if pick.criterion and both.sides[other.lower()].trained is not None:
            text = mark(
                "{other} was trained and {side} was not: the difference is that of the choice and the training."
            )
            found.append(tr(text, side=side, other=other))
    return found


def elsewhere(model: LoadedModel) -> int:
    """How many scenarios belong to other models."""
    return len(scenarios()) - len(scenarios(state.current().model))


def removal(side: Side) -> str:
    """What a side removes, in words."""
    if not side.mask:
        return tr("nothing removed")
    parts = [tr("{removed} removed", removed=mask_words(side.mask)), tr(STANDS_IN[side.replacement])]
    parts += [tr("then trained") if side.trained else "", drawn_words(side)]
    return " · ".join(filter(None, parts))


def drawn_words(side: Side) -> str:
    """How often it was drawn, where that was several times."""
    return tr("{n} draws", n=len(side.draws)) if side.draws else ""


def _by_lot(like: Side, model: LoadedModel, draws: int) -> Pick:
    return Pick(LOT, lot(like.mask, model.anatomy, 0), like.replacement, draws)


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
