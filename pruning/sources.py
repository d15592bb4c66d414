"""Tables of somebody's own, kept under an id that works in a link, in another session and on the command line.

A source is a folder ``own-…`` in the user's cache: a small JSON that says how the table is read, and the table itself
unless it is a file that stays where it is. Together they may take ``HEADROOM_SOURCES_MB`` (512 by default); what has
not been used for the longest time makes room.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.conversion import cache_folder
from pruning.data import HUB_SPLITS, READERS, Dataset, DataSpec, dataset_of, is_present, is_source, usual_columns
from pruning.errors import DataError, first_line
from pruning.fitting import SPLITS, Reading, fit, guess_parts, in_words, split_column, values_of
from pruning.language import Later, later
from pruning.models import number_setting
from pruning.tables import most_rows, read_table, written_as

if TYPE_CHECKING:
    import pandas as pd

RECORD = "source.json"
LONGEST_NAME = 120
IMAGE_COLUMNS = ("image", "path", "file")  # of a table that is read without being looked at
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "text": str, "label": (str, type(None)), "split": (str, type(None)), "share": (float, int), "seed": int,
    "images": bool, "encoding": str, "separator": str,
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A table that is kept, and how it is read.

    Attributes:
        name: What its owner calls it: the name of the file, or the hub id.
        path: Of the file: a bare name in the source's own folder, or an absolute path where it stays outside.
        made: The day.
    """

    id: str
    name: str
    path: str
    reading: Reading
    size_bytes: int
    made: str

    @property
    def outside(self) -> bool:
        """Whether the file stays where it is, and may change."""
        return Path(self.path).is_absolute()

    @property
    def file(self) -> Path:
        return Path(self.path) if self.outside else folder_of_sources() / self.id / self.path

    @property
    def tasks(self) -> tuple[str, ...]:
        """Kinds of task that it may be measured on."""
        if self.reading.images:
            return ("image-classification",)
        return ("text-classification", "language-modeling") if self.reading.label else ("language-modeling",)


def folder_of_sources() -> Path:
    return cache_folder() / "sources"


# Keeping ---------------------------------------------------------------------------------------------------------


