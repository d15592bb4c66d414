"""Progress and classes in the database of the history: safe under many threads and processes, and bounded.

Every question and every change names an owner. What a class has answered is read by the owner of that class alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from pruning.history.opening import reason
from pruning.history.tables import ANSWERS, CLASSES, MEMBERS, clean
from pruning.learning.records import (
    LONGEST_NICKNAME,
    Answer,
    Classroom,
    LearningError,
    Member,
    Scale,
    Truth,
    new_code,
)
from pruning.masks import Mask

MOST_CLASSES, MOST_MEMBERS = 40, 200
MOST_ANSWERS = 1000  # of one owner, besides the first ones: the oldest practice goes first
OPEN_HOURS = 24  # without anybody who joins or answers
A, C, M = ANSWERS.c, CLASSES.c, MEMBERS.c


class Learning:
    """Answers, classes and members.

    Args:
        engine: Of an open history: its migrations have made the tables.

    Raises:
        LearningError: By every method, where the database cannot be used now.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(writes=True)

    # Progress ----------------------------------------------------------------------------------------------------

    def add(self, answer: Answer) -> Answer:
        """Keep an answer; it stays outside its class where that is closed by now, or its owner is not in it."""
        with self._on(self._writer) as connection:
            member = self._member(connection, answer.code, answer.owner) if answer.code else None
            answer = replace(answer, code=answer.code if member else "", member=member.number if member else 0)
            key = connection.execute(insert(ANSWERS).values(_to_row(answer))).inserted_primary_key
            if member:
                connection.execute(update(CLASSES).where(C.code == answer.code).values(touched=now()))
            self._make_room(connection, clean(answer.owner))
        return replace(answer, id=key[0] if key else None)

    def answers(self, owner: str) -> list[Answer]:
        """Everything that an owner has answered, the oldest first."""
        with self._on(self.engine) as connection:
            return _answers(connection, A.owner == clean(owner))

    def reset(self, owner: str) -> None:
        """Forget an owner's progress. What was answered in an open class stays with the class, and has no owner."""
        mine = A.owner == clean(owner)
        with self._on(self._writer) as connection:
            connection.execute(update(ANSWERS).where(mine, A.code != "").values(owner=""))
            connection.execute(delete(ANSWERS).where(mine))

    def hand_over(self, owner: str, to: str) -> None:
        """Give everything of one owner to another: a session whose browser has become known."""
        owner, to = clean(owner), clean(to)
        with self._on(self._writer) as connection:
            there, mine = (
                {row.code: row.number for row in connection.execute(select(M.code, M.number).where(M.owner == one))}
                for one in (to, owner)
            )
            for code, number in mine.items():
                if code in there:  # one person, who is in that class already
                    here = [A.code == code, A.member == number]
                    connection.execute(update(ANSWERS).where(*here).values(member=there[code]))
                    connection.execute(delete(MEMBERS).where(M.code == code, M.number == number))
            for table in (ANSWERS, MEMBERS, CLASSES):
                connection.execute(update(table).where(table.c.owner == owner).values(owner=to))

    def _make_room(self, connection: Connection, owner: str) -> None:
        firsts = select(func.min(A.id)).where(A.owner == owner).group_by(A.lesson, A.code)
        practice = select(A.id).where(A.owner == owner, A.id.not_in(firsts)).order_by(A.id.desc())
        too_many = connection.execute(practice.offset(MOST_ANSWERS).limit(100)).scalars().all()
        if too_many:
            connection.execute(delete(ANSWERS).where(A.id.in_(too_many)))

    # Classes -----------------------------------------------------------------------------------------------------

    def open_class(self, owner: str) -> Classroom:
        """Open a class, or return the one that its owner has open.

        Raises:
            LearningError: As many as there may be are open.
        """
        with self._on(self._writer) as connection:
            _close(connection, C.touched < _oldest())
            if found := _classroom(connection, C.owner == clean(owner)):
                return found
            if (connection.execute(select(func.count()).select_from(CLASSES)).scalar() or 0) >= MOST_CLASSES:
                raise LearningError("{n} classes are open here, and there may be no more", n=MOST_CLASSES)
            found = Classroom(_free_code(connection), clean(owner), now(), now())
            connection.execute(insert(CLASSES).values(asdict(found)))
        return found

    def class_of(self, owner: str) -> Classroom | None:
        """The class that somebody has open."""
        with self._on(self.engine) as connection:
            return _classroom(connection, C.owner == clean(owner))

    def is_open(self, code: str) -> bool:
        with self._on(self.engine) as connection:
            return _classroom(connection, C.code == code) is not None

    def close_class(self, owner: str) -> None:
        """Close the class of an owner: its answers stay with those who gave them, and the list of members is gone."""
        with self._on(self._writer) as connection:
            _close(connection, C.owner == clean(owner))

    def members(self, owner: str) -> list[Member]:
        """Who is in the class of an owner, by number."""
        asked = select(MEMBERS).join(CLASSES, C.code == M.code).where(C.owner == clean(owner), C.touched >= _oldest())
        with self._on(self.engine) as connection:
            return [_to_member(row) for row in connection.execute(asked.order_by(M.number)).mappings()]

    def class_answers(self, owner: str) -> list[Answer]:
        """What was answered in the class of an owner, the oldest first; whose browsers these were is not told."""
        codes = select(C.code).where(C.owner == clean(owner), C.touched >= _oldest())
        with self._on(self.engine) as connection:
            return [replace(one, owner="") for one in _answers(connection, A.code.in_(codes))]

    # Members -----------------------------------------------------------------------------------------------------

    def join(self, code: str, owner: str) -> Member:
        """Come into a class, or come back.

        Raises:
            LearningError: There is no such open class, or it is full.
        """
        with self._on(self._writer) as connection:
            if found := self._member(connection, code, owner):
                connection.execute(update(MEMBERS).where(M.code == code, M.number == found.number).values(seen=now()))
                return found
            one = select(CLASSES).where(C.code == code, C.touched >= _oldest()).with_for_update()
            if connection.execute(one).first() is None:
                raise LearningError("there is no open class {code}", code=code)
            here, last = connection.execute(select(func.count(), func.max(M.number)).where(M.code == code)).one()
            if here >= MOST_MEMBERS:
                raise LearningError("class {code} is full: {n} are in it", code=code, n=MOST_MEMBERS)
            found = Member(code, (last or 0) + 1, "", now(), now())
            connection.execute(insert(MEMBERS).values({**asdict(found), "owner": clean(owner)}))
            connection.execute(update(CLASSES).where(C.code == code).values(touched=now()))
        return found

    def member(self, code: str, owner: str) -> Member | None:
        """Somebody as a member of a class; None where the class is closed, or somebody is not in it."""
        with self._on(self.engine) as connection:
            return self._member(connection, code, owner)

    def call(self, code: str, owner: str, nickname: str) -> None:
        """Give a member a nickname, or none."""
        name = " ".join(clean(nickname).split())[:LONGEST_NICKNAME]
        with self._on(self._writer) as connection:
            mine = [M.code == code, M.owner == clean(owner)]
            connection.execute(update(MEMBERS).where(*mine).values(nickname=name))

    def is_here(self, code: str, owner: str) -> bool:
        """Note that a member is looking at the lessons now; whether the class is open and this is a member of it."""
        with self._on(self._writer) as connection:
            mine = [M.code == code, M.owner == clean(owner)]
            connection.execute(update(MEMBERS).where(*mine).values(seen=now()))
            return self._member(connection, code, owner) is not None

    def _member(self, connection: Connection, code: str, owner: str) -> Member | None:
        asked = select(MEMBERS).join(CLASSES, C.code == M.code)
        asked = asked.where(M.code == code, M.owner == clean(owner), C.touched >= _oldest())
        row = connection.execute(asked).mappings().first()
        return _to_member(row) if row else None

    @contextmanager
    def _on(self, engine: Any) -> Iterator[Connection]:
        """A transaction."""
        try:
            with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OverflowError) as error:
            raise LearningError("progress cannot be kept now: {error}", error=reason(error)) from error


