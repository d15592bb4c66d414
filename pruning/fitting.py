"""Fitting a table of somebody's own to a task: its columns, what its labels mean, and which rows choose or measure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pruning.data import DataSpec, Split, image_uri, is_present, plain_label, usual_columns
from pruning.dividing import in_random_order, share_of
from pruning.errors import DataError
from pruning.language import Later, later, mark

if TYPE_CHECKING:
    import pandas as pd

SPLITS: tuple[Split, ...] = get_args(Split)
SPLIT_COLUMNS = ("split", "fold", "subset", "partition", "set")
PARTS: dict[str, Split] = {
    **dict.fromkeys(("calibration", "train", "training", "choose"), "calibration"),
    **dict.fromkeys(("evaluation", "eval", "test", "testing", "validation", "valid", "val", "dev"), "evaluation"),
}
MOST_CLASSES = 50  # values of a column that may still be labels
EMPTY_TEXT, NO_TEXT = mark("empty text"), mark("not a text")
IMAGE, NO_IMAGE = mark("an image, not a text"), mark("no image in the file")
EMPTY_LABEL, LEFT_OUT, NO_PART = mark("empty label"), mark("label left out"), mark("in neither part of the split")


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes:
        text: The column of the inputs.
        label: The column of the labels; ``None`` where there are none.
        labels: What each label means, as (how it is spelled, class of the model); others are left out. ``None`` takes
            them as they are spelled.
        split: The column that says which part a row is in; without it rows are divided at random.
        parts: What its values mean; rows with others are left out.
        share: Of different inputs that choose, where rows are divided at random: the same share of each class, and
            equal inputs stay together.
        seed: Of that division, and of the order of the rows.
        images: Whether the inputs are images.
        encoding, separator: Of files that are written as text.
    """

    text: str
    label: str | None = None
    labels: tuple[tuple[str, str], ...] | None = None
    split: str | None = None
    parts: tuple[tuple[str, Split], ...] = ()
    share: float = 0.5
    seed: int = 0
    images: bool = False
    encoding: str = "utf-8"
    separator: str = ","


@dataclass(frozen=True, eq=False)
class Fit:
    """What becomes of each row of a table; all fields ``[row]``.

    Attributes:
        labels: ``None`` where there are none, or the row does not fit.
        reasons: Why a row does not fit, in words to be translated; empty for those that do.
        parts: The part of a row that fits.
        order: In which the rows of a part are taken: at random, so that the first ones stand for all.
    """

    inputs: tuple[str, ...]
    labels: tuple[Any, ...]
    reasons: tuple[str, ...]
    parts: tuple[Split | None, ...]
    order: tuple[int, ...]

    @cached_property
    def fitting(self) -> int:
        """How many rows fit."""
        return sum(not reason for reason in self.reasons)

    def refused(self) -> dict[str, int]:
        """Rows that do not fit, by the reason, the most frequent first."""
        return dict(Counter(filter(None, self.reasons)).most_common())

    def rows(self, part: Split) -> tuple[int, ...]:
        """The rows of a part in the order in which they are taken."""
        return self._by_part[part]

    @cached_property
    def _by_part(self) -> dict[Split, tuple[int, ...]]:
        return {part: tuple(row for row in self.order if self.parts[row] == part) for part in SPLITS}

    @cached_property
    def shared(self) -> int:
        """Different inputs that are in both parts, which only a split column can bring about."""
        return len(set.intersection(*({self.inputs[row] for row in self.rows(part)} for part in SPLITS)))

    def balance(self) -> dict[str, dict[Split, int]]:
        """How many rows of each class choose and measure, by the name of the class."""
        found = Counter((str(label), part) for label, part in zip(self.labels, self.parts, strict=True) if part)
        classes = dict.fromkeys(name for name, _ in found)
        return {name: {part: found[name, part] for part in SPLITS} for name in classes}


