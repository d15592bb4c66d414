"""The history in a database: SQLite or PostgreSQL, safe under many threads and processes, bounded for each owner.

Every question and every change names an owner, and touches nothing of anybody else's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from pruning.errors import PruningError
from pruning.history.opening import open_engine, reason
from pruning.history.records import KINDS, LONGEST_NAME, HistoryError, Record
from pruning.history.tables import RECORDS, clean, derived, to_record, to_row

KEPT = 10_000  # the newest of an owner that are neither named nor starred
MOST_AT_ONCE = 500  # numbers in one statement: databases allow no more than some thousands
AT = RECORDS.c
LISTED = tuple(column for column in RECORDS.c if column is not RECORDS.c.points)  # points may be long
ORDERS: dict[str, ColumnElement[Any]] = {
    "made": AT.made, "kind": AT.kind, "name": func.lower(AT.name), "model": func.lower(AT.model),
    "data": func.lower(AT.data), "metric": AT.metric, "removed": AT.units, "seconds": AT.seconds,
}  # fmt: skip
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """Which records of an owner are looked for; all of them by default.

    Attributes:
        kinds: Names of kinds; empty for all.
        text: In the name, the model, the data or the settings, in whatever case.
        model: As the menus call it; empty for all.
    """

    kinds: tuple[str, ...] = ()
    text: str = ""
    starred: bool = False
    model: str = ""
    data: str = ""

    def conditions(self, owner: str) -> list[ColumnElement[bool]]:
        """What holds of them; words are values of the statement, never a part of it."""
        found: list[ColumnElement[bool]] = [AT.owner == clean(owner)]
        if self.kinds:
            found.append(AT.kind.in_([KINDS.get(name).name for name in self.kinds]))
        if text := clean(self.text.strip()):
            places = (AT.name, AT.model, AT.data, AT.kind, AT.settings)
            found.append(or_(*(place.icontains(text, autoescape=True) for place in places)))
        if self.starred:
            found.append(AT.starred)
        found += [AT.model == clean(self.model)] if self.model else []
        return [*found, AT.data == clean(self.data)] if self.data else found


class History:
    """Records by owner.

    Args:
        url: Of the database, as SQLAlchemy reads it.
        kept: How many records of an owner are kept that are neither named nor starred; the oldest go first.

    Raises:
        HistoryError: The database cannot be opened; every method raises it, too, where it cannot be used any more.
    """

    def __init__(self, url: str, kept: int = KEPT) -> None:
        self.engine, self.kept = open_engine(url), kept
        self._writer = self.engine.execution_options(writes=True)

    def close(self) -> None:
        self.engine.dispose()

    # Writing -----------------------------------------------------------------------------------------------------

    def add(self, record: Record, again_within: int = 0) -> Record:
        """Keep a record and return it with its number.

        Args:
            again_within: Where one of so many newest records is of the same work, that one gets the new time and
                numbers, and keeps its name and star.
        """
        with self._on(self._writer) as connection:
            same = self._same(connection, record, again_within) if again_within else None
            if same is None:
                values = to_row(record) | ({} if record.id is None else {"id": record.id})
                key = connection.execute(insert(RECORDS).values(values)).inserted_primary_key
                found = replace(record, id=key[0] if key else None)
            else:
                numbers = {**same.numbers, **record.numbers}
                seconds = record.seconds or same.seconds
                found = replace(record, id=same.id, name=same.name, starred=same.starred)
                found = replace(found, numbers=numbers, seconds=seconds)
                connection.execute(update(RECORDS).where(AT.id == same.id).values(to_row(found)))
            self._make_room(connection, record.owner)
        return found

    def rename(self, owner: str, number: int, name: str) -> bool:
        """Give a record a name, or none; whether there is such a record."""
        return self._change(owner, [number], name=clean(name.strip())[:LONGEST_NAME]) == 1

    def star(self, owner: str, numbers: Iterable[int], starred: bool = True) -> int:
        """Mark records, or unmark them; how many there were."""
        return self._change(owner, numbers, starred=starred)

    def delete(self, owner: str, numbers: Iterable[int]) -> list[Record]:
        """Delete records and return them, so that `restore` can bring them back."""
        gone: list[Record] = []
        with self._on(self._writer) as connection:
            for some in _parts(numbers):
                chosen = [AT.owner == clean(owner), AT.id.in_(some)]
                gone += _records(connection, select(RECORDS).where(*chosen))
                connection.execute(delete(RECORDS).where(*chosen))
        return gone

    def clear(self, owner: str) -> list[Record]:
        """Delete everything of an owner and return it."""
        with self._on(self._writer) as connection:
            gone = _records(connection, select(RECORDS).where(AT.owner == clean(owner)))
            connection.execute(delete(RECORDS).where(AT.owner == clean(owner)))
        return gone

    def restore(self, records: Iterable[Record]) -> None:
        """Bring deleted records back under their numbers; one that is back already stays as it is."""
        with self._on(self._writer) as connection:
            for record in records:
                if connection.execute(select(AT.id).where(AT.id == record.id)).first() is None:
                    connection.execute(insert(RECORDS).values(to_row(record) | {"id": record.id}))

    def hand_over(self, owner: str, to: str) -> int:
        """Give everything of one owner to another: a session whose browser has become known."""
        return self._change(owner, None, owner=clean(to))

    def _change(self, whose: str, numbers: Iterable[int] | None, **values: Any) -> int:
        count = 0
        with self._on(self._writer) as connection:
            for some in [None] if numbers is None else _parts(numbers):
                chosen = [AT.owner == clean(whose), *([] if some is None else [AT.id.in_(some)])]
                count += connection.execute(update(RECORDS).where(*chosen).values(**values)).rowcount
        return count

    def _same(self, connection: Connection, record: Record, within: int) -> Record | None:
        mine = AT.owner == clean(record.owner)
        newest = select(AT.id).where(mine).order_by(AT.made.desc(), AT.id.desc()).limit(within)
        alike = [mine, AT.subject == derived(record)["subject"], AT.id.in_(newest.scalar_subquery())]
        found = _records(connection, select(*LISTED).where(*alike).order_by(AT.made.desc()).limit(1))
        return found[0] if found else None

    def _make_room(self, connection: Connection, owner: str) -> None:
        free = [AT.owner == clean(owner), ~AT.starred, AT.name == "", AT.kind != "scenario"]
        newest = select(AT.id).where(*free).order_by(AT.made.desc(), AT.id.desc()).offset(self.kept)
        too_many = connection.execute(newest.limit(MOST_AT_ONCE)).scalars().all()
        if too_many:
            connection.execute(delete(RECORDS).where(AT.id.in_(too_many)))

    # Reading -----------------------------------------------------------------------------------------------------

    def find(
        self,
        owner: str,
        wanted: Wanted | None = None,
        order: str = "made",
        descending: bool = True,
        limit: int | None = None,
        offset: int = 0,
        points: bool = False,
    ) -> list[Record]:
        """Records of an owner, in one of the `ORDERS`; what has no such value comes last.

        Args:
            points: Read all that sweeps have measured, too.
        """
        if order not in ORDERS:
            raise HistoryError(
                "records are not sorted by {order!r}; they are by {known}", order=order, known=", ".join(ORDERS)
            )
        by = ORDERS[order].desc() if descending else ORDERS[order].asc()
        number = AT.id.desc() if descending else AT.id.asc()
        columns = RECORDS.c if points else LISTED
        asked = select(*columns).where(*(wanted or Wanted()).conditions(owner)).order_by(by.nulls_last(), number)
        with self._on(self.engine) as connection:
            return _records(connection, asked.limit(limit).offset(offset))

    def count(self, owner: str, wanted: Wanted | None = None) -> int:
        with self._on(self.engine) as connection:
            asked = select(func.count()).select_from(RECORDS).where(*(wanted or Wanted()).conditions(owner))
            return int(connection.execute(asked).scalar() or 0)

    def get(self, owner: str, number: int) -> Record | None:
        """One record with its points; None where there is none of that number, or it is somebody else's."""
        with self._on(self.engine) as connection:
            found = _records(connection, select(RECORDS).where(AT.owner == clean(owner), AT.id == number))
        return found[0] if found else None

    def sources(self, owner: str) -> list[tuple[str, str]]:
        """The pairs of model and data that an owner has records of, those used last first."""
        asked = select(AT.model, AT.data).where(AT.owner == clean(owner)).group_by(AT.model, AT.data)
        with self._on(self.engine) as connection:
            return [(row.model, row.data) for row in connection.execute(asked.order_by(func.max(AT.made).desc()))]

    @contextmanager
    def _on(self, engine: Any) -> Iterator[Connection]:
        """A transaction."""
        try:
            with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OverflowError) as error:
            raise HistoryError("the history cannot be used now: {error}", error=reason(error)) from error


def _records(connection: Connection, asked: Select[Any]) -> list[Record]:
    """Those that can be read; a damaged one is in the log and in nobody's way."""
    found = []
    for row in connection.execute(asked).mappings():
        try:
            found.append(to_record(row))
        except (PruningError, ValueError, TypeError) as error:
            _log.warning("record %s of the history cannot be read: %s", row["id"], error)
    return found


def _parts(numbers: Iterable[int]) -> Iterator[Sequence[int]]:
    chosen = sorted(set(numbers))
    yield from (chosen[start : start + MOST_AT_ONCE] for start in range(0, len(chosen), MOST_AT_ONCE))
