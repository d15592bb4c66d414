"""The answers of a class as a file to take away."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pruning.history.files import FORMULAS
from pruning.learning.records import Answer

COLUMNS = (
    "made", "member", "name", "lesson", "first", "guess", "truth", "low", "high", "missed_by", "score", "settings",
    "model", "data", "mask",
)  # fmt: skip


def as_csv(answers: Iterable[Answer], names: Mapping[int, str]) -> str:
    """A row for each answer, the oldest first.

    Args:
        names: What members are called, by their numbers.
    """
    buffer, seen = io.StringIO(), set()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for answer in answers:
        first = (answer.member, answer.lesson) not in seen
        seen.add((answer.member, answer.lesson))
        row = _row(answer) | {"first": first, "name": names.get(answer.member, "")}
        writer.writerow({name: _harmless(value) for name, value in row.items()})
    return buffer.getvalue()


def _row(answer: Answer) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(answer, name) for name in COLUMNS if hasattr(answer, name)}
    row |= {"made": answer.made.isoformat(timespec="seconds"), "mask": answer.mask.to_code()}
    row |= {"truth": answer.truth.value, "low": answer.truth.low, "high": answer.truth.high}
    return row | {"settings": json.dumps(answer.settings, ensure_ascii=False)}


def _harmless(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value
