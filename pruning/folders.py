"""A folder of tables, or of images in a folder for each class, as one table."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pruning.data import READERS
from pruning.errors import DataError, first_line
from pruning.sources import stage
from pruning.tables import largest_file, most_rows, read_table, written_as

if TYPE_CHECKING:
    import pandas as pd

IMAGE_KINDS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
MOST_TABLES = 20


def gather(folder: Path) -> Path:
    """Stage what a folder holds: its tables one upon the other, or its images with their folders as labels.

    A column ``split`` says which table a row is from (``train.csv``), or which folder the classes are in
    (``train/cat/1.png``). Links that lead out of the folder are passed over.

    Raises:
        DataError: There is neither in it, they do not belong together, or they are too large.
    """
    try:
        tables = [path for path in _inside(folder, "*") if path.suffix.lower() in READERS]
        frame = _of_tables(folder, tables) if tables else _of_images(folder)
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"the folder {folder.name} cannot be read: {first_line(error, 200)}") from error
    return stage("folder.parquet", buffer.getvalue())


def _inside(folder: Path, pattern: str) -> Iterator[Path]:
    """Files that lie in the folder, wherever links lead."""
    root = folder.resolve()
    for path in sorted(folder.glob(pattern)):
        if path.is_file() and path.resolve().is_relative_to(root):
            yield path


def _of_tables(folder: Path, paths: list[Path]) -> pd.DataFrame:
    import pandas as pd

    if len(paths) > MOST_TABLES:
        raise DataError(f"{folder.name} holds {len(paths)} tables, {MOST_TABLES} are allowed: give the path of one")
    if sum(path.stat().st_size for path in paths) > largest_file():
        raise DataError(f"the tables in {folder.name} have more than {largest_file() / 1e6:,.0f} MB: give one of them")
    frames = [read_table(path, *written_as(path)) for path in paths]
    different = next((p for p, f in zip(paths, frames, strict=True) if set(f.columns) != set(frames[0].columns)), None)
    if different is not None:
        raise DataError(f"{different.name} and {paths[0].name} have other columns: give the path of one of them")
    if len(frames) > 1 and "split" not in frames[0].columns:
        frames = [frame.assign(split=path.stem) for path, frame in zip(paths, frames, strict=True)]
    return pd.concat(frames, ignore_index=True)


def _of_images(folder: Path) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, object]] = []
    size = 0
    for path in _inside(folder, "**/*"):
        if path.suffix.lower() not in IMAGE_KINDS:
            continue
        size += path.stat().st_size
        if len(rows) == most_rows() or size > largest_file():
            limits = f"{most_rows():,} images or {largest_file() / 1e6:,.0f} MB"
            raise DataError(f"{folder.name} holds more than {limits}: keep a random part of it")
        place = path.relative_to(folder)
        label = place.parts[-2] if len(place.parts) > 1 else ""
        split = place.parts[-3] if len(place.parts) > 2 else ""
        rows.append({"image": {"bytes": path.read_bytes(), "path": place.as_posix()}, "label": label, "split": split})
    if not rows:
        raise DataError(f"{folder.name} holds no table ({', '.join(READERS)}) and no images")
    frame = pd.DataFrame(rows)
    return frame if frame["split"].any() else frame.drop(columns="split")
