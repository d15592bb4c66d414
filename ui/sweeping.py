"""Asking for a sweep: what to try, what that takes, the start, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.importance import criteria, get_criterion
from pruning.language import mark, tr, trn
from pruning.plan import COMPENSATIONS
from pruning.search import get_strategy, strategies
from ui import state
from ui.jobs import Job
from ui.store import session_id, store
from ui.sweeps import ALL_ROWS, QUICK_ROWS, SEEDED, STEP, SweepSettings, Swept, kept_sweep, sweep_key
from ui.theme import plain
from ui.tradeoff_text import REPLACEMENTS, SAVED

if TYPE_CHECKING:
    from pruning.models import LoadedModel

SCOPES = (("heads",), ("neurons",), ("heads", "neurons"))
ROWS = {ALL_ROWS: mark("All rows, {n:,} at most"), QUICK_ROWS: mark("The first {n} rows")}
KEEP: dict[str, Any] = {"persist_state": "session"}  # across pages
KINDS = {**SAVED, "params": SAVED["parameters"]}  # the words for what budgets count
CRITERIA_HELP = mark(
    "How the importance of a head is measured; Explore says what each means. Slow ones need many passes."
)
STRATEGY_HELP = mark("How the heads are chosen from their importance: all at once, or a few at a time with new scores.")
REPLACEMENT_HELP = mark(
    "What takes the place of what is removed. Means and reconstruction need no training: they change the biases or the "
    "weights of what is left, from the calibration rows."
)
ROWS_HELP = mark("Fewer rows are quicker, with wider intervals. None of them plays a part in choosing what goes.")


def settings_form() -> SweepSettings:
    """The controls, with what most people change above the fold."""
    default, keep = SweepSettings(), KEEP
    chosen = st.multiselect(
        tr("Criteria"), list(criteria()), list(default.criteria), key="sweep_criteria", format_func=_criterion_label,
        help=tr(CRITERIA_HELP), wrap=True, **keep,
    )  # fmt: skip
    ways = st.multiselect(
        tr("Strategies"), list(strategies()), list(default.strategies), key="sweep_strategies",
        format_func=lambda name: tr(get_strategy(name).label), help=tr(STRATEGY_HELP), wrap=True, **keep,
    )  # fmt: skip
    replacements = st.multiselect(
        tr("Replacement"), list(COMPENSATIONS), list(default.compensations), key="sweep_replacements",
        format_func=lambda name: tr(REPLACEMENTS[name]), help=tr(REPLACEMENT_HELP), wrap=True, **keep,
    )  # fmt: skip
    with st.expander(tr("Budgets, rows and seeds")):
        more = _more(default, SEEDED in chosen, keep)
    return SweepSettings(tuple(chosen), tuple(ways), tuple(replacements), **more)


def _more(default: SweepSettings, seeded: bool, keep: dict[str, Any]) -> dict[str, Any]:
    scopes = st.selectbox(tr("What may go"), SCOPES, key="sweep_scopes", format_func=_scopes_name, **keep)
    kinds = [*scopes, "params", "macs"]
    kind = st.selectbox(tr("Budgets count"), kinds, key="sweep_kind", format_func=lambda name: tr(KINDS[name]), **keep)
    least, most = st.slider(
        tr("Percent left"), STEP, 100 - STEP, (default.least, default.most), STEP, key="sweep_shares",
        help=tr("A budget every ten percent. The whole model is always measured, too."), **keep,
    )  # fmt: skip
    rows = st.selectbox(
        tr("Measure on"),
        list(ROWS),
        key="sweep_rows",
        format_func=lambda n: tr(ROWS[n], n=n),
        help=tr(ROWS_HELP),
        **keep,
    )
    seeds = st.number_input(
        tr("Random orders"), 1, 10, default.seeds, key="sweep_seeds", disabled=not seeded,
        help=tr("How often the criterion Random draws; the chart shows the worst and the best."), **keep,
    )  # fmt: skip
    return {"scopes": scopes, "kind": kind, "most": most, "least": least, "rows": rows, "seeds": int(seeds)}


def _criterion_label(name: str) -> str:
    criterion = get_criterion(name)
    label = tr(criterion.label)
    return label if criterion.quick else tr("{criterion} (slow)", criterion=label)


def _scopes_name(scopes: tuple[str, ...]) -> str:
    return tr(" and ").join(map(tr, scopes))


# Start -----------------------------------------------------------------------------------------------------------


def start_button(settings: SweepSettings, model: LoadedModel | None) -> None:
    """What the sweep takes, and the button; it says why where it cannot be started."""
    if not (settings.criteria and settings.strategies and settings.compensations):
        st.caption(tr("Pick at least one criterion, strategy and replacement."))
        st.button(tr("Start the sweep"), type="primary", disabled=True, width="stretch")
        return
    searches, evaluations = settings.work
    _, refused = settings.requests()
    for reason in refused:
        st.caption(plain(tr("Left out: {reason}.", reason=reason)))
    work = trn(
        "{n:,} search and up to {evaluations:,} evaluations.", "{n:,} searches and up to {evaluations:,} evaluations.",
        searches, evaluations=evaluations,
    )  # fmt: skip
    st.caption(f"{work} {_duration(settings, model)}")
    running = running_sweep()
    same = running is not None and model is not None and running.fingerprint == _key(model, settings)
    st.button(
        tr("Sweeping …") if same else tr("Start the sweep"), type="primary", width="stretch", on_click=start,
        args=(settings,), disabled=same or not (model and searches),
    )  # fmt: skip


def start(settings: SweepSettings) -> None:
    """Begin a sweep, and show it from now on."""
    session = state.current()
    model = store().request_model(session.model).model
    if model is not None:
        st.session_state["sweep_asked"] = (session.model, session.data, settings)
        store().sweeps.start(session_id(), model, session.data, settings)


def _duration(settings: SweepSettings, model: LoadedModel | None) -> str:
    """About how long, by the pace of the last evaluation; nothing is guessed."""
    pace = _pace(model) if model else None
    if pace is None:
        return tr("How long that takes is not known yet: nothing has been measured with this model.")
    seconds_per_row, total = pace
    seconds = settings.work[1] * seconds_per_row * min(total, settings.rows)
    text = mark("The evaluations take {time} at the pace of the last one; the searches come on top.")
    return tr(text, time=about(seconds))


def _pace(model: LoadedModel) -> tuple[float, int] | None:
    """Seconds per row and number of rows, from the last sweep or from the figures on the Prune page."""
    data, job = state.current().data, store().evaluator.latest((session_id(), "evaluate"))
    live = (job.result or job.partial) if job and job.fingerprint[1:3] == (model.fingerprint, data) else None
    seconds, rows = store().sweeps.seconds_per_row(model), store().sweeps.rows_of(model, data)
    if seconds is None and live:
        seconds = live.after.seconds / live.after.samples
    if rows is None:
        rows = live.after.total if live else ALL_ROWS
    return (seconds, rows) if seconds else None


def about(seconds: float) -> str:
    """
    >>> about(4), about(70), about(3000), about(9000)
    ('about 4 s', 'about 70 s', 'about 50 min', 'about 2.5 h')
    """
    if seconds < 100:
        return tr("about {n} s", n=max(1, round(seconds)))
    if seconds < 6000:
        return tr("about {n} min", n=round(seconds / 60))
    return tr("about {n:.1f} h", n=seconds / 3600)


# Progress and results --------------------------------------------------------------------------------------------


def running_sweep() -> Job | None:
    """The session's sweep, as long as it waits or runs."""
    job = store().scorer.latest((session_id(), "sweep"))
    return job if job is not None and job.active else None


