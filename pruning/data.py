"""Reading examples: the built-in rows, a CSV, TSV, JSONL, JSON or Parquet file, or a hub dataset."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pruning.errors import DataError
from pruning.language import later, mark
from pruning.table_faults import NOT_OBJECTS, check_kind, fault

if TYPE_CHECKING:
    import pandas as pd

Split = Literal["calibration", "evaluation"]
ASSETS = Path(__file__).resolve().parents[1] / "assets"
TEXT_TASKS = ("text-classification", "language-modeling")


@dataclass(frozen=True)
class BuiltInData:
    """A data set of the repository.

    Attributes:
        tasks: Kinds of task that can be measured on it.
        files: Its splits; a set without calibration rows is for measuring only.
        calibration: The built-in set whose calibration rows belong to it.
    """

    label: str
    tasks: tuple[str, ...]
    files: dict[Split, Path]
    calibration: str


def _movies(file: str) -> Path:
    return ASSETS / "demo" / "data" / f"{file}.csv"


_SPLITS: tuple[Split, ...] = ("calibration", "evaluation")
BUILT_IN_DATA = {
    "demo": BuiltInData("Movie-review snippets", TEXT_TASKS, {s: _movies(s) for s in _SPLITS}, "demo"),
    "tweets": BuiltInData("Tweets (out of domain)", TEXT_TASKS, {"evaluation": _movies("tweets")}, "demo"),
    "amazon": BuiltInData(
        "Amazon review sentences (out of domain)", TEXT_TASKS, {"evaluation": _movies("amazon")}, "demo"
    ),
    "digits": BuiltInData(
        "Handwritten digits",
        ("image-classification",),
        {s: ASSETS / "digits" / "data" / f"{s}.parquet" for s in _SPLITS},
        "digits",
    ),
}
TEXT_COLUMNS = ("text", "sentence", "content", "review", "snippet", "image", "path", "file")
LABEL_COLUMNS = ("label", "labels", "target", "class", "sentiment", "category")
NO_TEXT_COLUMN = mark("there is no text column {name!r}: the columns are {columns}")
NO_LABEL_COLUMN = mark("there is no label column {name!r}: the columns are {columns}")
SURPLUS = later("its rows have more fields than its header; put texts that hold the separator into quotes")
HUB_SPLITS = {"calibration": ("train",), "evaluation": ("validation", "test")}
READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".csv": ("read_csv", {"keep_default_na": False}),
    ".tsv": ("read_csv", {"keep_default_na": False, "sep": "\t"}),
    ".jsonl": ("read_json", {"lines": True, "dtype": False}),
    ".json": ("read_json", {"dtype": False}),
    ".parquet": ("read_parquet", {}),
}


@dataclass(frozen=True)
class DataSpec:
    """Which examples to read.

    Attributes:
        name: ``demo``, another built-in name, a file, a hub dataset id, or a kept source (``own-…``, see
            `pruning.sources`), which knows its columns.
        split: Calibration rows choose, evaluation rows measure. A file is used whole unless its column ``split`` has
            such rows, by the names of `HUB_SPLITS`.
        samples: The first rows only; ``None`` for all.
        text_column, label_column: Found by their usual names where they are not given.
    """

    name: str = "demo"
    split: Split = "evaluation"
    samples: int | None = None
    text_column: str | None = None
    label_column: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Examples as they were read, in the order of the source.

    Attributes:
        inputs: Texts, or images: their paths, or data URIs where the source holds the images themselves.
        labels: As the source spells them; empty where it has none.
        rows: Row of each example in its source, from 0.
        dropped: Rows that were left out because their text or label is empty.
        fingerprint: Hash of inputs and labels.
        split: What the source calls the split that the rows are of; ``None`` where it was used whole.
        spellings: The labels of all rows, as texts: what a label means does not depend on how many rows are taken.
        columns: What the source calls its columns, where it was read as a table.
    """

    spec: DataSpec
    inputs: tuple[str, ...]
    labels: tuple[Any, ...]
    rows: tuple[int, ...]
    dropped: int
    fingerprint: str
    split: str | None = None
    spellings: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    def first(self, count: int) -> Dataset:
        """The first ``count`` examples."""
        return self.at(range(min(count, len(self))))

    def at(self, positions: Sequence[int]) -> Dataset:
        """The examples at some positions, in that order."""
        inputs, rows = tuple(self.inputs[i] for i in positions), tuple(self.rows[i] for i in positions)
        labels = tuple(self.labels[i] for i in positions) if self.labels else ()
        found = dataset_of(self.spec, inputs, labels, rows, self.dropped, self.spellings)
        return replace(found, split=self.split, columns=self.columns)


