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
        raise DataError(
            "the folder {folder} cannot be read: {error}", folder=folder.name, error=first_line(error, 200)
        ) from error
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
        raise DataError(
            "{folder} holds {tables} tables, {most} are allowed: give the path of one",
            folder=folder.name,
            tables=len(paths),
            most=MOST_TABLES,
        )
    if sum(path.stat().st_size for path in paths) > largest_file():
        raise DataError(
            "the tables in {folder} have more than {allowed:,.0f} MB: give one of them",
            folder=folder.name,
            allowed=largest_file() / 1e6,
        )
    frames = [read_table(path, *written_as(path)) for path in paths]
    different = next((p for p, f in zip(paths, frames, strict=True) if set(f.columns) != set(frames[0].columns)), None)
    if different is not None:
        raise DataError(
            "{one} and {other} have other columns: give the path of one of them",
            one=different.name,
            other=paths[0].name,
        )
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
            raise DataError(
                "{folder} holds more than {images:,} images or {allowed:,.0f} MB: keep a random part of it",
                folder=folder.name,
                images=most_rows(),
                allowed=largest_file() / 1e6,
            )
        place = path.relative_to(folder)
        label = place.parts[-2] if len(place.parts) > 1 else ""
        split = place.parts[-3] if len(place.parts) > 2 else ""
        rows.append({"image": {"bytes": path.read_bytes(), "path": place.as_posix()}, "label": label, "split": split})
    if not rows:
        raise DataError("{folder} holds no table ({kinds}) and no images", folder=folder.name, kinds=", ".join(READERS))
    frame = pd.DataFrame(rows)
    return frame if frame["split"].any() else frame.drop(columns="split")
