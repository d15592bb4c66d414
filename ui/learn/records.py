"""Where progress is kept: in the database of the history, or for as long as the server runs. No streamlit here."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pruning.errors import PruningError
from ui.history.recorder import Recorder

if TYPE_CHECKING:
    from pruning.learning.database import Learning

Found = TypeVar("Found")


class Records:
    """Opens the one or the other for whoever asks first.

    Attributes:
        lost: Why the last question or change came to nothing; None where it did not.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder, self._lock = recorder, threading.Lock()
        self._kept: Learning | None = None
        self._fleeting: Learning | None = None
        self.lost: PruningError | None = None

    @property
    def problem(self) -> str:
        """Why progress ends with the server; empty where it does not."""
        return self._recorder.problem

    def learning(self) -> Learning:
        """Progress and classes.

        Raises:
            PruningError: Not even a temporary file can be written.
        """
        history = self._recorder.history()
        with self._lock:
            if history is None:
                self._fleeting = self._fleeting or self._temporary()
                return self._fleeting
            if self._kept is None or self._kept.engine is not history.engine:
                from pruning.learning.database import Learning

                self._kept = Learning(history.engine)
            return self._kept

    def attempt(self, work: Callable[[Learning], Found], otherwise: Found) -> Found:
        """What some work gives, or something else where the database cannot be used now."""
        try:
            found = work(self.learning())
            self.lost = None
        except PruningError as error:
            logging.getLogger(__name__).warning("%s", error)
            self.lost = error
            return otherwise
        return found

    def _temporary(self) -> Learning:
        from pruning.history.opening import open_engine
        from pruning.learning.database import Learning

        folder = tempfile.mkdtemp(prefix="headroom-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return Learning(open_engine(f"sqlite:///{Path(folder) / 'progress.sqlite'}"))
