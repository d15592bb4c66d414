"""Writes records in the background, so that a slow database never delays any work. No streamlit here."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pruning.conversion import cache_folder
from pruning.errors import PruningError
from pruning.history.records import LOOKED_AT, Record
from pruning.language import mark, tr
from ui.jobs import Cache

if TYPE_CHECKING:
    from pruning.history.database import History

Found = TypeVar("Found")
Note = Callable[[Callable[[], Record]], None]
MOST_WAITING = 1000  # records; more than that are dropped
AGAIN_WITHIN = 200  # newest records of an owner, among which the same work is not recorded a second time
KEPT_SESSIONS = 5000
EXIT_SECONDS = 5.0  # for what is still to be written at the end
SETTING, OFF = "HEADROOM_DATABASE", ("", "off")
NO_DATABASE = mark("HEADROOM_DATABASE names no database, so nothing is recorded")
_log = logging.getLogger(__name__)


def nothing(make: Callable[[], Record]) -> None:
    """Where nothing is recorded."""


def database_setting() -> str | None:
    """The URL that the environment names, or a file in the cache folder; None where no history is wanted."""
    wanted = os.environ.get(SETTING, f"sqlite:///{cache_folder() / 'history.sqlite'}").strip()
    return None if wanted.lower() in OFF else wanted


class Recorder:
    """One for the process. Call it with what makes a record, of which the owner is a session.

    Args:
        url: Of the database; None for no history. It is opened by the first who needs it.
        kept: How many unnamed and unstarred records an owner has at most.

    The errors are kept as they are, since they are translated when they are read.
    """

    def __init__(self, url: str | None, kept: int) -> None:
        self._url, self._kept = url, kept
        self._problem: PruningError | str = "" if url else NO_DATABASE
        self._history: History | None = None
        self._lost: PruningError | str = ""
        self._opening, self._starting = threading.Lock(), threading.Lock()
        self._owners, self._looked_at = Cache(KEPT_SESSIONS), Cache(KEPT_SESSIONS)
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def __call__(self, make: Callable[[], Record]) -> None:
        """Record something soon; the record is made in the background, too."""

        def work() -> None:
            history = self.history()
            if history is not None:
                record = make()
                criterion = self._looked_at.get(record.owner)
                settings = {LOOKED_AT: criterion, **record.settings} if criterion else record.settings
                history.add(replace(record, owner=self.owner(record.owner), settings=settings), AGAIN_WITHIN)
                self._lost = ""

        self._later(work)

    @property
    def problem(self) -> str:
        """Why there is no history, in the language of now; empty where there is one."""
        return tr(self._problem) if isinstance(self._problem, str) else str(self._problem)

    @property
    def lost(self) -> str:
        """Why the last record could not be written, in the language of now; empty where it was."""
        return str(self._lost)

    # Whose records -----------------------------------------------------------------------------------------------

    def owner(self, session: str) -> str:
        """Who owns what a session does: its browser, or the session itself while that is not known."""
        return self._owners.get(session) or session

    def meet(self, session: str, owner: str, looks_at: str) -> None:
        """Note whose a session is, and which criterion it looks at; what it has recorded by now is handed over."""
        self._looked_at.put(session, looks_at)
        if self.owner(session) == owner:
            return
        self._owners.put(session, owner)

        def work() -> None:
            history = self.history()
            if history is not None:
                history.hand_over(session, owner)

        self._later(work)

    # The database ------------------------------------------------------------------------------------------------

    def history(self) -> History | None:
        """The open history; None where there is none, and then ``problem`` says why."""
        with self._opening:
            if self._history is None and self._url and not self._problem:
                from pruning.history.database import History

                try:
                    self._history = History(self._url, self._kept)
                except PruningError as error:
                    _log.warning("there is no history: %s", error)
                    self._problem = error.with_traceback(None)
            return self._history

    def attempt(self, work: Callable[[History], Found]) -> Found | None:
        """What some work on the history gives; None where there is none, or none that can be used now."""
        history = self.history()
        try:
            return work(history) if history is not None else None
        except PruningError as error:
            _log.warning("%s", error)
            self._lost = error.with_traceback(None)
            return None

    def retry(self) -> None:
        """Try again to open it."""
        if self._url:
            self._problem = ""

    def wait(self) -> None:
        """Until all that has been asked for by now is written."""
        done = threading.Event()
        self._later(done.set)
        if self._thread is not None:
            done.wait(60)

    def close(self) -> None:
        """Write what waits, and let go of the database."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(EXIT_SECONDS)
        if self._history is not None:
            self._history.close()

    # The thread --------------------------------------------------------------------------------------------------

    def _later(self, work: Callable[[], None]) -> None:
        if self._url is None:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="headroom history", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            _log.warning("a record is lost: %d wait to be written already", MOST_WAITING)

    def _loop(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except PruningError as error:
                self._lost = error.with_traceback(None)
                _log.warning("a record is lost: %s", error)
            except Exception:  # a bug: in the log, and the next record is written
                _log.exception("a record is lost")