def stage(name: str, content: bytes) -> Path:
    """Put an uploaded file where it can be looked at; it is named after its content, never after what it was called.

    Raises:
        DataError: It is of no kind that is read, is empty, or cannot be written.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in READERS:
        raise DataError(
            "{name} is not a data file that can be read: use {kinds}",
            name=name[:LONGEST_NAME],
            kinds=", ".join(READERS),
        )
    if not content.strip():
        raise DataError("{name} is empty", name=name[:LONGEST_NAME])
    digest = hashlib.sha256(content).hexdigest()[:32]
    return _folder(f"new-{digest}", lambda draft: (draft / f"{digest}{suffix}").write_bytes(content)) / (
        f"{digest}{suffix}"
    )


def keep(name: str, file: Path, reading: Reading) -> Source:
    """Keep a table under an id that follows from its name, its content and how it is read.

    What was staged is kept; any other file stays where it is.

    Raises:
        DataError: The file is gone, or nothing can be written.
    """
    name, file = name[:LONGEST_NAME], file.resolve()
    staged = file.is_relative_to(folder_of_sources().resolve())
    path = file.name if staged else str(file)
    if not file.is_file():
        raise DataError("{name} is no longer there: read it again", name=name)
    about = json.dumps([name, path, asdict(reading)], sort_keys=True)
    found = Source(
        f"own-{hashlib.sha256(about.encode()).hexdigest()[:16]}",
        name, path, reading, file.stat().st_size, time.strftime("%Y-%m-%d"),
    )  # fmt: skip

    def fill(draft: Path) -> None:
        if staged:
            shutil.copyfile(file, draft / path)
        (draft / RECORD).write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")

    _folder(found.id, fill)
    return found


def adopt(path: str) -> Source:
    """Keep a table that is named by its path as it would be read without a source: columns by their usual names.

    Labels stay as they are spelled, and the file stays where it is. Unlike a plain file, a source is divided: no row
    of it both chooses and measures.

    Raises:
        DataError: There is no such file, it cannot be read, or its columns cannot be told.
    """
    try:
        file = Path(path).expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError("{path!r} is no path", path=path[:80]) from error
    encoding, separator = written_as(file)
    table = read_table(file, encoding, separator)
    text, label = usual_columns(table, DataSpec())
    split = split_column(table, [text, label])
    first = next((value for value in table[text] if is_present(value)), "")
    images = isinstance(first, dict) or str(first).startswith("data:image/") or text in IMAGE_COLUMNS
    parts = tuple(guess_parts(values_of(table[split])).items()) if split else ()
    about = Reading(text, label, split=split, parts=parts, images=images, encoding=encoding, separator=separator)
    return keep(file.name, file, about)


def _folder(name: str, fill: Callable[[Path], object]) -> Path:
    """A folder that is there with all it holds, or not at all; two at once do no harm."""
    root = folder_of_sources()
    folder = root / name
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix=".", dir=root) as made:
                draft = Path(made) / name
                draft.mkdir()
                fill(draft)
                with suppress(FileExistsError):
                    draft.rename(folder)
        os.utime(folder)
    except OSError as error:
        raise DataError(
            "nothing can be kept in {root}: {error}", root=root, error=error.strerror or str(error)
        ) from error
    _make_room(root, folder)
    return folder


def _make_room(root: Path, newest: Path) -> None:
    """Forget what was used longest ago until the rest is within the limit; what was made just now stays."""
    limit = number_setting("HEADROOM_SOURCES_MB", 512) << 20
    with suppress(OSError):  # another process may be doing the same
        folders = [path for path in root.iterdir() if path.is_dir() and re.match(r"(own|new)-", path.name)]
        sizes = {path: sum(file.stat().st_size for file in path.iterdir()) for path in folders}
        oldest = sorted(folders, key=lambda path: path.stat().st_mtime)
        for path in oldest:
            if sum(sizes.values()) <= limit:
                return
            if path != newest:
                shutil.rmtree(path, ignore_errors=True)
                del sizes[path]


# Using -----------------------------------------------------------------------------------------------------------


def find_source(name: str) -> Source:
    """The source with an id.

    Raises:
        DataError: This is no id, there is no such source here, or its record is damaged.
    """
    folder = folder_of_sources() / name
    if not is_source(name):
        raise DataError("{name!r} is not the id of a source: they look like own-0123456789abcdef", name=name[:40])
    try:
        found = _from_json(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DataError(
            "there is no data {name} on this computer: it was made on another one, or has made room for newer data; "
            "bring the file again on the page Data and model",
            name=name,
        ) from error
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError("the record of {name} is damaged: bring the file again", name=name) from error
    if found.id != name:
        raise DataError("the record of {name} is damaged: bring the file again", name=name)
    with suppress(OSError):
        os.utime(folder)
    return found


def _from_json(value: Any) -> Source:
    if set(value) != {field.name for field in fields(Source)} or not all(
        isinstance(value[name], str) for name in ("id", "name", "path", "made")
    ):
        raise ValueError("not a source")
    path, reading = Path(value["path"]), value["reading"]
    if not path.is_absolute() and (path.name != value["path"] or value["path"] == ".."):
        raise ValueError("a path that leaves its folder")
    for name, kind in _FIELDS.items():
        if not isinstance(reading[name], kind):
            raise TypeError(f"{name} is {reading[name]!r}")
    labels = None if reading["labels"] is None else tuple((str(a), str(b)) for a, b in reading["labels"])
    parts = tuple((str(a), SPLITS[SPLITS.index(b)]) for a, b in reading["parts"])
    return Source(**value | {"reading": Reading(**reading | {"labels": labels, "parts": parts})})


def read_source(spec: DataSpec) -> Dataset:
    """The rows of one part of a source, in random order: the first ones stand for all.

    Raises:
        DataError: It is not here, cannot be read, or no row fits.
    """
    source = find_source(spec.name)
    if spec.text_column or spec.label_column:
        raise DataError("{name} knows its columns: leave --text-column and --label-column out", name=spec.name)
    reading = source.reading
    table = read_table(source.file, reading.encoding, reading.separator, source.name)
    found = fit(table, reading, source.file.parent if source.outside else None)
    rows = found.rows(spec.split)
    if not rows:
        part, why = later(spec.split), in_words(found.refused())
        if why:
            raise DataError("{name} has no row for {part} ({why})", name=source.name, part=part, why=why)
        raise DataError("{name} has no row for {part}", name=source.name, part=part)
    chosen = rows[: spec.samples]
    labels = tuple(found.labels[row] for row in chosen) if reading.label else ()
    inputs = tuple(found.inputs[row] for row in chosen)
    spellings = frozenset(str(found.labels[row]) for row in rows) if reading.label else frozenset()
    return dataset_of(spec, inputs, labels, chosen, len(table) - found.fitting, spellings)


# The hub ---------------------------------------------------------------------------------------------------------


def fetch(
    name: str, config: str = "", split: str = "", on_step: Callable[[str | Later], None] = lambda step: None
) -> Path:
    """A hub dataset as a staged table; without a split all of them, with a column that tells them apart.

    Raises:
        DataError: There is none of that name, configuration or split, or the hub cannot be reached.
    """
    import datasets

    name, config, split = name.strip(), config.strip(), split.strip()
    if not HUB_ID.fullmatch(name) or ".." in name or Path(name).exists():
        raise DataError("{name!r} is not the id of a hub dataset: it looks like owner/name", name=name[:80])
    datasets.disable_progress_bars()
    try:
        on_step(later("Looking for {name} on the hub", name=name))
        there = datasets.get_dataset_split_names(name, config or None)
        if split and split not in there:
            raise DataError(
                "{name} has the splits {splits}, not {split!r}", name=name, splits=", ".join(there), split=split[:40]
            )
        wanted = [split] if split else [one for one in there if one in sum(HUB_SPLITS.values(), SPLITS)] or there
        frames = []
        for one in wanted:
            on_step(later("Reading the split {name}", name=one))
            frames.append(_hub_split(name, config, one, most_rows() // len(wanted), mark=len(wanted) > 1))
        return _staged(frames)
    except DataError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            "{name} cannot be read from the hub: {error}. Check the name, the configuration and the network",
            name=name,
            error=first_line(error, 160),
        ) from error


def _hub_split(name: str, config: str, split: str, rows: int, mark: bool) -> pd.DataFrame:
    """The first rows of a split; classes that the dataset names are spelled, not numbered."""
    from datasets import ClassLabel, load_dataset

    found = load_dataset(name, config or None, split=f"{split}[:{rows}]")
    frame = found.to_pandas()
    for column, feature in found.features.items():
        if isinstance(feature, ClassLabel):
            frame[column] = [feature.names[i] if 0 <= i < len(feature.names) else "" for i in frame[column]]
    return frame.assign(split=split) if mark and "split" not in frame.columns else frame


def _staged(frames: list[pd.DataFrame]) -> Path:
    import io

    import pandas as pd

    buffer = io.BytesIO()
    pd.concat(frames, ignore_index=True).to_parquet(buffer)
    return stage("hub.parquet", buffer.getvalue())