def in_words(refused: Mapping[str, int]) -> str | Later:
    """Numbers of rows with their reasons; empty where there are none.

    >>> str(in_words({"empty text": 1200, "not a text": 1}))
    '1,200 × empty text, 1 × not a text'
    """
    parts = [later("{count:,} × {reason}", count=count, reason=later(why)) for why, count in refused.items()]
    return reduce(lambda one, other: later("{one}, {other}", one=one, other=other), parts) if parts else ""


# What the columns are --------------------------------------------------------------------------------------------


def guess(table: pd.DataFrame, classes: Sequence[str], images: bool, about: Reading | None = None) -> Reading:
    """A first reading of a table, by the names and the contents of its columns.

    Args:
        classes: Of the model; empty where its task has none.
        about: Encoding and separator.
    """
    try:
        text, label = usual_columns(table, DataSpec())
    except DataError:
        text, label = _longest(table), None
    if images:
        text = next((n for n in table.columns if isinstance(table[n].iloc[0], dict)), text)
    others = [name for name in table.columns if name != text]
    split = split_column(table, [text])
    label = label if label != text and label != split else None
    if label is None and classes:
        label = _label_column(table, [name for name in others if name != split], classes)
    about = about or Reading(text)
    found = replace(about, text=text, label=label, split=split, images=images)
    parts = tuple(guess_parts(values_of(table[split])).items()) if split else ()
    return replace(found, labels=meanings(table, label, classes), parts=parts)


def split_column(table: pd.DataFrame, taken: Sequence[str | None]) -> str | None:
    """The column that is named like a split and has values that are known, if there is one."""
    names = [name for name in table.columns if name not in taken and name.lower() in SPLIT_COLUMNS]
    return next((name for name in names if guess_parts(values_of(table[name]))), None)


def _longest(table: pd.DataFrame) -> str:
    """The column with the longest texts among the first rows."""
    return max(table.columns, key=lambda name: sum(len(v) for v in table[name].head(100) if isinstance(v, str)))


def _label_column(table: pd.DataFrame, names: Sequence[str], classes: Sequence[str]) -> str | None:
    """The column whose values match the most rows; otherwise words before numbers, and few values before many."""
    counts = {name: values_of(table[name]) for name in names}
    few = {name: values for name, values in counts.items() if 1 < len(values) <= MOST_CLASSES}
    matched = {name: sum(values[v] for v in match_labels(values, classes)) for name, values in few.items()}
    words = {name: not all(re.fullmatch(r"[-+.0-9]+", value) for value in values) for name, values in few.items()}
    return max(few, key=lambda name: (matched[name], words[name], -len(few[name])), default=None)


def values_of(column: Iterable[Any]) -> dict[str, int]:
    """The different values of a column as they are spelled, the most frequent first; empty ones left out."""
    return dict(Counter(spelled(value) for value in column if is_present(value)).most_common())


def spelled(value: Any) -> str:
    """How a label is written, without spaces around it."""
    return (value if isinstance(value, str) else str(plain_label(value))).strip()


def meanings(table: pd.DataFrame, label: str | None, classes: Sequence[str]) -> tuple[tuple[str, str], ...] | None:
    """What the labels of a column mean, as far as names or numbers match; as they are where there are no classes."""
    return tuple(match_labels(values_of(table[label]), classes).items()) if label and classes else None


def match_labels(values: Iterable[str], classes: Sequence[str]) -> dict[str, str]:
    """Labels that are the name of a class, or its number from 0 (``true`` and ``false`` are 1 and 0 of two).

    Names may be numbers themselves (stars from 1 to 5): as everywhere, they count as numbers only where not all of
    them are names. Where some numbers belong to no class, none of them is taken for one.
    """
    names = {_simplified(name): name for name in reversed(classes)}
    numbers = {str(number): name for number, name in enumerate(classes)}
    keys = {value: _simplified(value) for value in values}
    if len(classes) == 2:
        numbers |= {"false": classes[0], "true": classes[1]}
    as_numbers = set(keys.values()) <= numbers.keys() and not set(keys.values()) <= names.keys()
    beyond = any(key.isdecimal() and key not in numbers and key not in names for key in keys.values())
    known = numbers if as_numbers else names if beyond else numbers | names
    return {value: known[key] for value, key in keys.items() if key in known}