def now() -> datetime:
    return datetime.now(UTC)


def _oldest() -> datetime:
    """Classes that nobody has touched since are closed."""
    return now() - timedelta(hours=OPEN_HOURS)


def _free_code(connection: Connection) -> str:
    while connection.execute(select(C.code).where(C.code == (code := new_code()))).first():
        pass
    return code


def _classroom(connection: Connection, which: ColumnElement[bool]) -> Classroom | None:
    row = connection.execute(select(CLASSES).where(which, C.touched >= _oldest())).mappings().first()
    return Classroom(**row) if row else None


def _close(connection: Connection, which: ColumnElement[bool]) -> None:
    codes = connection.execute(select(C.code).where(which)).scalars().all()
    connection.execute(delete(ANSWERS).where(A.code.in_(codes), A.owner == ""))
    connection.execute(update(ANSWERS).where(A.code.in_(codes)).values(code="", member=0))
    for table in (MEMBERS, CLASSES):
        connection.execute(delete(table).where(table.c.code.in_(codes)))


# Rows ------------------------------------------------------------------------------------------------------------

PLAIN = ("lesson", "guess", "score", "model", "data", "code", "member", "made")


def _to_row(answer: Answer) -> dict[str, Any]:
    row = {name: clean(value) if isinstance(value := getattr(answer, name), str) else value for name in PLAIN}
    row |= {"owner": clean(answer.owner), "settings": clean(json.dumps(answer.settings, default=str))}
    row |= {"scale": json.dumps(asdict(answer.scale)), "mask": answer.mask.to_code()}
    return row | {"truth": answer.truth.value, "low": answer.truth.low, "high": answer.truth.high}


def _answers(connection: Connection, which: ColumnElement[bool]) -> list[Answer]:
    found = []
    for row in connection.execute(select(ANSWERS).where(which).order_by(A.id)).mappings():
        truth, scale = Truth(row["truth"], row["low"], row["high"]), Scale(**json.loads(row["scale"]))
        plain = {name: row[name] for name in ("id", "owner", *PLAIN)}
        mask, settings = Mask.from_code(row["mask"]), json.loads(row["settings"])
        found.append(Answer(truth=truth, scale=scale, mask=mask, settings=settings, **plain))
    return found


def _to_member(row: Any) -> Member:
    return Member(*(row[name] for name in ("code", "number", "nickname", "joined", "seen")))
