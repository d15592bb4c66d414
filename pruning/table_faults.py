"""What is wrong with a table that cannot be read, in words that do not come from a parser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pruning.errors import DataError, first_line
from pruning.language import Later, later

HEAD_BYTES = 4096
MARKS = {
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"%PDF": "PDF", b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "GZIP", b"PAR1": "Parquet", b"SQLite format 3": "SQLite", b"\xd0\xcf\x11\xe0": "XLS",
}  # fmt: skip
WIDE = (b"\xff\xfe", b"\xfe\xff")  # how texts in UTF-16 begin; they hold zero bytes
NOT_OBJECTS = later('each row has to be an object, such as {"text": "…", "label": "…"}')


def check_kind(path: Path, name: str, encoding: str = "utf-8") -> None:
    """Refuse a file that is empty, or whose first bytes are not those of what its name says.

    Args:
        name: What to call it in errors.

    Raises:
        DataError: Says what it is.
        OSError: It cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind = path.suffix.lstrip(".").upper()
    if len(head) < HEAD_BYTES and not head.strip():
        raise DataError("{name} is empty", name=name)
    found = next((what for mark, what in MARKS.items() if head.startswith(mark)), None)
    if kind == "PARQUET":
        if found != "Parquet":
            raise DataError("{name} is no Parquet file, whatever its name says", name=name)
    elif found:
        raise DataError("{name} is no {kind} file: its content is {found}", name=name, kind=kind, found=found)
    elif b"\0" in head and not head.startswith(WIDE) and not encoding.lower().startswith("utf-16"):
        raise DataError("{name} is no {kind} file: its content is no text", name=name, kind=kind)


def fault(error: Exception, path: Path, encoding: str = "utf-8") -> Later | str:
    """Why a table could not be read, to stand after a colon.

    Args:
        error: What pandas has raised.
        encoding: That it was read with.
    """
    if isinstance(error, UnicodeError):
        return later("it is not written in {encoding}", encoding=encoding.upper())
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if path.suffix.lower() in (".json", ".jsonl"):
        return _json_fault(path, encoding)
    if path.suffix.lower() == ".parquet" and not isinstance(error, ImportError):
        return later("it is damaged or cut off")
    return _csv_fault(str(error)) or first_line(error, 200)


def _csv_fault(text: str) -> Later | None:
    """By what the parser of pandas says."""
    if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", text):
        return later(
            "line {line} has {found} fields and the lines before it {expected}; put texts that hold the separator "
            "into quotes",
            line=found[2],
            found=found[3],
            expected=found[1],
        )
    if found := re.search(r"EOF inside string starting at row (\d+)", text):
        return later("a quotation mark in row {row} is never closed", row=found[1])
    return later("it has no columns") if "No columns to parse" in text else None


def _json_fault(path: Path, encoding: str) -> Later:
    text = path.read_text(encoding=encoding, errors="replace").lstrip("\ufeff")
    documents = text.split("\n") if path.suffix.lower() == ".jsonl" else [text]
    for line, document in enumerate(documents, start=1):
        try:
            if document.strip():
                json.loads(document)
        except json.JSONDecodeError as error:
            return later("it is not JSON from line {line} on", line=line + error.lineno - 1)
        except RecursionError:
            return later("it is nested too deeply")
    return NOT_OBJECTS
