"""History: what was measured, swept, recovered, exported and named in this browser, to look at and to reopen."""

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from pruning.history.records import HistoryError
from pruning.language import tr, trn
from ui.browser import owner
from ui.history.browsing import filters, table
from ui.history.chosen import clear, draw_chosen, follow, undo_line
from ui.history.timeline import draw_timeline
from ui.page import Page, begin
from ui.store import store
from ui.theme import plain

if TYPE_CHECKING:
    from pruning.history.database import History


def main() -> None:
    follow()
    page = begin("History", tr("What was measured, swept, recovered, exported and named in this browser."))
    recorder = store().recorder
    history = recorder.history()
    if history is None:
        off(recorder.problem)
        return
    if recorder.lost:
        st.warning(plain(tr("Something could not be recorded: {why}.", why=recorder.lost)))
    try:
        draw(history, page)
    except HistoryError as error:
        off(error)


def draw(history: "History", page: Page) -> None:
    """The table and what belongs to it; or what to do where there is nothing."""
    undo_line(history)
    if not history.count(owner()):
        empty()
        return
    wanted, order = filters(history)
    draw_chosen(history, table(history, wanted, order), page.theme)
    draw_timeline(history, page.theme)
    take_along(history)


def take_along(history: "History") -> None:
    """Everything as a file, and the way to be rid of it."""
    st.header(tr("All records"))
    with st.container(horizontal=True):
        for kind, mime in (("CSV", "text/csv"), ("JSON", "application/json")):
            st.download_button(
                tr("Download as {kind}", kind=kind), partial(file_of, history, owner(), kind),
                f"history.{kind.lower()}", mime, on_click="ignore",
                help=tr("All records of this browser, whatever the filters say."),
            )  # fmt: skip
        with st.popover(tr("Clear history")):
            count = history.count(owner())
            st.markdown(tr("This deletes what has a name or a star, too. It can be undone until you leave."))
            label = trn("Delete {n} record", "Delete all {n:,} records", count)
            st.button(label, on_click=clear, args=(history,))


def file_of(history: "History", whose: str, kind: str) -> str:
    """The content of a file, made when it is asked for."""
    from pruning.history.files import as_csv, as_json

    return as_csv(history.find(whose)) if kind == "CSV" else as_json(history.find(whose, points=True))


def empty() -> None:
    """What to do first."""
    st.info(
        tr(
            "Nothing has been recorded yet. Remove a head on Prune, and as soon as the result is measured on all rows "
            "it appears here, with its settings, to be named, compared and reopened. Only this browser sees it."
        )
    )
    if st.button(tr("Open Prune"), type="primary"):
        st.switch_page("pages/prune.py")


def off(why: object) -> None:
    """There is no history: why, and that all else goes on."""
    st.error(plain(tr("There is no history now: {why}. Everything else works without it.", why=why)))
    st.button(tr("Try again"), on_click=store().recorder.retry)


main()