def _simplified(label: str) -> str:
    """Case, quotes, spaces, dashes and underscores do not matter, nor does ``.0`` after a whole number."""
    key = re.sub(r"[\s_-]+", " ", label.casefold().strip("\"'“”‘’ \t")).strip()
    return key[:-2] if re.fullmatch(r"[0-9]+\.0", key, re.ASCII) else key


def guess_parts(values: Iterable[str]) -> dict[str, Split]:
    """What the values of a split column mean, as far as they are known words."""
    return {value: PARTS[key] for value in values if (key := _simplified(value)) in PARTS}


# Rows ------------------------------------------------------------------------------------------------------------


def fit(table: pd.DataFrame, reading: Reading, folder: Path | None = None) -> Fit:
    """See for each row whether it can be used, and for what.

    Args:
        folder: Where images lie that the table only names; ``None`` where it has to hold them.

    Raises:
        DataError: A column is not there.
    """
    for name in filter(None, (reading.text, reading.label, reading.split)):
        if name not in table.columns:
            raise DataError(
                "there is no column {name!r}: the columns are {columns}",
                name=name,
                columns=", ".join(list(table.columns)[:20]),
            )
    inputs = [_image(v, folder) if reading.images else _text(v) for v in table[reading.text]]
    known = None if reading.labels is None else dict(reading.labels)
    labels = [_label(v, known) for v in table[reading.label]] if reading.label else [(None, "")] * len(inputs)
    texts = [text for text, _ in inputs]
    reasons = [one or other for (_, one), (_, other) in zip(inputs, labels, strict=True)]
    ranked = in_random_order(texts, reading.seed)
    places = {text: place for place, text in enumerate(ranked)}
    parts: list[Split | None]
    if reading.split:
        meant = dict(reading.parts)
        parts = [meant.get(spelled(value)) for value in table[reading.split]]
        reasons = [why or ("" if part else NO_PART) for why, part in zip(reasons, parts, strict=True)]
    else:
        fitting = [row for row, why in enumerate(reasons) if not why]
        kept = [texts[row] for row in fitting]
        there = set(kept)
        choosing = share_of(
            [text for text in ranked if text in there], kept, [labels[row][0] for row in fitting], reading.share
        )
        parts = ["calibration" if text in choosing else "evaluation" for text in texts]
    return Fit(
        tuple(texts),
        tuple(None if why else label for (label, _), why in zip(labels, reasons, strict=True)),
        tuple(reasons),
        tuple(None if why else part for part, why in zip(parts, reasons, strict=True)),
        tuple(sorted(range(len(texts)), key=[places[text] for text in texts].__getitem__)),
    )


def _text(value: Any) -> tuple[str, str]:
    """The text in a cell, and why it is none."""
    if not isinstance(value, str):
        value = plain_label(value)
    if isinstance(value, (dict, list, tuple, bytes, set)):
        return "", NO_TEXT
    if not is_present(value):
        return "", EMPTY_TEXT
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair, which JSON can hold and no tokenizer reads
        return "", NO_TEXT
    return ("", IMAGE) if text.startswith("data:image/") else (text, "")


def _image(value: Any, folder: Path | None) -> tuple[str, str]:
    """An image as a data URI or as the path of its file, and why there is none."""
    value = image_uri(value) if isinstance(value, dict) else value
    if not isinstance(value, str) or not value.strip():
        return "", NO_IMAGE
    if value.startswith("data:image/"):
        return value, ""
    return (str(folder / value), "") if folder else ("", NO_IMAGE)


def _label(value: Any, known: Mapping[str, str] | None) -> tuple[Any, str]:
    """The class that a label means, and why it means none."""
    if not is_present(value):
        return None, EMPTY_LABEL
    if known is None:
        return value if isinstance(value, str) else plain_label(value), ""
    found = known.get(spelled(value))
    return (found, "") if found is not None else (None, LEFT_OUT)
