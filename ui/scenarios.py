"""Named scenarios: masks that a person keeps, with what was looked at when they were made.

They are kept in the history, under the browser's id, and come back after a reload; where there is no history, the
session keeps them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from pruning.history.records import Record
from pruning.importance import criteria, get_criterion
from pruning.language import tr
from pruning.masks import Mask
from pruning.plan import COMPENSATIONS
from ui import state
from ui.browser import owner
from ui.history.entries import removed
from ui.store import store

if TYPE_CHECKING:
    from pruning.history.database import History

Found = TypeVar("Found")
LONGEST_NAME = 80
MOST = 500  # that are listed


@dataclass(frozen=True)
class Scenario:
    """A mask under a name.

    Attributes:
        model, data, criterion: What was looked at.
        compensation: What stands in for what is removed.
        id: Its number in the history; None where the session keeps it.
    """

    name: str
    model: str
    data: str
    criterion: str
    mask: Mask
    compensation: str = "none"
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    id: int | None = None


def scenarios(model: str | None = None) -> list[Scenario]:
    """What this browser has kept, the newest first; of one model where that is given."""
    kept: list[Scenario] = st.session_state.get("scenarios", [])
    found = [one for one in reversed(kept) if model in (None, one.model)]
    return found + [of_record(one) for one in _attempt(lambda history: _find(history, model)) or []]


def keep(name: str) -> Scenario:
    """Keep what is on the screen under a name; one of the same name and model gives way."""
    session = state.current()
    made = Scenario(
        name.strip()[:LONGEST_NAME] or free_name(),
        session.model,
        session.data,
        session.criterion,
        session.mask,
        session.replacement,
    )
    for other in scenarios(made.model):
        if other.name == made.name:
            forget(other)
    if record := _attempt(lambda history: history.add(to_record(made))):
        return of_record(record)
    st.session_state["scenarios"] = [*st.session_state.get("scenarios", []), made]
    return made


def free_name() -> str:
    """A name that is not taken yet."""
    taken = {one.name for one in scenarios()}
    return next(name for i in range(1, len(taken) + 2) if (name := tr("Scenario {n}", n=i)) not in taken)


def rename(scenario: Scenario, name: str) -> None:
    name = name.strip()[:LONGEST_NAME] or scenario.name
    if (number := scenario.id) is not None:
        _attempt(lambda history: history.rename(owner(), number, name))
        return
    kept = st.session_state.get("scenarios", [])
    st.session_state["scenarios"] = [replace(one, name=name) if one == scenario else one for one in kept]


def forget(scenario: Scenario) -> None:
    if (number := scenario.id) is not None:
        _attempt(lambda history: history.delete(owner(), [number]))
        return
    st.session_state["scenarios"] = [one for one in st.session_state.get("scenarios", []) if one != scenario]


def reopen(scenario: Scenario) -> None:
    """Look at it again; undo brings the mask back that was there before, where the model is the same."""
    if state.current().scope not in get_criterion(scenario.criterion).scopes:
        state.update(scope=state.Session.scope)
    if scenario.model == state.current().model:
        state.edit_mask(scenario.mask)
        state.update(data=scenario.data, criterion=scenario.criterion, compensation=scenario.compensation)
        return
    state.update(
        model=scenario.model,
        data=scenario.data,
        criterion=scenario.criterion,
        compensation=scenario.compensation,
        history=state.History(scenario.mask),
    )


# In the history --------------------------------------------------------------------------------------------------


def to_record(scenario: Scenario) -> Record:
    """The record that keeps a scenario; what is gone of how many is noted where the model is in memory."""
    model = store().request_model(scenario.model).model
    settings = {"criterion": scenario.criterion, "compensation": scenario.compensation}
    numbers = {} if model is None else {
        "removed": removed(model.anatomy, scenario.mask), "heads_per_site": list(model.anatomy.heads_per_site)
    }  # fmt: skip
    return Record(
        "scenario", owner(), scenario.model, model.fingerprint if model else "", scenario.data, "", scenario.mask,
        settings, numbers, name=scenario.name, made=scenario.made,
    )  # fmt: skip


def of_record(record: Record) -> Scenario:
    """Any record as something to look at again; what its settings do not say, or not any more, is at its default."""
    fresh, asked = state.Session(), record.settings
    criterion = found if (found := asked.get("criterion")) in criteria() else fresh.criterion
    compensation = found if (found := asked.get("compensation")) in COMPENSATIONS else fresh.compensation
    return Scenario(
        record.name, record.model, record.data, criterion, record.mask, compensation, record.made, record.id
    )


def _find(history: History, model: str | None) -> list[Record]:
    from pruning.history.database import Wanted

    return history.find(owner(), Wanted(kinds=("scenario",), model=model or ""), limit=MOST)


def _attempt(work: Callable[[History], Found]) -> Found | None:
    """Do something with the history; None where there is none, or none that can be used now."""
    return store().recorder.attempt(work)
