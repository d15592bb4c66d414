"""Ensembles: several masks of one model answer together."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pruning.ensemble import COMBINATIONS, Combination
from pruning.importance import criteria, get_criterion
from pruning.language import later, mark, tr, trn
from pruning.masks import Mask
from pruning.scopes import mask_of, unit_ids
from ui import state
from ui import theme as look
from ui.figures import change_text, value_text
from ui.jobs import Job
from ui.recoveries import result_key, submit_again
from ui.sparsity import table
from ui.store import session_id, store
from ui.theme import Theme, plain
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.ensemble import EnsembleEvaluation
    from pruning.evaluation import Comparison
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

PRESENT, SEEDS = "present", 5
DRAWN = ("random", "reversed")  # not among the criteria: random masks have seeds here, and nobody wants the worst heads
HOW: dict[Combination, str] = {
    "probabilities": mark("Mean probability"),
    "logits": mark("Mean logits"),
    "vote": mark("Vote"),
}


@dataclass(frozen=True, eq=False)
class Fused:
    """An ensemble that was measured.

    Attributes:
        names: Of the members' recipes.
        present: The mask that was present.
        best: Position of the member with the highest accuracy.
        change: From that member to the ensemble.
    """

    names: tuple[str, ...]
    present: Mask
    evaluated: EnsembleEvaluation
    best: int
    change: Comparison


def ensemble_view(model: LoadedModel, theme: Theme) -> None:
    """What the members are, the button, and what was measured."""
    from pruning.tasks import task_of
    from pruning.tasks.classification import Classification

    task = task_of(model)
    if not isinstance(task, Classification):
        text = mark(
            "Ensembles are for classification: their members vote on a class. The task of {model} is {task}. Pick a "
            "classifier in the sidebar."
        )
        st.info(plain(tr(text, model=model.spec.name, task=tr(task.label).lower())))
        return
    text = mark(
        "Several masks of one model answer together. That takes as long as all members one after the other: it may "
        "gain accuracy, never speed."
    )
    st.markdown(tr(text))
    chosen, count, how = settings_form(model)
    st.caption(tr("Combined by {how}.", how=tr(COMBINATIONS[how])))
    if len(chosen) < 2:
        st.info(tr("Pick at least two members."))
        return
    session = state.current()
    present = session.mask if PRESENT in chosen else Mask()
    key = result_key("ensemble", model, session.data, chosen, count, how, present)
    found: Fused | None = store().recoveries.results.get(key)
    if found is not None:
        draw(found)
        return
    job = store().scorer.latest((session_id(), "ensemble"))
    asked = (session_id(), model, session.data, chosen, count, how, present)
    wait_for(job, key, tr("Measure the ensemble"), lambda: measure(*asked), store().scorer)


def settings_form(model: LoadedModel) -> tuple[tuple[str, ...], int, Combination]:
    """Members, how many heads each has lost, and how their answers are combined."""
    heads, mask = sum(model.anatomy.heads_per_site), state.current().mask
    options = recipes(mask)
    st.session_state["ensemble_members"] = [  # the present mask may have gone since
        name for name in st.session_state.get("ensemble_members", default_recipes(mask)) if name in options
    ]
    chosen = st.multiselect(
        tr("Members"), options, key="ensemble_members", format_func=lambda name: recipe_label(name, mask),
        persist_state="session",
    )  # fmt: skip
    left, right = st.columns(2, gap="medium")
    count = left.slider(
        tr("Heads removed from each, of {n}", n=heads), 1, heads - 1, heads // 2, key=f"ensemble_count_{heads}",
        persist_state="session", help=tr("The present mask stays as it is."),
    )  # fmt: skip
    how = right.segmented_control(
        tr("Combined by"), list(COMBINATIONS), default=next(iter(COMBINATIONS)), key="ensemble_how", required=True,
        format_func=lambda name: tr(HOW[name]), persist_state="session",
    )  # fmt: skip
    return tuple(chosen), int(count), how or next(iter(COMBINATIONS))


def recipes(mask: Mask) -> list[str]:
    """The ways to make a member: the present mask, the lowest by a quick criterion, and random masks by seed."""
    quick = [n for n, c in criteria().items() if c.quick and "heads" in c.scopes and n not in DRAWN]
    return [*([PRESENT] if mask else []), *quick, *(f"random {seed}" for seed in range(SEEDS))]


def default_recipes(mask: Mask) -> list[str]:
    """The first three: masks that somebody would use, and not by lot.

    >>> default_recipes(Mask.parse_heads("0:1"))[:2]
    ['present', 'gradient']
    """
    return recipes(mask)[:3]


def recipe_label(name: str, mask: Mask) -> str:
    """
    >>> recipe_label("random 3", Mask()), recipe_label("present", Mask.parse_heads("0:1,0:2"))
    ('Random heads, seed 3', 'The present mask (2 heads)')
    """
    if name == PRESENT:
        return trn("The present mask ({n:,} head)", "The present mask ({n:,} heads)", len(mask.heads))
    if name.startswith("random "):
        return tr("Random heads, seed {seed}", seed=name.split()[1])
    return tr("Lowest by {criterion}", criterion=tr(get_criterion(name).label))


# Measuring -------------------------------------------------------------------------------------------------------


def measure(
    session: str, model: LoadedModel, data: str, chosen: tuple[str, ...], count: int, how: Combination, present: Mask
) -> Job:
    """Queue the scoring that the members need, and the ensemble."""
    recoveries = store().recoveries
    key = result_key("ensemble", model, data, chosen, count, how, present)

    def work(job: Job) -> None:
        from pruning.ensemble import evaluate_ensemble
        from pruning.evaluation import compare

        def measuring(done: int, total: int) -> None:
            job.report(done, total, later("Measuring {n} members", n=len(chosen)))

        job.report(0, 1, mark("Reading the rows"))
        rows = recoveries.rows(model, data)
        masks = [present if name == PRESENT else member(job, model, data, name, count, rows.train) for name in chosen]
        found = evaluate_ensemble(model, masks, rows.measure, how=how, on_progress=measuring)
        best = int(np.argmax([one.metrics["accuracy"].value for one in found.members]))
        recoveries.results.put(key, Fused(chosen, present, found, best, compare(found.members[best], found.combined)))

    return submit_again(store().scorer, Job((session, "ensemble"), key, work))


def member(job: Job, model: LoadedModel, data: str, name: str, count: int, rows: Examples) -> Mask:
    """The mask of a recipe: importance that is known already is not measured again."""
    if name.startswith("random "):
        return random_mask(model, int(name.split()[1]), count)
    from pruning.importance.scoring import score

    def scoring(done: int, total: int) -> None:
        by = later(get_criterion(name).label)
        job.report(done, total, later("Scoring heads by {criterion}", criterion=by))

    known = store().importance(model.spec.name, data, name)
    return (known or score(model, name, rows, progress=scoring)).lowest(count)


def random_mask(model: LoadedModel, seed: int, count: int) -> Mask:
    """So many heads drawn by lot."""
    units = list(unit_ids(model.anatomy, "heads"))
    drawn = np.random.default_rng(seed).choice(len(units), count, replace=False)
    return mask_of("heads", [units[i] for i in drawn])


# Results ---------------------------------------------------------------------------------------------------------


def draw(found: Fused) -> None:
    """The finding, the table, and how far the members disagree."""
    evaluated = found.evaluated
    st.header(finding(found))
    rows = [
        [
            html.escape(recipe_label(name, found.present).partition(" (")[0]),
            str(len(one.mask.heads)),
            value_text(one),
            tr("best member") if i == found.best else "",
        ]
        for i, (name, one) in enumerate(zip(found.names, evaluated.members, strict=True))
    ]
    combined = [
        f"<b>{tr('Ensemble')}</b>",
        "",
        value_text(evaluated.combined),
        change_text(found.change, "accuracy"),
    ]
    heads = [tr("Model"), tr("Heads removed"), tr("Accuracy"), tr("Paired difference to the best member")]
    table(heads, [*rows, combined])
    if evaluated.disagreement is not None:
        text = mark(
            "**Disagreement: {share}** of the rows are answered right by one of two members and wrong by the other, a "
            "mean over pairs. Members that err alike have little to give each other."
        )
        st.markdown(tr(text, share=look.proportion(evaluated.disagreement)))
    st.caption(tr("The best member was picked on these very rows, which flatters it a little."))


def finding(found: Fused) -> str:
    """What fusion does here, in a sentence.

    An interval that holds zero says that nothing is known.
    """
    difference = found.change.differences["accuracy"]
    if difference.low > 0:
        return tr("The ensemble is better than its best member")
    if difference.high < 0:
        return tr("The ensemble is worse than its best member")
    return tr("The ensemble is not clearly different from its best member")
