"""Opening the database: where it is, how SQLite is made to serve several processes, and its migrations."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from pruning.errors import first_line
from pruning.history.records import HistoryError

SETTING = "HEADROOM_DATABASE"  # that the program and the dashboard read
WAIT_SECONDS = 10  # for somebody else who writes, or for a server that does not answer
ADVISORY_LOCK = 0x48454144  # the number under which programs that migrate one PostgreSQL database wait for each other
VERSION_TABLE = "headroom_version"  # alembic's, under a name of our own: the database may hold other things, too
_MIGRATING = threading.Lock()  # alembic keeps what it works on in globals


def open_engine(url: str) -> Engine:
    """Connect, and bring the tables up to date.

    Raises:
        HistoryError: The URL is none, its driver is missing, the database cannot be reached or written, is broken, or
            was written by a newer version of this program.
    """
    where = url
    try:
        address = make_url(url)
        where = address.render_as_string(hide_password=True)
        engine = _sqlite_engine(address) if address.get_backend_name() == "sqlite" else _server_engine(address)
        try:
            migrate(engine)
        except BaseException:
            engine.dispose()
            raise
    except (ArgumentError, NoSuchModuleError) as error:
        raise HistoryError(
            "{setting} is not the URL of a database that can be used: {error}; sqlite:////folder/file.sqlite and "
            "postgresql://user:password@host/name are examples",
            setting=SETTING,
            error=first_line(error),
        ) from error
    except ImportError as error:
        raise HistoryError(
            "the driver for {where} is not installed ({error}); for PostgreSQL: pip install -r "
            "requirements-postgres.txt",
            where=where,
            error=str(error),
        ) from error
    except (SQLAlchemyError, OSError) as error:
        raise HistoryError("the database {where} cannot be used: {error}", where=where, error=reason(error)) from error
    return engine


def reason(error: Exception) -> str:
    """What the driver says, without the statement that SQLAlchemy adds."""
    return first_line(getattr(error, "orig", None) or error)


# Engines ---------------------------------------------------------------------------------------------------------


def _server_engine(url: URL) -> Engine:
    arguments = {"connect_timeout": WAIT_SECONDS} if url.get_backend_name() == "postgresql" else {}
    return create_engine(url, pool_pre_ping=True, connect_args=arguments)


def _sqlite_engine(url: URL) -> Engine:
    """One file for many threads and processes: readers never wait, and writers wait for each other."""
    if url.database in (None, "", ":memory:"):
        raise ArgumentError("a history needs a file, and this URL names none")
    if not str(url.database).startswith("file:"):
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A reader that begins to write would fail at once if somebody else has written: writers say so first.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: Any) -> None:
    """Switch the file to a write-ahead log. Two processes that do so at once need not wait but try again."""
    import sqlite3

    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


# Migrations ------------------------------------------------------------------------------------------------------


def migrations() -> Config:
    """Where alembic finds the scripts."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to a revision, in one transaction, while others who want the same wait.

    Raises:
        HistoryError: The database is at a revision that this program does not know.
    """
    config = migrations()
    scripts = ScriptDirectory.from_config(config)
    known = [script.revision for script in scripts.walk_revisions()]
    with _MIGRATING, engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        now = context.get_current_revision()
        if now is not None and now not in known:
            raise HistoryError(
                "the history was written by a newer version of this program: it is at revision {now}, and this one "
                "knows {first} to {last}; use the newer version, or another database in {setting}",
                now=now,
                first=known[-1],
                last=known[0],
                setting=SETTING,
            )
        if now != (known[0] if revision == "head" else revision):
            logging.getLogger(__name__).info("migrating the history from revision %s to %s", now, revision)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
        # Changes nothing, and fails at once where nothing can be written.
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = version_num")
