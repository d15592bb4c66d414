"""Recovering the pruned model: what it gives without training, the training, and the result to take away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.errors import PruningError
from pruning.importance import get_criterion
from pruning.language import mark, tr
from pruning.plan import COMPENSATIONS
from pruning.recovery.methods import get_method, recovery_methods
from pruning.recovery.settings import Training
from ui import charts, state
from ui.controls import mirror_key, on_move
from ui.details import NAMES
from ui.figures import main_metric, metric_card, no_figure
from ui.importance import known_importance, scoring_state
from ui.jobs import Job
from ui.maps import Scoring, calibration_data
from ui.recovered import draw_result, other_result
from ui.recovery_charts import describe_training, training_chart
from ui.recovery_values import Asked, TrainingJob
from ui.removed import mask_words
from ui.sidebar import REFRESH_SECONDS
from ui.store import session_id, store
from ui.sweeping import about
from ui.theme import Theme, as_sentence, plain
from ui.tradeoff_text import REPLACEMENTS
from ui.training_form import advanced_form
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.models import LoadedModel

ABOUT = {
    "none": mark("What is cut is gone."),
    "mean": mark("Its mean output, folded into the biases."),
    "reconstruct": mark("Projections fitted again by least squares."),
}
EXAMPLE, EXAMPLE_SHARE = "gradient", 2 / 3  # criterion and share of the heads: half of them can go for nothing
MOST_CUTS = 8
CUTS_HELP = mark(
    "In several steps, a part of what the mask removes is cut, the rest is trained, then the next part is cut: the "
    "least important first, by absolute gradient. The steps share the minutes, and each has the epochs set below. They "
    "start from the whole model, so nothing can stand in for what is cut."
)
TRAINING = {name: method for name, method in recovery_methods().items() if method.trains}


def recover_view(model: LoadedModel, theme: Theme) -> None:
    """Draw the whole part: without training, with training, and the result."""
    if not state.current().mask:
        nothing_removed(model)
        other_result(model)
        return
    without_training(model)
    with_training(model, theme)


# An empty mask ---------------------------------------------------------------------------------------------------


def nothing_removed(model: LoadedModel) -> None:
    """What to do first, with the button there."""
    heads = sum(model.anatomy.heads_per_site)
    count = round(EXAMPLE_SHARE * heads)
    st.info(tr("Nothing is removed yet, so there is nothing to recover. Remove heads on Prune, or take an example."))
    importance = known_importance(Scoring(EXAMPLE))
    if importance is None:
        scoring_state(Scoring(EXAMPLE))
    with st.container(horizontal=True):
        if importance is not None:
            label = tr(get_criterion(EXAMPLE).label).lower()
            st.button(
                tr("Take {n} of {total} heads of lowest {criterion}", n=count, total=heads, criterion=label),
                type="primary", on_click=state.edit_mask, args=(importance.lowest(count),),
            )  # fmt: skip
        if st.button(tr("Open Prune")):
            st.switch_page("pages/prune.py")


# Without training ------------------------------------------------------------------------------------------------


def without_training(model: LoadedModel) -> None:
    """The three replacements side by side."""
    session = state.current()
    st.header(tr("Without training"))
    found = store().recoveries.compared(model, session.data, session.mask)
    columns = st.columns(len(COMPENSATIONS))
    for column, method in zip(columns, COMPENSATIONS, strict=True):
        label = tr("{what} in place", what=tr(REPLACEMENTS[method]))
        if found is None or method in found.refused:
            no_figure(column, label, tr(found.refused[method] if found else ABOUT[method]))
        else:
            measured = found.found[method]
            metric_card(column, label, measured.evaluation, measured.change)
            column.caption(tr(ABOUT[method]))
    if found is not None:
        text = mark("Changes are against the unpruned model on the same rows, paired ({metric}, 95% intervals).")
        st.caption(tr(text, metric=tr(NAMES[main_metric(found.whole.evaluation)]).lower()))
        return
    job = store().evaluator.latest((session_id(), "compare replacements"))
    label = tr("Measure all three")
    wait_for(job, _compare_key(model), label, lambda: _compare(model), store().evaluator, primary=False)


def _compare(model: LoadedModel) -> None:
    session = state.current()
    store().recoveries.compare(session_id(), model, session.data, session.mask)


def _compare_key(model: LoadedModel) -> object:
    session = state.current()
    return store().recoveries.compare_key(model, session.data, session.mask)


# With training ---------------------------------------------------------------------------------------------------


def with_training(model: LoadedModel, theme: Theme) -> None:
    """The form, the training as it runs, and the result."""
    st.header(tr("With training"))
    job = store().recoveries.trainer.latest((session_id(), "train"))
    if isinstance(job, TrainingJob) and job.active:
        st.fragment(_follow_training, run_every=2 * REFRESH_SECONDS)(job, theme)
        return
    settings_form(model)
    if job is not None and job.state == "failed" and job.fingerprint[1] == model.fingerprint:
        text = mark("Training has failed: {error}. Change the settings above, or pick other data.")
        st.error(plain(tr(text, error=job.error)))
    trained = store().recoveries.trained(session_id())
    if trained is None or trained.source != model.fingerprint:
        return
    if trained.asked.mask != state.current().mask:
        other_result(model)
        return
    draw_result(model, trained, theme)


def settings_form(model: LoadedModel) -> None:
    """Method, start and time; the rest behind a fold; what it is trained on; the button."""
    session = state.current()
    left, middle, right = st.columns(3, gap="medium")
    with left:
        name = st.selectbox(
            tr("Method"), list(TRAINING), key="train_method", format_func=lambda name: tr(TRAINING[name].label),
            index=len(TRAINING) - 1, persist_state="session",
        )  # fmt: skip
        st.caption(tr(get_method(name).about))
    with middle:
        _start_choice(session.compensation)
    with right:
        minutes = st.slider(
            tr("Minutes at most"), 1, 10, 2, key="train_minutes", persist_state="session",
            help=tr("Training stops then and keeps the state with the lowest held-out loss. Several steps share them."),
        )  # fmt: skip
    with middle:
        cuts = _cuts_choice(session.replacement)
    with st.expander(tr("Advanced")):
        try:
            settings = advanced_form(TRAINING[name], minutes)
        except PruningError as error:
            settings = None
            st.error(plain(as_sentence(error)))
    if settings is not None:
        st.caption(rows_text(model, settings))
    asked = Asked(session.mask, session.replacement, name, settings, cuts) if settings else None
    st.button(tr("Start training"), type="primary", disabled=asked is None, on_click=_train, args=(model, asked))


def _start_choice(shown: str) -> None:
    """The replacement that training begins with: the one of the session, so Prune shows the same model."""
    key = mirror_key("recover_start", shown)

    def choose(method: Any) -> str:
        state.update(compensation=method)
        return method

    st.segmented_control(
        tr("In place of what is cut"), COMPENSATIONS, default=shown, key=key, required=True,
        format_func=lambda name: tr(REPLACEMENTS[name]), on_change=on_move("recover_start", key, choose),
        help=tr("Training begins with the model that has this in place. Prune shows the same choice."),
    )  # fmt: skip


def _cuts_choice(replacement: str) -> int:
    """In how many steps the mask is reached; all at once where something stands in for what is cut."""
    free = replacement == "none"
    chosen = st.selectbox(
        tr("Cut in"), range(1, MOST_CUTS + 1) if free else [1], key="train_cuts" if free else "train_one_cut",
        format_func=_cuts_label, disabled=not free,
        persist_state="session" if free else None, help=tr(CUTS_HELP),
    )  # fmt: skip
    if not free:
        text = mark("Several steps start from the whole model: choose “{nothing}” above for them.")
        st.caption(tr(text, nothing=tr(REPLACEMENTS["none"])))
    return chosen


def _cuts_label(cuts: int) -> str:
    return tr("{n} steps", n=cuts) if cuts > 1 else tr("1 step, all at once")


def rows_text(model: LoadedModel, settings: Training) -> str:
    """What is trained on, and what is held out; unknown until the rows have been read."""
    data = state.current().data
    source, share = plain(state.data_label(calibration_data(data))), f"{settings.held_out:.0%}"
    known = store().recoveries.known_rows(model, data)
    if known is None:
        text = mark("Trains on the calibration rows of {data}; {share} of them are held out for stopping early.")
        return tr(text, data=source, share=share)
    count = len(known.train)
    held = max(1, round(settings.held_out * count)) if settings.held_out else 0
    text = mark("Trains on {n:,} calibration rows of {data} and holds out {held:,} for stopping early.")
    said = [tr(text, n=count - held, data=source, held=held)]
    if known.divided:
        text = mark(
            "The data has no split, so every other row trains or measures; replacements were made from all rows."
        )
        said.append(tr(text))
    return " ".join([*said, tr("The {n:,} rows that measure play no part.", n=len(known.measure))])


def _train(model: LoadedModel, asked: Asked) -> None:
    store().recoveries.train(session_id(), model, state.current().data, asked)


def _follow_training(job: TrainingJob, theme: Theme) -> None:
    """The chart as it grows, the time that is left, and both ways to end."""
    state.note_url()
    if not job.active:
        st.rerun()
    place = store().recoveries.trainer.place(job)
    asked: Asked = job.fingerprint[-1]
    about_it = {"method": tr(get_method(asked.method).label), "removed": mask_words(asked.mask), "n": asked.cuts}
    several = mark("{method}, {removed} removed in {n} steps")
    what = tr(several if asked.cuts > 1 else mark("{method}, {removed} removed"), **about_it)
    left = None if job.seconds_left is None else min(job.seconds_left, *_until_limit(job, asked.settings.minutes))
    step = tr(job.step) or tr("Starting")
    if job.partial is not None:
        step = tr("{what}: step {done:,} of {total:,}", what=step, done=job.done, total=job.total)
    if left is not None:
        step = tr("{step}, at most {time} left", step=step, time=about(left))
    text = tr("Waiting: {n} before this", n=place) if place else tr("{what}. {step}", what=what, step=step)
    st.progress(min(1.0, job.done / max(1, job.total)), text=plain(text))
    with st.container(horizontal=True):
        stopping = job.stop.is_set()
        label = tr("Stopping …") if stopping else tr("Stop and keep the best")
        st.button(label, on_click=job.stop.set, disabled=stopping or job.partial is None, type="primary")
        st.button(tr("Cancel"), key="cancel_train", on_click=job.cancel)
    with st.container(height=350, border=False):
        if job.partial:
            subtitle = tr("after each epoch; the ringed state is kept")
            figure = training_chart(job.partial, subtitle=subtitle, theme=theme)
            st.plotly_chart(
                figure, theme=None, config=charts.CONFIG, key="training_live", alt=describe_training(job.partial)
            )


def _until_limit(job: Job, minutes: float | None) -> list[float]:
    """Seconds until the time is up, where there is a limit."""
    return [max(0.0, 60 * minutes - (time.monotonic() - job.started))] if minutes and job.started else []
