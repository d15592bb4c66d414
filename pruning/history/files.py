"""The history as a file to take away: all of it as JSON, or what fits a table as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from typing import Any

from pruning.history.records import Record
from pruning.scopes import SCOPES

FILE_VERSION = 1
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run
COLUMNS = (
    "id", "made", "kind", "name", "starred", "model", "data", *(f"{scope} removed" for scope in SCOPES), "metric",
    "value", "low", "high", "seconds", "settings", "mask", "model_fingerprint", "data_fingerprint",
)  # fmt: skip


def as_json(records: Iterable[Record]) -> str:
    """A file with everything; numbers that JSON does not know are null."""
    rows = [
        {"id": one.id, "made": one.made.isoformat(), "kind": one.kind, "name": one.name, "starred": one.starred}
        | {"model": one.model, "model_fingerprint": one.model_fingerprint, "data": one.data}
        | {"data_fingerprint": one.data_fingerprint, "mask": one.mask.to_json(), "settings": _finite(one.settings)}
        | {"numbers": _finite(one.numbers), "seconds": one.seconds, "points": _finite(one.points)}
        for one in records
    ]
    return json.dumps({"version": FILE_VERSION, "records": rows}, indent=1, ensure_ascii=False)


def as_csv(records: Iterable[Record]) -> str:
    """A table, a row for each record, with the main metric; the mask is the code that links carry, too."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in _row(one).items()} for one in records)
    return buffer.getvalue()


def _row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(record, name) for name in COLUMNS if hasattr(record, name)}
    row |= {"made": record.made.isoformat(), "mask": record.mask.to_code()}
    row["settings"] = json.dumps(_finite(record.settings), ensure_ascii=False)
    gone = record.numbers.get("removed")
    for scope in SCOPES:
        known = gone.get(scope) if isinstance(gone, dict) else None
        row[f"{scope} removed"] = known[0] if known else len(getattr(record.mask, scope))
    if record.main is not None:
        name, estimate = record.main
        row |= {"metric": name, "value": estimate.value, "low": estimate.low, "high": estimate.high}
    return row


def _harmless(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
