"""The selected records: what is known of them, and what can be done with them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.history.records import LONGEST_NAME, Record
from pruning.language import mark, tr, trn
from ui import charts, scenarios, state
from ui.browser import owner
from ui.compare.maps import Grid, side_map
from ui.history import words
from ui.history.browsing import zone
from ui.history.sweep import draw_sweep
from ui.naming import site_names
from ui.sweep_back import bring_back
from ui.theme import Theme, plain

if TYPE_CHECKING:
    from pruning.history.database import History

PAGES = {
    "sweep": (mark("Trade-off"), "pages/tradeoff.py"),
    "recovery": (mark("Recover"), "pages/recover.py"),
    "export": (mark("Export"), "pages/export.py"),
}
PRUNE = (mark("Prune"), "pages/prune.py")  # where every other kind belongs
DELETED, GOES_TO = "history_deleted", "history_goes_to"


def draw_chosen(history: History, records: Sequence[Record], theme: Theme) -> None:
    """One record in full, or what can be done with several."""
    if len(records) == 1:
        st.header(plain(words.title(records[0], zone())))
        _actions(history, records)
        details(records[0], theme)
        if records[0].kind == "sweep":
            draw_sweep(history, records[0], theme)
    elif records:
        st.header(trn("{n} record selected", "{n} records selected", len(records)))
        _actions(history, records)


# What can be done ------------------------------------------------------------------------------------------------


def _actions(history: History, records: Sequence[Record]) -> None:
    numbers = [one.id for one in records if one.id is not None]
    star = not all(one.starred for one in records)
    with st.container(horizontal=True):
        if len(records) == 1:
            label, path = PAGES.get(records[0].kind, PRUNE)
            about = tr("Takes the model, data, criterion, mask and replacement back into use.")
            text = tr("Reopen in {page}", page=tr(label))
            st.button(text, type="primary", help=about, on_click=_go, args=(history, records[0], path))
        st.button(tr("Star") if star else tr("Remove star"), on_click=_star, args=(history, numbers, star))
        if len(records) == 1:
            _rename(history, records[0])
        st.button(tr("Delete"), on_click=_delete, args=(history, numbers))


def _go(history: History, record: Record, path: str) -> None:
    whole = history.get(owner(), record.id) if record.id is not None else None
    reopen(whole or record)
    st.session_state[GOES_TO] = path  # a callback cannot go there itself


def follow() -> None:
    """Go where a record was reopened."""
    if path := st.session_state.pop(GOES_TO, None):
        st.switch_page(path)


def _rename(history: History, record: Record) -> None:
    with st.popover(tr("Rename")), st.form(f"rename {record.id} {record.name}", border=False):
        about = tr("Named records are kept for good.")
        name = st.text_input(tr("Name"), record.name, max_chars=LONGEST_NAME, help=about)
        if st.form_submit_button(tr("Save")) and record.id is not None and (name.strip() or record.kind != "scenario"):
            history.rename(owner(), record.id, name)
            st.rerun()


def _star(history: History, numbers: Sequence[int], star: bool) -> None:
    history.star(owner(), numbers, star)


def _delete(history: History, numbers: Sequence[int]) -> None:
    st.session_state[DELETED] = history.delete(owner(), numbers)
    st.session_state["history_selected"] = ()


def clear(history: History) -> None:
    """Delete everything; it can be undone as any deletion can."""
    st.session_state[DELETED] = history.clear(owner())
    st.session_state["history_selected"] = ()


def undo_line(history: History) -> None:
    """What was deleted last, with the way back."""
    gone: list[Record] = st.session_state.get(DELETED, [])
    if gone:
        with st.container(horizontal=True, vertical_alignment="center"):
            what = tr("{n:,} records", n=len(gone)) if len(gone) > 1 else plain(words.title(gone[0], zone()))
            st.markdown(tr("Deleted: {what}.", what=what), width="content")
            st.button(tr("Undo"), on_click=_undo, args=(history,), icon=":material/undo:")
            st.button(tr("Dismiss"), on_click=lambda: st.session_state.pop(DELETED, None), type="tertiary")


def _undo(history: History) -> None:
    gone = st.session_state.pop(DELETED, [])
    history.restore([replace(one, owner=owner()) for one in gone])  # the browser may have become known since
    st.session_state["history_selected"] = tuple(one.id for one in gone)


def reopen(record: Record) -> None:
    """Take what a record is of back into use; a sweep is shown again with its points."""
    scenarios.reopen(scenarios.of_record(record))
    if record.kind == "sweep":
        bring_back(record)


# What is known ---------------------------------------------------------------------------------------------------


def details(record: Record, theme: Theme) -> None:
    """All numbers, what was asked for, and the mask."""
    took = words.duration(record.seconds)
    parts = [words.when(record.made, zone()), state.model_label(record.model), state.data_label(record.data)]
    st.caption(plain(" · ".join([*parts, *([tr("took {time}", time=took)] if took else [])])))
    left, right = st.columns([3, 2], gap="large")
    with left:
        metrics = words.metric_rows(record)
        if metrics:
            changed = any(change for _, _, change in metrics)
            heads = ["", tr("Value (95% interval)"), *([tr("Change from unpruned")] if changed else [])]
            _table(tr("All metrics"), heads, [row if changed else row[:2] for row in metrics])
        else:
            st.markdown(tr("No metric was measured in this step."))
        rows = [*words.other_numbers(record), *words.setting_rows(record)]
        _table(tr("Settings"), ["", tr("Settings and counts")], rows)
    with right:
        _mask(record, theme)


def _mask(record: Record, theme: Theme) -> None:
    noted = record.numbers.get("heads_per_site")
    known = isinstance(noted, list) and all(isinstance(one, int) for one in noted)
    heads_per_site: list[int] = noted if known and noted else []
    names = site_names(["self"] * len(heads_per_site))
    st.markdown(tr("**Removed:** {parts}", parts=words.removed_text(record)))
    if not record.mask:
        return
    if record.mask.heads and heads_per_site:
        figure = side_map(Grid(tuple(heads_per_site), names), record.mask.heads, title="", theme=theme)
        st.plotly_chart(
            figure, theme=None, config=charts.CONFIG,
            key=f"history_mask_{record.id}", alt=tr("The mask: {removed} removed.", removed=words.removed_text(record)),
        )  # fmt: skip
    with st.expander(tr("As a list")):
        st.markdown("  \n".join(map(plain, words.mask_lines(record, names))))


def _table(label: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A small table in the look of the figures on Prune."""
    if not rows:
        return
    top = "<td></td>" + "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in heads[1:])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    st.html(f"<div class='headroom-figures' role='region' tabindex='0' aria-label='{html.escape(label)}'>{table}</div>")
