"""Named scenarios: masks that a person keeps, with what was looked at when they were made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import streamlit as st

from pruning.masks import Mask
from ui import state

LONGEST_NAME = 80


@dataclass(frozen=True)
class Scenario:
    """A mask under a name.

    Attributes:
        model, data, criterion: What was looked at.
        compensation: What stands in for what is removed.
    """

    name: str
    model: str
    data: str
    criterion: str
    mask: Mask
    compensation: str = "none"
    made: datetime = field(default_factory=lambda: datetime.now(UTC))


def scenarios(model: str | None = None) -> list[Scenario]:
    """What this session has kept, the newest first; of one model where that is given."""
    kept: list[Scenario] = st.session_state.get("scenarios", [])
    return [one for one in reversed(kept) if model in (None, one.model)]


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
    others = [one for one in st.session_state.get("scenarios", []) if (one.name, one.model) != (made.name, made.model)]
    st.session_state["scenarios"] = [*others, made]
    return made


def free_name() -> str:
    """A name that is not taken yet."""
    taken = {one.name for one in scenarios()}
    return next(name for i in range(1, len(taken) + 2) if (name := f"Scenario {i}") not in taken)


def rename(scenario: Scenario, name: str) -> None:
    kept = st.session_state.get("scenarios", [])
    named = replace(scenario, name=name.strip()[:LONGEST_NAME] or scenario.name)
    st.session_state["scenarios"] = [named if one == scenario else one for one in kept]


def forget(scenario: Scenario) -> None:
    st.session_state["scenarios"] = [one for one in st.session_state.get("scenarios", []) if one != scenario]


def reopen(scenario: Scenario) -> None:
    """Look at it again; undo brings the mask back that was there before, where the model is the same."""
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
