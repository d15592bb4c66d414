"""Which column is what, what the labels mean, and how the rows are divided."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from pruning.fitting import MOST_CLASSES, guess_parts, meanings, values_of
from pruning.language import mark, tr, trn
from pruning.tables import ENCODINGS, SEPARATORS
from ui.controls import mirror_key, on_move
from ui.sources.draft import Draft, Target, change
from ui.theme import plain

if TYPE_CHECKING:
    import pandas as pd

    from pruning.data import Split

MOST_PICKERS, PER_ROW = 24, 3
NO_LABELS, AT_RANDOM, OUT = mark("no labels"), mark("none: divide at random"), mark("leave out")
PART_NAMES = {"calibration": mark("choose"), "evaluation": mark("measure"), "": OUT}


def _picker(
    name: str, label: str, options: Sequence[Any], shown: Any, act: Callable[[Any], None], **others: Any
) -> None:
    """A picker that shows a part of the draft, and changes it."""
    key = mirror_key(name, shown)

    def choose(value: Any) -> Hashable:
        act(value)
        return value

    st.selectbox(
        label, options, index=list(options).index(shown), key=key, on_change=on_move(name, key, choose), **others
    )


# Writing ---------------------------------------------------------------------------------------------------------


def written_pickers(draft: Draft) -> None:
    """Encoding and separator, for files that are written as text."""
    suffix, reading = draft.file.suffix.lower(), draft.reading
    if suffix == ".parquet":
        return
    with st.expander(tr("How the file is written")):
        columns = st.columns(2)
        with columns[0]:
            _picker(
                f"encoding {draft.token}", tr("Encoding"), ENCODINGS, reading.encoding, lambda v: change(encoding=v),
                help=tr("How letters beyond a to z are stored. Excel on Windows writes cp1252 or utf-16 at times."),
            )  # fmt: skip
        with columns[1]:
            if suffix in (".csv", ".tsv"):
                _picker(
                    f"separator {draft.token}", tr("Separator"), list(SEPARATORS), reading.separator,
                    lambda v: change(separator=v), format_func=lambda v: tr(SEPARATORS[v]),
                    help=tr("What stands between the columns. A text that holds it has to be in quotes."),
                )  # fmt: skip


# Columns ---------------------------------------------------------------------------------------------------------


def column_pickers(draft: Draft, table: pd.DataFrame, target: Target) -> None:
    """Text or image, label, split."""
    names, reading, token = list(table.columns), draft.reading, draft.token
    first, second, third = st.columns(3)
    with first:
        _picker(
            f"text {token}", tr("Image column") if target.images else tr("Text column"), names, reading.text,
            lambda v: change(text=v), help=tr("What the model reads."),
        )  # fmt: skip
    with second:
        if target.classes:
            _picker(
                f"label {token}", tr("Label column"), ["", *names], reading.label or "",
                lambda v: change(label=v or None, labels=meanings(table, v, target.classes)),
                format_func=lambda v: v or tr(NO_LABELS), help=tr("The right answer for each row."),
            )  # fmt: skip
        else:
            st.caption(tr("A language model predicts the text itself, so no labels are needed."))
    with third:
        _picker(
            f"split {token}", tr("Split column"), ["", *names], reading.split or "",
            lambda v: change(split=v or None, parts=tuple(guess_parts(values_of(table[v]) if v else ()).items())),
            format_func=lambda v: v or tr(AT_RANDOM),
            help=tr("A column that says for each row whether it is for choosing (train) or for measuring (test)."),
        )  # fmt: skip


# Labels ----------------------------------------------------------------------------------------------------------


def label_pickers(draft: Draft, table: pd.DataFrame, target: Target) -> None:
    """What each label means: those that match by themselves stay folded away."""
    reading = draft.reading
    if not reading.label or not target.classes:
        return
    counts, known = values_of(table[reading.label]), dict(reading.labels or ())
    automatic = dict(meanings(table, reading.label, target.classes) or ())
    others = [value for value in counts if value not in automatic]
    st.header(tr("What the labels mean"))
    if len(counts) > max(MOST_CLASSES, 2 * len(target.classes)):
        text = mark("{column} has {n:,} different values: is it the column of the labels?")
        st.warning(plain(tr(text, column=reading.label, n=len(counts))))
    if others:
        some = tr("{n:,} of {total:,} labels match a class by name or number.", n=len(automatic), total=len(counts))
        matched = some if automatic else tr("No label matches a class by name or number.")
        rest = tr("Say what the others mean; rows with a label that is left out are not used.")
        st.markdown(f"{matched} {rest}")
        _grid(draft, others[:MOST_PICKERS], counts, known, target)
        if len(others) > MOST_PICKERS:
            st.caption(tr("The {n:,} less frequent ones are left out.", n=len(others) - MOST_PICKERS))
    else:
        st.markdown(tr("Every label matches a class of the model by name or number."))
    if automatic:
        with st.expander(tr("Labels that match by themselves")):
            _grid(draft, list(automatic)[:MOST_PICKERS], counts, known, target)


def _grid(draft: Draft, values: Sequence[str], counts: dict[str, int], known: dict[str, str], target: Target) -> None:
    """A picker for each label."""
    for start in range(0, len(values), PER_ROW):
        for column, value in zip(st.columns(PER_ROW), values[start : start + PER_ROW], strict=False):
            with column:
                _picker(
                    f"label {draft.token} {draft.reading.label} {value}",
                    plain(trn("{value} ({n:,} row)", "{value} ({n:,} rows)", counts[value], value=value[:60])),
                    ["", *dict.fromkeys(target.classes)], known.get(value, ""), partial(_mean, value),
                    format_func=lambda v: v or tr(OUT),
                )  # fmt: skip


def _mean(value: str, meaning: str) -> None:
    """Let a label mean a class, or nothing: then its rows are left out."""
    draft: Draft | None = st.session_state.get("draft")
    if draft is None:
        return
    known = dict(draft.reading.labels or ())
    known.pop(value, None)
    if meaning:
        known[value] = meaning
    change(labels=tuple(known.items()))


# Division --------------------------------------------------------------------------------------------------------


def split_pickers(draft: Draft, table: pd.DataFrame) -> None:
    """How rows are divided: what the values of the split column mean, or the share that chooses."""
    reading = draft.reading
    text = mark(
        "Some rows choose what to remove, others measure the result. No row does both: what is measured on the rows "
        "that chose would look better than it is."
    )
    st.markdown(tr(text))
    if reading.split is None:
        _share(draft)
        return
    counts, meant = values_of(table[reading.split]), dict(reading.parts)
    values = list(counts)[:MOST_PICKERS]
    if len(counts) > MOST_PICKERS:
        text = mark("{column} has {n:,} different values; all but {most} are left out.")
        st.warning(plain(tr(text, column=reading.split, n=len(counts), most=MOST_PICKERS)))
    for start in range(0, len(values), PER_ROW):
        for column, value in zip(st.columns(PER_ROW), values[start : start + PER_ROW], strict=False):
            with column:
                _picker(
                    f"part {draft.token} {reading.split} {value}",
                    plain(trn("{value} ({n:,} row)", "{value} ({n:,} rows)", counts[value], value=value[:60])),
                    list(PART_NAMES), meant.get(value, ""), partial(_belong, value),
                    format_func=lambda part: tr(PART_NAMES[part]),
                )  # fmt: skip


def _belong(value: str, part: Split | Literal[""]) -> None:
    """Let a value of the split column mean a part, or none: then its rows are left out."""
    draft: Draft | None = st.session_state.get("draft")
    if draft is None:
        return
    meant = dict(draft.reading.parts)
    meant.pop(value, None)
    change(parts=tuple((meant | ({value: part} if part else {})).items()))


def _share(draft: Draft) -> None:
    """Share and seed of the random division."""
    name, shown = f"share {draft.token}", round(100 * draft.reading.share)
    key = mirror_key(name, shown)

    def choose(value: Any) -> int:
        change(share=value / 100)
        return value

    left, right = st.columns(2)
    left.slider(
        tr("Rows that choose, %"), 10, 90, shown, 5, key=key, on_change=on_move(name, key, choose),
        help=tr("The others measure. The more measure, the narrower the intervals. Equal inputs stay together."),
    )  # fmt: skip
    name, seed = f"seed {draft.token}", draft.reading.seed
    other = mirror_key(name, seed)

    def draw(value: Any) -> int:
        change(seed=int(value or 0))
        return int(value or 0)

    right.number_input(
        tr("Seed"), 0, 9999, seed, key=other, on_change=on_move(name, other, draw),
        help=tr("Another seed divides the rows in another way, as random and as repeatable."),
    )  # fmt: skip