def load_data(spec: DataSpec | str = "demo") -> Dataset:
    """Read a data set.

    Raises:
        DataError: The source cannot be read, has no usable text column, or no usable row.
    """
    spec = DataSpec(spec) if isinstance(spec, str) else spec
    if spec.samples is not None and spec.samples < 1:
        raise DataError("samples must be at least 1, not {samples}", samples=spec.samples)
    if is_source(spec.name):
        from pruning.sources import read_source

        return read_source(spec)
    frame, split = _read_frame(spec)
    text_column, label_column = usual_columns(frame, spec)
    labels = list(frame[label_column]) if label_column else []
    inputs = [image_uri(value) if isinstance(value, dict) else value for value in frame[text_column]]
    keep = [i for i, value in enumerate(inputs) if is_present(value) and (not labels or is_present(labels[i]))]
    if not keep:
        raise DataError("{name} has no row with both a text and a label", name=spec.name)
    chosen = keep[: spec.samples]
    all_labels = tuple(plain_label(labels[i]) for i in keep) if labels else ()
    rows, texts = tuple(int(frame.index[i]) for i in chosen), tuple(str(inputs[i]) for i in chosen)
    spellings = frozenset(map(str, all_labels))
    found = dataset_of(spec, texts, all_labels[: spec.samples], rows, len(inputs) - len(keep), spellings)
    return replace(found, split=split, columns=tuple(map(str, frame.columns)))


def dataset_of(
    spec: DataSpec,
    inputs: tuple[str, ...],
    labels: tuple[Any, ...],
    rows: tuple[int, ...],
    dropped: int,
    spellings: frozenset[str] = frozenset(),
) -> Dataset:
    """A data set of rows that have been read, with its fingerprint."""
    here = tuple(map(str, labels))
    elsewhere = sorted(spellings.difference(here))
    what = (inputs, here, elsewhere) if elsewhere else (inputs, here)
    digest = hashlib.sha256(repr(what).encode()).hexdigest()[:16]
    return Dataset(replace(spec, samples=len(inputs)), inputs, labels, rows, dropped, digest, spellings=spellings)


def _read_frame(spec: DataSpec) -> tuple[pd.DataFrame, str | None]:
    """The rows of the asked split, and its name in the source; the whole source where it has no such split."""
    split: str | None = None
    if spec.name in BUILT_IN_DATA:
        frame, split = read_file(built_in_file(spec.name, spec.split)), spec.split
    elif Path(spec.name).suffix.lower() in READERS or _exists(Path(spec.name)):
        frame = read_file(Path(os.path.expanduser(spec.name)))  # noqa: PTH111  pathlib's raises at an unknown ~user
    else:
        frame, split = _read_hub(spec)
    if "split" in frame.columns and split is None:
        named = frame["split"].astype(str).str.strip().str.casefold()
        names = (spec.split, *HUB_SPLITS[spec.split])
        own = bool(named.isin(_SPLITS).any())  # then it is made for this, and lacks rows where it lacks a split
        split = next((name for name in names if (named == name).any()), spec.split if own else None)
        frame = frame if split is None else frame[named == split]
    if not len(frame):
        if "split" in frame.columns:
            raise DataError("{name} has no rows in the split {split}", name=spec.name, split=later(spec.split))
        raise DataError("{name} has no rows", name=spec.name)
    return frame, split


def built_in_file(name: str, split: Split) -> Path:
    """The file of a built-in set; the out-of-domain sets are for evaluation only.

    Raises:
        DataError: Calibration on out-of-domain rows was asked for.
    """
    found = BUILT_IN_DATA[name]
    if split not in found.files:
        raise DataError(
            "{name} is an evaluation set: calibrate on {other}, or use --split evaluation",
            name=name,
            other=found.calibration,
        )
    return found.files[split]


