"""What becomes of the rows: how many fit, why others do not, how classes and parts are balanced, and taking them."""

from __future__ import annotations

import copy
import shlex
from typing import TYPE_CHECKING

import streamlit as st

from pruning.errors import PruningError, message_of
from pruning.fitting import SPLITS, Fit
from pruning.language import listing, mark, tr, trn
from pruning.sources import Source, find_source, keep
from ui import charts, state
from ui.jobs import Job
from ui.sidebar import REFRESH_SECONDS
from ui.sources.balance import balance_chart, describe_balance
from ui.sources.draft import Draft, Target, discard, remember
from ui.store import LIVE_ROWS, session_id, store
from ui.theme import Theme, percent, plain

if TYPE_CHECKING:
    import pandas as pd

    from pruning.models import LoadedModel

REFUSED_SHOWN, TEXT_SHOWN, CHUNK = 50, 200, 256
TOKENS_AROUND = 16  # that a tokenizer may put around a text
ROWS_WORDS = {"calibration": mark("Choose what to remove"), "evaluation": mark("Measure the result")}


def draw_fit(draft: Draft, table: pd.DataFrame, found: Fit, target: Target, theme: Theme) -> None:
    """The counts, the rows that do not fit, and the balance."""
    st.header(tr("What fits"))
    columns = st.columns(3)
    columns[0].metric(tr("Rows that fit"), tr("{done:,} of {total:,}", done=found.fitting, total=len(table)))
    for column, part in zip(columns[1:], SPLITS, strict=True):
        count = len(found.rows(part))
        column.metric(tr(ROWS_WORDS[part]), f"{min(count, LIVE_ROWS):,}")
        if count > LIVE_ROWS:
            column.caption(tr("{n:,} at random of {total:,}", n=LIVE_ROWS, total=count))
    text = mark(
        "The pages read at most {n:,} rows of each part, so that answers stay quick; `HEADROOM_ROWS` sets another "
        "number, and the command line reads all."
    )
    st.caption(tr(text, n=LIVE_ROWS))
    draw_refused(draft, table, found)
    if shared := found.shared:
        st.warning(
            trn(
                "{n:,} input chooses and measures: the split column puts equal rows into both parts, so results may "
                "look better than they are.",
                "{n:,} inputs choose and measure: the split column puts equal rows into both parts, so results may "
                "look better than they are.",
                shared,
            )
        )
    draw_lengths(found, target)
    if target.classes and draft.reading.label and found.fitting:
        balance = found.balance()
        st.plotly_chart(
            balance_chart(balance, len(target.classes), theme), theme=None, config=charts.CONFIG,
            alt=describe_balance(balance, len(target.classes)), key="source_balance",
        )  # fmt: skip
        with st.expander(tr("As a table")):
            rows = [
                {tr("class"): name, tr("choose"): n["calibration"], tr("measure"): n["evaluation"]}
                for name, n in balance.items()
            ]
            st.dataframe(rows, hide_index=True)


def draw_refused(draft: Draft, table: pd.DataFrame, found: Fit) -> None:
    """The rows that do not fit, with the reason."""
    refused = found.refused()
    if not refused:
        return
    count, reading = sum(refused.values()), draft.reading
    reasons = listing(f"{number:,} × {tr(reason)}" for reason, number in refused.items())
    text = mark("{n:,} of {total:,} rows ({share}) do not fit: {reasons}.")
    st.warning(plain(tr(text, n=count, total=len(table), share=percent(count / len(table)), reasons=reasons)))
    with st.expander(tr("Rows that do not fit, the first {n}", n=min(count, REFUSED_SHOWN))):
        shown = [row for row, reason in enumerate(found.reasons) if reason][:REFUSED_SHOWN]
        names = list(dict.fromkeys(filter(None, (reading.text, reading.label, reading.split))))
        lines = [
            {
                tr("row"): row,
                tr("why"): tr(found.reasons[row]),
                **{name: cell_text(table[name].iloc[row]) for name in names},
            }
            for row in shown
        ]
        st.dataframe(lines, hide_index=True)


def cell_text(value: object) -> str:
    """A cell as a short text: pictures and nested values would fill the page."""
    text = tr("an image") if isinstance(value, dict) and "bytes" in value else str(value)
    return text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}…"


# Lengths ---------------------------------------------------------------------------------------------------------


