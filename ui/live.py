"""The live panel: what the present mask does to the task, from the first estimate to the last example."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pruning.language import mark, tr, trn
from pruning.masks import Mask
from pruning.statistics import Estimate
from ui import details, state
from ui import theme as look
from ui.figures import delta_of
from ui.importance import progress_text
from ui.jobs import Cache, Job
from ui.measuring import Live
from ui.sidebar import REFRESH_SECONDS, loading_step
from ui.store import Loading, evaluation_key, session_id, store

LOSSES_SHOWN = 12
KEPT_JOBS = 20  # finished ones of a session: what undo and redo lead back to is there at once


def live_panel() -> None:
    """Draw the headline figures; they refresh themselves while there is something to wait for."""
    st.session_state["panel_within_page"] = True
    st.fragment(_panel, run_every=_pace())(_pace() is not None)


def table_panel() -> None:
    """Draw the table of metrics, likewise."""
    _follow(details.draw_table)


def flips_panel() -> None:
    """Draw the examples that flipped, likewise."""
    _follow(details.draw_flips)


def _follow(draw: Callable[[Live], None]) -> None:
    """Redraw a part now and then until the evaluation is complete."""
    pace = _pace()
    st.fragment(_latest, run_every=pace and 3 * pace)(draw)


def _pace() -> float | None:
    """Seconds between refreshes, more while others are before us; None when nothing more will come."""
    job = _job()
    if job is not None and not job.active:
        return None
    return REFRESH_SECONDS * (1 + (store().evaluator.place(job) if job else 0))


def _latest(draw: Callable[[Live], None]) -> None:
    job = _job()
    live: Live | None = (job.result or job.partial) if job else None
    if live is not None:
        draw(live)


def _job() -> Job | None:
    """The evaluation of the present mask, queued if need be; None while the model loads or after a stop."""
    session = state.current()
    loading = store().request_model(session.model)
    if loading.model is None:
        return None
    about = loading.model, session.data, session.mask, session.replacement
    wanted = evaluation_key(*about)
    latest = store().evaluator.latest((session_id(), "evaluate"))
    if st.session_state.get("evaluation_stopped") == wanted and latest is not None and latest.fingerprint == wanted:
        return latest  # after an edit and an undo the latest would be that of another mask
    kept: Cache = st.session_state.setdefault("evaluations_done", Cache(KEPT_JOBS))
    done: Job | None = kept.get(wanted)
    if done is None:
        job = store().evaluate(session_id(), *about)
        if job.state == "done":
            kept.put(wanted, job)
        return job
    if latest is not None and latest.active and latest.fingerprint != wanted:
        latest.cancel()  # as a new job would have done
    return done


def _panel(was_busy: bool) -> None:
    if not st.session_state.pop("panel_within_page", False):
        state.note_url()  # a refresh of its own: the URL is the browser's, not what the page has just written
    job, session = _job(), state.current()
    loading = store().request_model(session.model)
    if loading.state == "failed":
        st.info(tr("There is no model to measure. Pick one in the sidebar."))
        return
    if job is None:
        st.info(look.plain(tr("The model is loading: {step} …", step=loading_step(loading.step))))
        _cost(loading, session.mask)
        return
    if was_busy and not job.active:
        st.rerun()
    if job.state == "failed":
        pick = tr("{error}. Pick data that fits the model in the sidebar.", error=job.error)
        other = mark("{error}. Choose another replacement, or pick data that fits the model in the sidebar.")
        st.error(look.plain(pick if session.replacement == "none" else tr(other, error=job.error)))
        return
    live: Live | None = job.result or job.partial
    _headline(live, session.mask)
    _progress_line(job, live)
    _cost(loading, session.mask)


# Parts -----------------------------------------------------------------------------------------------------------


def _headline(live: Live | None, mask: Mask) -> None:
    """Accuracy and loss (of a language model: perplexity), large; never those of another mask."""
    left, right = st.columns(2)
    if live is None:
        left.metric(tr("Accuracy"), tr("measuring …"))
        right.metric(tr("Loss"), tr("measuring …"))
        return
    shown = live.after
    accuracy = shown.metrics["accuracy"]
    cost = next(name for name in ("perplexity", "loss") if name in shown.metrics)  # a language model is known by it
    loss = shown.metrics[cost]
    difference = live.comparison.differences["accuracy"] if mask else None
    left.metric(
        tr("Accuracy"),
        look.percent(accuracy.value),
        **delta_of(look.points(difference).partition(" (")[0] if difference else "", _unclear(difference)),
    )
    left.caption(look.proportion(accuracy, shown.samples).partition("(")[2].rstrip(")"))
    if shown.complete:
        _remember_loss(mask, loss.value)
    losses = [value for _, value in st.session_state.get("losses", [])][-LOSSES_SHOWN:]
    right.metric(tr(details.NAMES[cost]), look.number(loss.value), chart_data=losses if len(losses) > 1 else None)
    line = tr(" · line: last edits") if len(losses) > 1 else ""
    right.caption(look.measured(loss).partition("(")[2].rstrip(")") + line)


def _unclear(difference: Estimate | None) -> bool:
    """As long as the interval holds zero: then nothing is known to have changed."""
    return difference is None or difference.low <= 0 <= difference.high


def _remember_loss(mask: Mask, value: float) -> None:
    session = state.current()
    about = (session.model, session.data)
    if st.session_state.get("losses_about") != about:
        st.session_state["losses_about"], st.session_state["losses"] = about, []
    losses, edit = st.session_state["losses"], (mask, session.replacement)
    if not losses or losses[-1][0] != edit:
        st.session_state["losses"] = [*losses, (edit, value)][-LOSSES_SHOWN:]


def _progress_line(job: Job, live: Live | None) -> None:
    """What is happening to these figures; the line keeps its place when the work is done."""
    if job.active:
        place = store().evaluator.place(job)
        step = ": ".join(filter(None, [tr(job.step) or tr("Starting"), progress_text(job)]))
        text = tr("Waiting: {n} before this", n=place) if place else step
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.progress(min(1.0, job.done / max(1, job.total)), text=text)
            st.button(tr("Cancel"), key="cancel_evaluation", on_click=_stop, args=(job,), wrap=False)
        return
    shown = live.after if live else None
    if job.state == "cancelled":
        stopped = tr("Stopped before the first estimate.")
        if shown:
            stopped = tr("Stopped after {done:,} of {total:,} examples.", done=shown.samples, total=shown.total)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(stopped)
            st.button(
                tr("Measure again"), on_click=lambda: st.session_state.pop("evaluation_stopped", None), wrap=False
            )
    elif shown:
        data = look.plain(state.data_label(state.current().data))
        st.caption(
            trn(
                "Measured on the only example of {data}.",
                "Measured on all {n:,} examples of {data}.",
                shown.total,
                data=data,
            )
        )
    if shown and (words := _replacement_words()):
        st.caption(look.as_sentence(words))


def _replacement_words() -> str:
    """What stands in for what is removed, and from how many rows; empty where nothing does."""
    session = state.current()
    model = store().request_model(session.model).model
    if model is None or session.replacement == "none":
        return ""
    found = store().replacements.known(model, session.data, session.mask, session.replacement)
    return tr(found.words) if found is not None else ""


def _stop(job: Job) -> None:
    st.session_state["evaluation_stopped"] = job.fingerprint
    job.cancel()


def _cost(loading: Loading, mask: Mask) -> None:
    """What cutting would save, and that a mask saves nothing."""
    if loading.cost is None:
        text = tr(look.NOT_MEASURED) if loading.model else tr("counted when the model is there")
        st.markdown(tr("**If really cut:** {text}.", text=text))
        return
    total, after = loading.cost.total, loading.cost.after(mask)
    tokens, macs = loading.cost.tokens, look.macs(after.macs)
    work = tr("{macs} for {n} tokens", macs=macs, n=tokens) if tokens else tr("{macs} for one image", macs=macs)
    size = look.parameters(after.parameters)
    if not mask:
        st.markdown(tr("**Whole model:** {size}, {work}.", size=size, work=work))
        return
    shares = [_share(after.parameters, total.parameters), _share(after.macs, total.macs)]
    text = mark("**If really cut:** {size} ({less}), {work} ({less_work}).")
    st.markdown(tr(text, size=size, less=shares[0], work=work, less_work=shares[1]))
    st.caption(tr("A mask alone saves nothing: what is removed is still computed, and then left out."))


def _share(after: int, total: int) -> str:
    return f"{100 * (after / total - 1):.1f}%".replace("-", look.MINUS)