def is_source(name: str) -> bool:
    """Whether a name is the id of a kept source."""
    return re.fullmatch(r"own-[0-9a-f]{16}", name, re.ASCII) is not None


def read_file(path: Path, name: str = "", **others: Any) -> pd.DataFrame:
    """The table in a file, its rows counted from 0.

    Args:
        name: What to call it in errors, where it is kept under another name.
        others: More options of pandas' reader, or other values for them.

    Raises:
        DataError: There is no such file, or it is not what its ending says.
    """
    import pandas as pd

    name = name or str(path)
    if path.suffix.lower() not in READERS:
        raise DataError("{name} is not a data file that can be read: use {kinds}", name=name, kinds=", ".join(READERS))
    if not (_exists(path) and path.is_file()):
        raise DataError("there is no file {name}", name=name)
    reader, options = READERS[path.suffix.lower()]
    encoding = others.get("encoding", "utf-8")
    try:
        check_kind(path, name, encoding)
        frame = getattr(pd, reader)(path, **options | others)
    except (ValueError, TypeError, OSError, ImportError, RecursionError, NotImplementedError) as error:
        why = fault(error, path, encoding)
        raise DataError("{name} cannot be read: {error}", name=name, error=why) from error
    if reader == "read_csv" and not isinstance(frame.index, pd.RangeIndex):  # pandas made an index of the surplus
        raise DataError("{name} cannot be read: {error}", name=name, error=SURPLUS)
    if reader == "read_json" and isinstance(frame.columns, pd.RangeIndex) and len(frame):  # there were no names
        raise DataError("{name} cannot be read: {error}", name=name, error=NOT_OBJECTS)
    return frame.rename(columns=str).reset_index(drop=True)  # rows are counted from 0, whatever index was stored


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for any file
        return False


def _read_hub(spec: DataSpec) -> tuple[pd.DataFrame, str]:
    import datasets
    from datasets import get_dataset_split_names, load_dataset

    datasets.disable_progress_bars()
    try:
        available = get_dataset_split_names(spec.name)
        split = next((s for s in (spec.split, *HUB_SPLITS[spec.split]) if s in available), None)
        if split is None:
            raise DataError(
                "{name} has the splits {splits}: none of them is for {split}",
                name=spec.name,
                splits=", ".join(available),
                split=later(spec.split),
            )
        return load_dataset(spec.name, split=split).to_pandas(), split
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        names = ", ".join(BUILT_IN_DATA)
        raise DataError(
            "{name!r} is not a file here, and no such dataset could be read from the hub: use a built-in name "
            "({names}), a file, or a hub dataset id",
            name=spec.name,
            names=names,
        ) from error


def usual_columns(frame: pd.DataFrame, spec: DataSpec) -> tuple[str, str | None]:
    """The text column and, where there is one, the label column."""
    names = [str(name) for name in frame.columns]
    for wanted, missing in ((spec.text_column, NO_TEXT_COLUMN), (spec.label_column, NO_LABEL_COLUMN)):
        if wanted is not None and wanted not in names:
            raise DataError(missing, name=wanted, columns=", ".join(names[:20]))
    lower = {name.lower(): name for name in reversed(names)}
    text = spec.text_column or next((lower[n] for n in TEXT_COLUMNS if n in lower), None)
    label = spec.label_column or next((lower[n] for n in LABEL_COLUMNS if n in lower and lower[n] != text), None)
    if text is None:
        wordy = [n for n in names if n != label and frame[n].map(lambda v: isinstance(v, str)).all()]
        if len(wordy) != 1:
            raise DataError(
                "which column holds the text? Name it with --text-column: {columns}", columns=", ".join(names[:20])
            )
        text = wordy[0]
    return text, label


def image_uri(cell: dict[str, Any]) -> str | None:
    """An image as the datasets library stores it, ``{"bytes", "path"}``, as a data URI; its path where that is all."""
    content = cell.get("bytes")
    if not isinstance(content, bytes):
        return cell.get("path")
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def is_present(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() != ""
    import pandas as pd

    return not (pd.api.types.is_scalar(value) and pd.isna(value)) and str(value).strip() != ""


def plain_label(value: Any) -> Any:
    """NumPy scalars as Python's own; whole floats as integers, which is how CSV files spell labels at times."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value
