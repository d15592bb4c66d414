"""The tables of the database, and how the history's values are written. The migrations make them; nothing else does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

from pruning.history.records import Record
from pruning.masks import Mask

METADATA = MetaData()


class UtcTime(TypeDecorator[datetime]):
    """Times with a zone; SQLite knows none, so there they are UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC).replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


RECORDS = Table(
    "headroom_records",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("owner", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("model", Text, nullable=False),
    Column("model_fingerprint", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("data_fingerprint", Text, nullable=False),
    Column("mask", Text, nullable=False),  # Mask.to_code
    Column("settings", Text, nullable=False),  # JSON; not the database's own, which knows no infinity
    Column("numbers", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("name", Text, nullable=False),
    Column("starred", Boolean, nullable=False),
    Column("made", UtcTime, nullable=False),
    # Since revision 2, all made from the above: to recognise the same work, and to sort by.
    Column("subject", String(64), nullable=False),
    Column("metric", Float),
    Column("units", Integer, nullable=False),
    Column("points", Text, nullable=False, server_default=""),  # since revision 4: JSON, or nothing
    sqlite_autoincrement=True,  # a number that was deleted is not given to another record
)
ANSWERS = Table(  # since revision 3, as the two below: `pruning.learning` reads and writes them
    "headroom_answers",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("owner", String(64), nullable=False),  # empty where a class alone keeps it
    Column("lesson", String(64), nullable=False),
    Column("settings", Text, nullable=False),  # JSON
    Column("scale", Text, nullable=False),  # JSON: the slider
    Column("guess", Float, nullable=False),
    Column("truth", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("score", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("mask", Text, nullable=False),
    Column("code", String(6), nullable=False),  # of a class, or empty
    Column("member", Integer, nullable=False),
    Column("made", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)
CLASSES = Table(
    "headroom_classes",
    METADATA,
    Column("code", String(6), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("opened", UtcTime, nullable=False),
    Column("touched", UtcTime, nullable=False),  # when somebody last joined or answered
)
MEMBERS = Table(
    "headroom_members",
    METADATA,
    Column("code", String(6), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("owner", String(64), nullable=False),
    Column("nickname", Text, nullable=False),
    Column("joined", UtcTime, nullable=False),
    Column("seen", UtcTime, nullable=False),
    UniqueConstraint("code", "owner", name="headroom_members_once"),
)
JSON = ("mask", "settings", "numbers", "points")  # columns that are written as text
PLAIN = tuple(one.name for one in fields(Record) if one.name not in ("id", *JSON))
MOST_LETTERS = 2_000_000  # of the points of one record: some thousand points


def to_row(record: Record) -> dict[str, Any]:
    """The columns of a record, without its number."""
    row = {name: clean(value) if isinstance(value := getattr(record, name), str) else value for name in PLAIN}
    row |= {"mask": record.mask.to_code(), "settings": json.dumps(record.settings)}
    row |= {"numbers": json.dumps(record.numbers), "points": points_text(record.points)}
    return row | derived(record)


def derived(record: Record) -> dict[str, Any]:
    """The columns that are made from others."""
    main = record.main
    return {"subject": record.subject, "metric": main[1].value if main else None, "units": record.units}


def to_record(row: Any) -> Record:
    """The inverse of `to_row`."""
    return Record(
        **{name: row[name] for name in ("id", *PLAIN)},
        mask=Mask.from_code(row["mask"]),
        settings=json.loads(row["settings"]),
        numbers=json.loads(row["numbers"]),
        points=points_of(row.get("points", "")),
    )


def points_text(points: Sequence[dict[str, Any]]) -> str:
    """The names of the columns once, then the values; nothing where that is more than a record may hold."""
    if not points:
        return ""
    names = list(dict.fromkeys(name for point in points for name in point))
    rows = [[point.get(name) for name in names] for point in points]
    text = json.dumps({"columns": names, "rows": rows}, separators=(",", ":"))
    return text if len(text) <= MOST_LETTERS else ""


def points_of(text: str) -> tuple[dict[str, Any], ...]:
    """The inverse; nothing of what cannot be read, since the record is worth something without its points."""
    try:
        found = json.loads(text) if text else {"columns": [], "rows": []}
        return tuple(dict(zip(found["columns"], row, strict=True)) for row in found["rows"])
    except (ValueError, KeyError, TypeError):
        return ()


def clean(text: str) -> str:
    """Text that every database takes: no half characters, and no zero."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
