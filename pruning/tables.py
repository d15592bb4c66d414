"""Tables in files of somebody else's: read within limits, as they are written."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.data import read_file
from pruning.errors import DataError
from pruning.models import number_setting
from pruning.table_faults import check_kind, fault

if TYPE_CHECKING:
    import pandas as pd

ENCODINGS = ("utf-8", "utf-16", "cp1252", "gb18030", "shift_jis")
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
HEAD_BYTES = 1 << 16  # of a file, enough to see how it is written


def read_table(path: Path, encoding: str = "utf-8", separator: str = ",", name: str = "") -> pd.DataFrame:
    """A table as it is written: what a text file holds stays text, so that a label ``007`` is no 7.

    Args:
        name: What to call it in errors, where it is kept under another name.

    Raises:
        DataError: It cannot be read, has no rows or more than are allowed, or is larger than is allowed.
    """
    name, suffix = name or path.name, path.suffix.lower()
    _check_size(path, name)
    options: dict[str, Any] = {}
    if suffix in (".csv", ".tsv"):
        options = {"dtype": str, "encoding": encoding, "sep": separator}
    elif suffix in (".json", ".jsonl"):
        options = {"encoding": encoding}
    try:
        table = read_file(path, name, **options)
    except DataError as error:
        if isinstance(error.__cause__, UnicodeError):
            raise DataError(
                "{name} is not written in {encoding}: choose another encoding", name=name, encoding=encoding
            ) from error
        raise
    table.columns = _distinct(list(table.columns))
    if not len(table) or not len(table.columns):
        raise DataError("{name} has no rows", name=name)
    if len(table) > most_rows():
        raise DataError(
            "{name} has {rows:,} rows, {allowed:,} are allowed: keep a random part of it",
            name=name,
            rows=len(table),
            allowed=most_rows(),
        )
    return table


def most_rows() -> int:
    """Rows that a table may have: ``HEADROOM_SOURCE_ROWS``."""
    return number_setting("HEADROOM_SOURCE_ROWS", 200_000)


def largest_file() -> int:
    """Bytes that a file may have once it is unpacked: ``HEADROOM_SOURCE_FILE_MB``."""
    return number_setting("HEADROOM_SOURCE_FILE_MB", 200) << 20


def _check_size(path: Path, name: str) -> None:
    try:
        size = path.stat().st_size if path.is_file() else 0
        if path.suffix.lower() == ".parquet" and path.is_file():
            check_kind(path, name)
            import pyarrow.parquet as pq

            with pq.ParquetFile(path) as file:
                about = file.metadata
                size = max(size, sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)))
    except (OSError, ValueError) as error:
        raise DataError("{name} cannot be read: {error}", name=name, error=fault(error, path)) from error
    if size > largest_file():
        raise DataError(
            "{name} has {size:,.0f} MB, {allowed:,.0f} MB are allowed",
            name=name,
            size=size / 1e6,
            allowed=largest_file() / 1e6,
        )


def _distinct(names: list[str]) -> list[str]:
    """Column names, none empty, and a number after each that was there before: pandas does so for CSV files only."""
    found: list[str] = []
    for name in names:
        base = name if name.strip() else "unnamed"
        free = next(one for n in count() if (one := f"{base}.{n}" if n else base) not in found)
        found.append(free)
    return found


def written_as(path: Path) -> tuple[str, str]:
    """The encoding and the separator of a text file, by its first bytes.

    Raises:
        DataError: There is no such file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError("{name} cannot be read: {error}", name=path.name, error=error.strerror or str(error)) from error
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    first = re.sub(r'"[^"]*"', "", head.decode(encoding, "ignore").lstrip("\ufeff\r\n")).partition("\n")[0]
    default = "\t" if path.suffix.lower() == ".tsv" else ","
    return encoding, default if default in first else max(SEPARATORS, key=lambda s: (first.count(s), s == default))