def failed_sweep(settings: SweepSettings) -> Exception | None:
    """Why the session's last sweep came to nothing, as long as the controls still ask for it."""
    job, model = store().scorer.latest((session_id(), "sweep")), store().request_model(state.current().model).model
    return job.error if job and model and job.state == "failed" and job.fingerprint == _key(model, settings) else None


def swept_now(settings: SweepSettings) -> Swept | None:
    """The table to show: the sweep that was asked for, what is known of these settings, or what came with the model."""
    session = state.current()
    model = store().request_model(session.model).model
    asked = st.session_state.get("sweep_asked", ())
    if model is not None:
        wanted = [asked[2]] if asked[:2] == (session.model, session.data) else []
        for one in [*wanted, settings]:
            if found := store().sweeps.found(model, session.data, one):
                return found
        if wanted and running_sweep():
            return None
    return kept_sweep() if (session.model, session.data) == ("demo", "demo") else None


def progress_line(job: Job) -> None:
    """How far it is, how long it will take, and the way out; what is measured by then stays."""
    place = store().scorer.place(job)
    left = job.seconds_left
    text = tr(job.step) or tr("Starting")
    if left is not None and job.done > 20:
        text = tr("{step}, {time} left", step=text, time=about(left))
    if place and not job.done:
        text = tr("Waiting: {n} before this", n=place)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(min(1.0, job.done / max(1, job.total)), text=plain(text))
        st.button(tr("Cancel"), key=f"cancel_{job.owner[1]}", on_click=job.cancel, wrap=False)


def _key(model: LoadedModel, settings: SweepSettings) -> tuple[object, ...]:
    return sweep_key(model, state.current().data, settings)
