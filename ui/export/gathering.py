"""What the present session would export, gathered from its state and the store."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from pruning.data import BUILT_IN_DATA
from pruning.importance import ImportanceMap, criteria, get_criterion
from pruning.language import DEFAULT, speaking, tr
from pruning.plan import Plan
from pruning.scopes import SCOPES
from ui import state
from ui.export.subject import Decision, Measured, Subject
from ui.history.words import small
from ui.importance import known_maps
from ui.jobs import Job
from ui.kept_plans import plan_for
from ui.maps import Scoring
from ui.plan_line import goal, made
from ui.store import LIVE_ROWS, evaluation_key, session_id, store
from ui.sweep_view import table_of
from ui.sweeping import swept_now
from ui.sweeps import SweepSettings
from ui.theme import as_sentence

if TYPE_CHECKING:
    from pruning.models import LoadedModel


RECALL_SECONDS = 1.0  # after that the page shows how far it is: others may be before it


def subject_now(model: LoadedModel) -> Subject:
    """Everything that is known of the session's model, data and mask at this moment."""
    session, plan, measured = state.current(), plan_for(state.current()), measured_now(model)
    free = session.labels == "predicted"
    maps = tuple(one for scope in SCOPES for one in known_maps(Scoring(session.criterion, scope, free)).values())
    made_of = store().replacements.known(model, session.data, session.mask, session.replacement)
    fingerprints = {one.data for one in maps if one.data} | ({made_of.data} if made_of else set())
    found = Subject(
        model=model,
        decision=Decision(
            session.model,
            session.data,
            session.mask,
            session.replacement,
            planned=plan is not None,
            same_rows=measured is not None and measured.before.data in fingerprints,
            rows=None if session.data in BUILT_IN_DATA else LIVE_ROWS,
        ),
        label=state.model_label(session.model),
        data_label=state.data_label(session.data),
        english=_english(session),
        cost=store().request_model(session.model).cost,
        measured=measured,
        plan=plan,
        criterion=session.criterion,
        maps=maps,
        label_free=free,
        replaced=tr(made_of.words) if made_of else "",
        sweep=_sweep(),
        latency=store().sweeps.latency(model),
        link=_link(session),
    )
    return found.because(reasons(found, plan))


def _english(session: state.Session) -> tuple[str, str]:
    with speaking(DEFAULT):
        return state.model_label(session.model), state.data_label(session.data)


def measured_now(model: LoadedModel) -> Measured | None:
    """Both models on all rows, if that is known already."""
    job = evaluation_job(model)
    live = job.result if job is not None and job.state == "done" else None
    return Measured(live.before, live.after, live.comparison) if live else None


def recall(model: LoadedModel) -> None:
    """Have the figures where this process has measured them already: in another session, or before a reload."""
    session = state.current()
    about = model, session.data, session.mask, session.replacement
    if evaluation_job(model) is None and store().has_measured(*about):
        store().evaluate(session_id(), *about).finished.wait(RECALL_SECONDS)


def evaluation_job(model: LoadedModel) -> Job | None:
    """The session's evaluation of the present mask, however far it is."""
    wanted = wanted_evaluation(model)
    kept = st.session_state.get("evaluations_done")
    done: Job | None = kept.get(wanted) if kept is not None else None
    latest = store().evaluator.latest((session_id(), "evaluate"))
    return done or (latest if latest is not None and latest.fingerprint == wanted else None)


def wanted_evaluation(model: LoadedModel) -> tuple[object, ...]:
    session = state.current()
    return evaluation_key(model, session.data, session.mask, session.replacement)


def _sweep() -> pd.DataFrame | None:
    swept = swept_now(SweepSettings())
    return table_of(swept) if swept is not None and swept.rows else None


def _link(session: state.Session) -> str:
    if not state.fits_a_link(session.mask):
        return ""
    base = (st.context.url or "").partition("?")[0].rstrip("/")
    parameters = urlencode(state.url_parameters(session))
    return f"{base.removesuffix('/export')}/prune" + (f"?{parameters}" if parameters else "")


# Why -------------------------------------------------------------------------------------------------------------


def reasons(subject: Subject, plan: Plan | None) -> tuple[str, ...]:
    """How the parts were chosen, in sentences, as far as that is known."""
    if not subject.mask:
        return (tr("Nothing is removed."),)
    if plan is not None:
        notes = (as_sentence(tr(note)) for note in plan.notes)
        return goal(plan), as_sentence(made(plan)), *_about(plan.criterion), *notes
    ranked = subject.ranked
    if ranked is None:
        return (tr("The parts were chosen by hand, or came with a link or a file that does not say how."),)
    return _lowest(subject, ranked), *_about(ranked.criterion)


def _lowest(subject: Subject, ranked: ImportanceMap) -> str:
    label = small(tr(get_criterion(ranked.criterion).label))
    if not ranked.samples:
        return tr(
            "What is removed ({removed}) is what {criterion} ranks lowest.", removed=subject.removed, criterion=label
        )
    return tr(
        "What is removed ({removed}) is what {criterion} ranks lowest, scored on {n:,} calibration rows.",
        removed=subject.removed,
        criterion=label,
        n=ranked.samples,
    )


def _about(criterion: str) -> tuple[str, ...]:
    """What a criterion means, and where it comes from; a strategy that ranks by itself has none."""
    found = criteria().get(criterion)
    if found is None:
        return ()
    about = tr("{what}: {about}", what=tr(found.label), about=tr(found.about))
    return about, tr("Source: {reference}.", reference=found.reference)