def draw_lengths(found: Fit, target: Target) -> None:
    """How many of the texts that are used are longer than the model reads; counted aside, since that takes a while."""
    model = store().request_model(state.current().model).model
    if model is None or target.images or not found.fitting or not callable(getattr(model.processor, "encode", None)):
        return
    used = [found.inputs[row] for part in SPLITS for row in found.rows(part)[:LIVE_ROWS]]
    key = ("lengths", model.fingerprint, hash(tuple(used)))
    job = store().reader.submit(Job((session_id(), "lengths"), key, lambda job: count_long(job, model, used)))
    if job.active:
        st.fragment(_wait_for_lengths, run_every=REFRESH_SECONDS)(job)
    elif job.state == "done":
        longer, limit = job.result
        if not longer:
            st.caption(tr("All texts are within the {n:,} tokens that the model reads.", n=limit))
            return
        some = trn(
            "{n:,} of the {total:,} rows that are used is longer than the model reads ({limit:,} tokens) and is cut "
            "there.",
            "{n:,} of the {total:,} rows that are used are longer than the model reads ({limit:,} tokens) and are cut "
            "there.",
            longer, total=len(used), limit=limit,
        )  # fmt: skip
        st.caption(some)


def _wait_for_lengths(job: Job) -> None:
    state.note_url()
    if not job.active:
        st.rerun()
    st.caption(tr("Counting the texts that are longer than the model reads …"))


def count_long(job: Job, model: LoadedModel, texts: list[str]) -> tuple[int, int]:
    """Texts of more tokens than the model reads, and that limit. Short ones need not be looked at: no token is empty.

    The tokenizer is copied: its settings belong to whoever encodes rows at the same time.
    """
    from pruning.tasks.text import token_limit

    limit, tokenizer = token_limit(model), copy.deepcopy(model.processor)
    doubtful = [t for t in texts if len(t.encode("utf-8", "surrogatepass")) + TOKENS_AROUND > limit]
    longer = 0
    for start in range(0, len(doubtful), CHUNK):
        job.report(start, len(doubtful))
        longer += sum(len(ids) > limit for ids in tokenizer(doubtful[start : start + CHUNK])["input_ids"])
    return longer, limit


# Taking it -------------------------------------------------------------------------------------------------------


def use_button(draft: Draft, found: Fit, target: Target) -> None:
    """Take the table into the session, where there are rows for both parts."""
    missing = [part for part in SPLITS if not found.rows(part)]
    problem = ""
    if target.classes and draft.reading.label is None:
        problem = tr("Choose the label column first: this model is measured against labels.")
    elif not found.fitting:
        problem = tr("No row fits yet. Choose other columns, or say what the labels mean.")
    elif missing:
        choose = tr("No row would choose: divide the rows otherwise.")
        problem = choose if missing[0] == "calibration" else tr("No row would measure: divide the rows otherwise.")
    if problem:
        st.info(problem)
    with st.container(horizontal=True):
        st.button(tr("Use this data"), type="primary", disabled=bool(problem), on_click=_use, args=(draft,))
        st.button(tr("Discard"), on_click=discard)


def _use(draft: Draft) -> None:
    st.session_state.pop("draft_problem", None)
    try:
        source = keep(draft.name, draft.file, draft.reading)
    except PruningError as error:
        st.session_state["draft_problem"] = message_of(error)
        return
    take(source.id)
    discard()


def take(source: str) -> None:
    """Ask for a source in this session; the sidebar reads it and says so where it does not fit."""
    remember(source)
    st.session_state.pop("data_problem", None)
    if source != state.current().data:
        st.session_state["data_wanted"] = source


# What the session has brought ------------------------------------------------------------------------------------


def draw_sources(sources: list[str]) -> None:
    """The session's own tables, which one is in use, and how the command line calls it."""
    found = [source for source in map(_found, sources) if source is not None]
    if not found:
        return
    st.header(tr("Your data in this session"))
    for source in found:
        used = source.id in (state.current().data, st.session_state.get("data_wanted"))
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
                st.markdown(f"**{plain(source.name)}** · {plain(_columns_text(source))}")
                if used:
                    st.markdown(tr("In use"))
                else:
                    st.button(tr("Use"), key=f"use {source.id}", on_click=take, args=(source.id,))
            st.code(_command(source), language="bash", wrap_lines=True)
    text = mark(
        "The link of a page carries this data to whoever has it, on this server only. What has not been used for the "
        "longest time is deleted when the space for own data is full."
    )
    st.caption(tr(text))


def _found(source: str) -> Source | None:
    try:
        return find_source(source)
    except PruningError:
        return None


def _columns_text(source: Source) -> str:
    parts = [source.reading.text, source.reading.label, source.reading.split]
    columns = " → ".join(filter(None, parts[:2]))
    return tr("{columns}, divided by {split}", columns=columns, split=parts[2]) if parts[2] else columns


def _command(source: Source) -> str:
    return shlex.join(["python", "-m", "pruning", "evaluate", state.current().model, "--data", source.id])
