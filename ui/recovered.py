"""What a training gave: the three models side by side, its record, and the checkpoint to take away."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import mark, tr
from pruning.recovery.methods import get_method
from pruning.recovery.settings import by_cut
from ui import charts, state
from ui import theme as look
from ui.figures import change_text, main_metric, metric_card
from ui.jobs import Job
from ui.recovery_charts import describe_training, training_chart
from ui.recovery_values import Record, Trained, command
from ui.removed import mask_words
from ui.store import session_id, store
from ui.theme import Theme
from ui.tradeoff_text import REPLACEMENTS
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.recovery.training import Recovered

REASONS = {
    "epochs": mark("all epochs are done"),
    "minutes": mark("the time was up"),
    "patience": mark("the held-out loss had not fallen for several epochs"),
    "asked": mark("you stopped it"),
    "diverged": mark("the loss was no longer finite"),
}


def other_result(model: LoadedModel) -> None:
    """A result of another mask is named, not shown, and its mask can be had back."""
    trained = store().recoveries.trained(session_id())
    if trained is None or trained.source != model.fingerprint or trained.asked.mask == state.current().mask:
        return
    text = mark(
        "There is a trained model of another mask ({removed}, {method}). Its figures are not those of the present mask."
    )
    st.info(tr(text, removed=mask_words(trained.asked.mask), method=_method(trained).lower()))
    st.button(tr("Restore that mask"), on_click=_restore, args=(trained,))


def _restore(trained: Trained) -> None:
    state.update(history=state.current().history.edit(trained.asked.mask), compensation=trained.asked.compensation)


def draw_result(model: LoadedModel, trained: Trained, theme: Theme) -> None:
    """The three models side by side, the record of the training, and the checkpoint."""
    session, recovered = state.current(), trained.recovered
    st.header(tr("Recovered"))
    if session.replacement != trained.asked.compensation:
        what = tr(REPLACEMENTS[trained.asked.compensation]).lower()
        st.caption(tr("Trained with {what} in place of what was cut.", what=what))
    outcome = store().recoveries.outcome(trained, session.data)
    if outcome is None:
        _measure(model, trained)
    else:
        columns = st.columns(3)
        metric_card(columns[0], tr("Unpruned"), outcome.whole.evaluation)
        metric_card(columns[1], tr("Pruned"), outcome.pruned.evaluation, outcome.pruned.change)
        metric_card(columns[2], tr("Recovered"), outcome.recovered.evaluation, outcome.recovered.change)
        gain = change_text(outcome.gained, main_metric(outcome.whole.evaluation))
        st.markdown(tr("**Training changed the pruned model by {gain}**, paired on the same rows.", gain=gain))
    before, after = model.anatomy.parameters, recovered.pruned.parameters
    words = training_words(_method(trained), recovered)
    sizes = tr("{after} instead of {before}.", after=look.parameters(after), before=look.parameters(before))
    st.caption(f"{sizes} {words}")
    figure = training_chart(recovered.history, subtitle=tr("after each epoch; the ringed state is kept"), theme=theme)
    alt = describe_training(recovered.history)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="training_done", alt=alt)
    take_away(model, trained)


def _measure(model: LoadedModel, trained: Trained) -> None:
    """Measured without being asked, until somebody stops it."""
    recoveries, data = store().recoveries, state.current().data
    wanted, job = recoveries.outcome_key(trained, data), store().evaluator.latest((session_id(), "measure recovered"))

    def ask() -> Job:
        return recoveries.measure(session_id(), model, data, trained)

    if job is None or job.fingerprint != wanted:
        job = ask()
    wait_for(job, wanted, tr("Measure all three models"), ask, store().evaluator)


def _method(trained: Trained) -> str:
    return tr(get_method(trained.asked.method).label)


def training_words(method: str, found: Recovered | Record) -> str:
    """How it was trained and why it ended."""
    (rows, held), cuts = found.rows, len(by_cut(found.history))
    if found.best.step:
        last = mark("the state after step {step:,} of the last cut was kept")
        kept = tr(last if cuts > 1 else mark("the state after step {step:,} was kept"), step=found.best.step)
    elif cuts > 1:
        kept = tr("training after the last cut helped nothing, so the model is as it was at that cut")
    else:
        kept = tr("training helped nothing, so the model is as it was cut")
    how = tr("{method} in {n} cuts", method=method, n=cuts) if cuts > 1 else method
    text = mark(
        "{method} on {rows:,} rows, {held:,} held out: {steps:,} steps in {seconds} s, ended because {reason}; {kept}."
    )
    return tr(
        text, method=how, rows=rows, held=held, steps=found.steps, seconds=look.number(found.seconds),
        reason=tr(REASONS[found.reason]), kept=kept,
    )  # fmt: skip


def take_away(model: LoadedModel, trained: Trained) -> None:
    """The checkpoint as a zip file, made when asked, and the command that does the same."""
    archive, recoveries = store().recoveries.archive(trained), store().recoveries
    with st.container(horizontal=True, vertical_alignment="center"):
        if archive is None:
            job, key = recoveries.trainer.latest((session_id(), "pack")), ("pack", trained.smaller.fingerprint)
            data = state.current().data

            def pack() -> None:
                recoveries.pack(session_id(), model, data, trained)

            wait_for(job, (*key, data), tr("Make the checkpoint"), pack, recoveries.trainer)
        else:
            size = f"{archive.path.stat().st_size / 1e6:,.0f} MB"
            st.download_button(
                tr("Download the checkpoint ({size})", size=size), lambda: archive.path.open("rb"), "smaller.zip",
                "application/zip", on_click="ignore", type="primary",
            )  # fmt: skip
        mask = json.dumps(trained.asked.mask.to_json())
        st.download_button("mask.json", mask, "mask.json", "application/json", on_click="ignore", key="recover_mask")
        with st.popover(tr("The same on the command line")):
            st.code(command(model.spec.name, trained.data, trained.asked), language="bash", wrap_lines=True)
            st.caption(tr("It trains with the method's own settings; the advanced ones are for Python."))
    if archive is not None:
        difference = look.number(archive.reload_difference)
        text = mark("Written, reloaded with plain transformers and compared: largest difference {difference}.")
        st.caption(tr(text, difference=difference))
