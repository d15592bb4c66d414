"""The state of one session: model, data, criterion, and the mask with its history. Mirrored in the URL.

Everything is kept under keys that belong to no widget, so that it survives a change of page.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from pruning.data import BUILT_IN_DATA
from pruning.errors import MaskError
from pruning.importance import criteria
from pruning.masks import Mask

HISTORY_LIMIT = 200
ECHO_SECONDS = 4.0  # a URL that the browser sends back late is an echo of ours, not a wish of the user


@dataclass(frozen=True)
class History:
    """The mask with what was before and what was undone; every edit makes a new value."""

    mask: Mask = field(default_factory=Mask)
    past: tuple[Mask, ...] = ()
    future: tuple[Mask, ...] = ()

    def edit(self, mask: Mask) -> History:
        return self if mask == self.mask else History(mask, (*self.past, self.mask)[-HISTORY_LIMIT:], ())

    def undo(self) -> History:
        return History(self.past[-1], self.past[:-1], (self.mask, *self.future)) if self.past else self

    def redo(self) -> History:
        return History(self.future[0], (*self.past, self.mask), self.future[1:]) if self.future else self


@dataclass(frozen=True)
class Session:
    """What a session looks at."""

    model: str = "demo"
    data: str = "demo"
    criterion: str = "gradient"
    history: History = field(default_factory=History)

    @property
    def mask(self) -> Mask:
        return self.history.mask


def current() -> Session:
    """The session's state; on the first run it is read from the link that was opened."""
    if "session" not in st.session_state:
        st.session_state["session"] = Session()
        st.session_state["url_written"] = []
        _adopt_url(first=True)
    return st.session_state["session"]


def update(**changes: Any) -> None:
    """Replace parts of the state; another model begins with an empty mask."""
    session = current()
    if changes.get("model", session.model) != session.model:
        changes.setdefault("history", History())
    st.session_state["session"] = replace(session, **changes)


def edit_mask(mask: Mask) -> None:
    """Change the mask; undo brings the old one back."""
    update(history=current().history.edit(mask))


def undo() -> None:
    update(history=current().history.undo())


def redo() -> None:
    update(history=current().history.redo())


# The URL -------------------------------------------------------------------------------------------------------------


def url_parameters(session: Session) -> dict[str, str]:
    """What the link says; whatever is at its default is left out."""
    fresh = Session()
    found = {name: getattr(session, name) for name in ("model", "data", "criterion")}
    found = {name: value for name, value in found.items() if value != getattr(fresh, name)}
    return {**found, "mask": session.mask.to_code()} if session.mask else found


def sync_url() -> None:
    """Follow the URL where the user changed it (back, forward, edited by hand); otherwise write the state into it.

    The browser sends its URL with every run, at times one that is older than our last change. What we wrote in the last
    few seconds is therefore never taken for a wish.
    """
    session = current()
    now, here = time.monotonic(), dict(st.query_params)
    written = [(t, p) for t, p in st.session_state["url_written"] if now - t < ECHO_SECONDS]
    last = st.session_state.get("url_last")
    if last is not None and here != last and here and all(here != parameters for _, parameters in written):
        _adopt_url(first=False)
        session = current()
    wanted = url_parameters(session)
    if last != wanted:
        written = [*written, *([(now, last)] if last is not None else []), (now, wanted)]
    # Noted before it is written: writing is a point where a newer run may take over from this one.
    st.session_state["url_written"], st.session_state["url_last"] = written, wanted
    if dict(st.query_params) != wanted:
        st.query_params.from_dict(wanted)


def _adopt_url(first: bool) -> None:
    """Take model, data, criterion and mask from the link; what does not fit is named in a notice."""
    here, session, problems = st.query_params, st.session_state["session"], []
    absent = Session()  # a link leaves out what is at its default
    changes: dict[str, Any] = {name: here.get(name) or getattr(absent, name) for name in ("model", "data")}
    if here.get("criterion", absent.criterion) in criteria():
        changes["criterion"] = here.get("criterion", absent.criterion)
    elif here.get("criterion"):
        problems.append(f"there is no criterion {here['criterion'][:40]!r}")
    if here.get("mask") or not first:
        try:
            mask = Mask.from_code(here.get("mask", ""))
            changes["history"] = History(mask) if first else session.history.edit(mask)
        except MaskError as error:
            problems.append(str(error))
    st.session_state["session"] = replace(session, **changes)
    if problems:
        st.session_state["notice"] = "The link does not fit: " + "; ".join(problems) + "."


def pop_notice() -> str:
    """A sentence to show once, or nothing."""
    return st.session_state.pop("notice", "")


def data_label(data: str) -> str:
    return BUILT_IN_DATA.get(data, data)
