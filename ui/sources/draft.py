"""The table that a session is looking at before it uses it: where it is, how it is read, and what fits."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA, is_source
from pruning.errors import DataError, PruningError
from pruning.fitting import Fit, Reading, fit, guess, meanings
from pruning.folders import gather
from pruning.sources import find_source
from pruning.tables import read_table, written_as
from ui import allowed, state
from ui.jobs import Cache
from ui.store import store

if TYPE_CHECKING:
    import pandas as pd

KEPT_TABLES, KEPT_FITS = 4, 8  # of all sessions: whoever comes back later has to wait until it has been read again
IMAGES = "image-classification"
_tables, _fits = Cache(KEPT_TABLES), Cache(KEPT_FITS)


@dataclass(frozen=True)
class Target:
    """What a table is fitted to: a kind of task, and the classes of the model where it has any."""

    task: str
    classes: tuple[str, ...]

    @property
    def images(self) -> bool:
        return self.task == IMAGES


@dataclass(frozen=True)
class Draft:
    """A table that is being looked at.

    Attributes:
        name: What its owner calls it.
        file: Where it is.
        reading: How it is read; its columns are empty until it has been fitted.
        target: What it was fitted to; ``None`` before.
    """

    name: str
    file: Path
    reading: Reading
    target: Target | None = None

    @property
    def token(self) -> str:
        """Changes with the table, so that pickers of another one are other pickers."""
        return f"{self.file.name}:{self.name}"


def present() -> Draft | None:
    return st.session_state.get("draft")


def begin_draft(name: str, file: Path) -> None:
    """Look at another table.

    Raises:
        DataError: This server does not open it, or it cannot be read.
    """
    encoding, separator = written_as(file)
    draft = Draft(name, file, Reading("", encoding=encoding, separator=separator))
    st.session_state["draft"] = draft
    st.session_state.pop("draft_problem", None)


def begin_path(path: str) -> None:
    """Look at a file on this computer, or at what a folder holds now.

    Raises:
        DataError: This server does not open it, or it cannot be read.
    """
    if not allowed.inside(path):
        raise DataError("this server does not open {name!r}: {allowed}", name=path[:80], allowed=allowed.data_allowed())
    try:
        file = Path(path).expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError("{path!r} is no path", path=path[:80]) from error
    if file.is_dir():
        begin_draft(file.name, gather(file))
    else:
        begin_draft(file.name, file)


def change(**reading: Any) -> None:
    """Read the table in another way."""
    draft = present()
    if draft is not None:
        st.session_state["draft"] = replace(draft, reading=replace(draft.reading, **reading))


def discard() -> None:
    st.session_state.pop("draft", None)


# What it is fitted to --------------------------------------------------------------------------------------------


def target() -> Target | None:
    """What the session's model asks of a table; ``None`` while that is not known."""
    name = state.current().model
    model = store().request_model(name).model
    if model is not None:
        from pruning.tasks import task_of

        task = task_of(model)
        return Target(task.name, model.labels if task.needs_labels else ())
    return Target(BUILT_IN[name].task, BUILT_IN[name].labels) if name in BUILT_IN else None


def fitted(draft: Draft, table: pd.DataFrame, wanted: Target) -> Draft:
    """The draft for a model; its columns are guessed at first, and what its labels mean for every other model."""
    if draft.target == wanted and draft.reading.text in table.columns:
        return draft
    if draft.target is None or draft.target.images != wanted.images or draft.reading.text not in table.columns:
        reading = guess(table, wanted.classes, wanted.images, draft.reading)
    else:
        reading = replace(draft.reading, labels=meanings(table, draft.reading.label, wanted.classes))
    draft = replace(draft, reading=reading, target=wanted)
    st.session_state["draft"] = draft
    return draft


# Cached ----------------------------------------------------------------------------------------------------------


def table_of(draft: Draft) -> pd.DataFrame:
    """The table, read once.

    Raises:
        DataError: It cannot be read.
    """
    key = _key(draft)
    found = _tables.get(key)
    if found is None:
        found = read_table(draft.file, draft.reading.encoding, draft.reading.separator, draft.name)
        _tables.put(key, found)
    return found


def fit_of(draft: Draft, table: pd.DataFrame) -> Fit:
    """What becomes of its rows, found once."""
    key = (*_key(draft), draft.reading, draft.name)
    found = _fits.get(key)
    if found is None:
        found = fit(table, draft.reading, None if is_staged(draft.file) else draft.file.parent)
        _fits.put(key, found)
    return found


def is_staged(file: Path) -> bool:
    """Whether it lies where uploads are kept: then it holds all that belongs to it."""
    from pruning.sources import folder_of_sources

    return file.resolve().is_relative_to(folder_of_sources().resolve())


def _key(draft: Draft) -> tuple[object, ...]:
    try:
        changed = draft.file.stat().st_mtime_ns
    except OSError as error:
        raise DataError("{name} is no longer there: bring it again", name=draft.name) from error
    return draft.file, changed, draft.reading.encoding, draft.reading.separator


# What the session has used ---------------------------------------------------------------------------------------


def own_sources() -> list[str]:
    """Sources that this session has kept or opened, the newest first; nobody else's."""
    return list(st.session_state.get("sources", []))


def remember(source: str) -> None:
    """Note a source for this session's menus."""
    st.session_state["sources"] = list(dict.fromkeys([source, *own_sources()]))


def menu_label(name: str) -> str:
    """How the data picker calls data; sources that share a name with other data have a part of their id, too."""
    label = state.data_label(name)
    if not is_source(name) or label == name:
        return label
    others = [state.data_label(other) for other in (*BUILT_IN_DATA, *own_sources()) if other != name]
    return f"{label} ({name[4:8]})" if label in others else label


def note_in_use() -> None:
    """Note the source that is in use, which a link may have brought."""
    name = state.current().data
    if is_source(name) and name not in own_sources():
        with suppress(PruningError):
            find_source(name)
            remember(name)
