"""Which column is what, what the labels mean, and how the rows are divided."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from pruning.fitting import MOST_CLASSES, guess_parts, meanings, values_of
from pruning.tables import ENCODINGS, SEPARATORS
from ui.controls import mirror_key, on_move
from ui.sources.draft import Draft, Target, change
from ui.theme import plain

if TYPE_CHECKING:
    import pandas as pd

    from pruning.data import Split

MOST_PICKERS, PER_ROW = 24, 3
NO_LABELS, AT_RANDOM, OUT = "no labels", "none: divide at random", "leave out"
PART_NAMES = {"calibration": "choose", "evaluation": "measure", "": OUT}


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
    with st.expander("How the file is written"):
        columns = st.columns(2)
        with columns[0]:
            _picker(
                f"encoding {draft.token}", "Encoding", ENCODINGS, reading.encoding, lambda v: change(encoding=v),
                help="How letters beyond a to z are stored. Excel on Windows writes cp1252 or utf-16 at times.",
            )  # fmt: skip
        with columns[1]:
            if suffix in (".csv", ".tsv"):
                _picker(
                    f"separator {draft.token}", "Separator", list(SEPARATORS), reading.separator,
                    lambda v: change(separator=v), format_func=SEPARATORS.__getitem__,
                    help="What stands between the columns. A text that holds it has to be in quotes.",
                )  # fmt: skip


# Columns ---------------------------------------------------------------------------------------------------------


def column_pickers(draft: Draft, table: pd.DataFrame, target: Target) -> None:
    """Text or image, label, split."""
    names, reading, token = list(table.columns), draft.reading, draft.token
    first, second, third = st.columns(3)
    with first:
        _picker(
            f"text {token}", "Image column" if target.images else "Text column", names, reading.text,
            lambda v: change(text=v), help="What the model reads.",
        )  # fmt: skip
    with second:
        if target.classes:
            _picker(
                f"label {token}", "Label column", ["", *names], reading.label or "",
                lambda v: change(label=v or None, labels=meanings(table, v, target.classes)),
                format_func=lambda v: v or NO_LABELS, help="The right answer for each row.",
            )  # fmt: skip
        else:
            st.caption("A language model predicts the text itself, so no labels are needed.")
    with third:
        _picker(
            f"split {token}", "Split column", ["", *names], reading.split or "",
            lambda v: change(split=v or None, parts=tuple(guess_parts(values_of(table[v]) if v else ()).items())),
            format_func=lambda v: v or AT_RANDOM,
            help="A column that says for each row whether it is for choosing (train) or for measuring (test).",
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
    st.header("What the labels mean")
    if len(counts) > max(MOST_CLASSES, 2 * len(target.classes)):
        st.warning(plain(f"{reading.label} has {len(counts):,} different values: is it the column of the labels?"))
    if others:
        matched = f"{len(automatic):,} of {len(counts):,} labels match a class by name or number." if automatic else (
            "No label matches a class by name or number."
        )  # fmt: skip
        st.markdown(f"{matched} Say what the others mean; rows with a label that is left out are not used.")
        _grid(draft, others[:MOST_PICKERS], counts, known, target)
        if len(others) > MOST_PICKERS:
            st.caption(f"The {len(others) - MOST_PICKERS:,} less frequent ones are left out.")
    else:
        st.markdown("Every label matches a class of the model by name or number.")
    if automatic:
        with st.expander("Labels that match by themselves"):
            _grid(draft, list(automatic)[:MOST_PICKERS], counts, known, target)


def _grid(draft: Draft, values: Sequence[str], counts: dict[str, int], known: dict[str, str], target: Target) -> None:
    """A picker for each label."""
    for start in range(0, len(values), PER_ROW):
        for column, value in zip(st.columns(PER_ROW), values[start : start + PER_ROW], strict=False):
            with column:
                _picker(
                    f"label {draft.token} {draft.reading.label} {value}",
                    plain(f"{value[:60]} ({counts[value]:,} {'row' if counts[value] == 1 else 'rows'})"),
                    ["", *dict.fromkeys(target.classes)], known.get(value, ""), partial(_mean, value),
                    format_func=lambda v: v or OUT,
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
    st.markdown(
        "Some rows choose what to remove, others measure the result. No row does both: what is measured on the rows "
        "that chose would look better than it is."
    )
    if reading.split is None:
        _share(draft)
        return
    counts, meant = values_of(table[reading.split]), dict(reading.parts)
    values = list(counts)[:MOST_PICKERS]
    if len(counts) > MOST_PICKERS:
        st.warning(plain(f"{reading.split} has {len(counts):,} different values; all but {MOST_PICKERS} are left out."))
    for start in range(0, len(values), PER_ROW):
        for column, value in zip(st.columns(PER_ROW), values[start : start + PER_ROW], strict=False):
            with column:
                _picker(
                    f"part {draft.token} {reading.split} {value}", plain(f"{value[:60]} ({counts[value]:,} rows)"),
                    list(PART_NAMES), meant.get(value, ""), partial(_belong, value),
                    format_func=PART_NAMES.__getitem__,
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
        "Rows that choose, %", 10, 90, shown, 5, key=key, on_change=on_move(name, key, choose),
        help="The others measure. The more measure, the narrower the intervals. Equal inputs stay together.",
    )  # fmt: skip
    name, seed = f"seed {draft.token}", draft.reading.seed
    other = mirror_key(name, seed)

    def draw(value: Any) -> int:
        change(seed=int(value or 0))
        return int(value or 0)

    right.number_input(
        "Seed", 0, 9999, seed, key=other, on_change=on_move(name, other, draw),
        help="Another seed divides the rows in another way, as random and as repeatable.",
    )  # fmt: skip
