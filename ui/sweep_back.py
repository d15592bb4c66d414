"""A sweep that comes back from the history: checked behind the page, and shown on Trade-off if nothing has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.history.records import Record
from pruning.importance import criteria
from pruning.language import mark, tr
from pruning.search import strategies
from ui import state
from ui.history.entries import CHOSEN_ON
from ui.store import session_id, store
from ui.sweeping import start
from ui.sweeps import TAKE_BACK, Origin, SweepSettings, Swept
from ui.theme import plain
from ui.tradeoff_text import REPLACEMENTS, SAVED, WHOLE

if TYPE_CHECKING:
    from pruning.models import LoadedModel

COLUMNS = {
    "strategy", "criterion", "compensation", "budget", "share", "seed", *SAVED, "loss", "samples", "mask", "made",
}  # fmt: skip
ASKED, RETURNING = "sweep_asked", "sweep_returning"
REFRESH_SECONDS = 0.5


@dataclass(frozen=True)
class Returning:
    """What is to come back.

    Attributes:
        model, data: As the menus call them.
    """

    model: str
    data: str
    swept: Swept
    origin: Origin


def sweep_settings(record: Record) -> SweepSettings | None:
    """What a sweep was asked for; None where another version of the program meant something else."""
    asked = record.settings
    names = [name for name in SweepSettings.__dataclass_fields__ if name in asked]
    known: dict[str, Any] = {name: tuple(v) if isinstance(v := asked[name], list) else v for name in names}
    try:
        return SweepSettings(**known)
    except (TypeError, ValueError):
        return None


def swept_of(record: Record) -> Swept | None:
    """The sweep that a record has kept; None where its points were not kept, or cannot be read any more."""
    settings, points = sweep_settings(record), record.points
    whole = any(point.get("mask") == WHOLE for point in points)  # everything is measured by it
    if settings is None or not whole or not all(map(_known, points)):
        return None
    return Swept(settings, points, True, chosen_on=str(record.numbers.get(CHOSEN_ON, "")), reopened=True)


def _known(point: dict[str, Any]) -> bool:
    """Whether this version of the program can draw it."""
    if COLUMNS - point.keys() or point["strategy"] not in strategies() or point["compensation"] not in REPLACEMENTS:
        return False
    return bool(strategies()[point["strategy"]].measure) or point["criterion"] in criteria()


def bring_back(record: Record) -> None:
    """Show a sweep on Trade-off again; its points come back if they were kept, and nothing has changed since."""
    if (settings := sweep_settings(record)) is None:
        return
    st.session_state[ASKED] = (record.model, record.data, settings)
    if (swept := swept_of(record)) is not None:
        origin = Origin(record.model_fingerprint, swept.chosen_on, record.data_fingerprint)
        st.session_state[RETURNING] = Returning(record.model, record.data, swept, origin)


def draw_return(model: LoadedModel | None) -> bool:
    """On Trade-off: the check, and what came of it where the points cannot come back; whether it still runs."""
    wanted: Returning | None = st.session_state.get(RETURNING)
    session = state.current()
    if wanted is None or (wanted.model, wanted.data) != (session.model, session.data):
        st.session_state.pop(RETURNING, None)
        return False
    if model is None:
        return False
    assert wanted.swept.settings is not None
    if store().sweeps.found(model, wanted.data, wanted.swept.settings) is not None:
        st.session_state.pop(RETURNING)
        return False
    job = store().sweeps.take_back(session_id(), model, wanted.data, wanted.swept, wanted.origin)
    if job.active:
        st.fragment(_wait, run_every=REFRESH_SECONDS)()
    elif job.state == "failed":
        st.error(plain(tr("The sweep cannot come back: {error}.", error=job.error)))
    else:
        text = mark(
            "The model or the rows have changed since this sweep was measured. Its points are in the history, and "
            "can be measured anew."
        )
        st.warning(tr(text))
        st.button(tr("Sweep with the same settings"), on_click=start, args=(wanted.swept.settings,))
    return job.active


def _wait() -> None:
    job = store().scorer.latest((session_id(), TAKE_BACK))
    if job is None or not job.active:
        st.rerun()
    st.info(tr("Checking that the model and the rows are those of the sweep."))
