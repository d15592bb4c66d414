"""Results on disk, so that what was measured or found out once is not worked out again by the next run.

Evaluations are kept as the outcomes of their examples; whatever else took long (a search, a map, the steps of a
presentation) as `pruning.packing` writes it. One small SQLite file, bounded: what was not asked for the longest goes
first. A cache must never be in the way, so whatever is wrong with the file ends the caching and nothing else.
"""

from __future__ import annotations

import io
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pruning.errors import PruningError
from pruning.packing import UnpackableError, pack, stable_text, unpack

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.masks import Mask
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Outcome, Task

FIELDS = ("losses", "predicted", "confidences", "hits")
SCHEMA = """
    CREATE TABLE IF NOT EXISTS results (
        key TEXT PRIMARY KEY, outcome BLOB NOT NULL, seconds REAL NOT NULL, size INTEGER NOT NULL, used REAL NOT NULL
    )
"""
MAKE_ROOM = """
    DELETE FROM results WHERE key IN (
        SELECT key FROM (SELECT key, SUM(size) OVER (ORDER BY used DESC, key) AS total FROM results) WHERE total > ?
    )
"""
WAIT = 5.0  # seconds, for another process that writes
MOST_SHARE = 3  # what would take more of the limit than one part of so many is not kept: it would drive out the rest

Found = TypeVar("Found")
_log = logging.getLogger(__name__)


def result_key(
    model: LoadedModel, examples: Examples, task: Task, mask: Mask, made: tuple[str, ...], batch_size: int
) -> str:
    """Everything that a result depends on.

    Args:
        made: How what stands in for the removed parts was made.
    """
    what = (examples.fingerprint, task.name, mask.to_json())
    return sha256(repr((*_circumstances(model), what, made, batch_size)).encode()).hexdigest()


def finding_key(kind: str, model: LoadedModel, *what: object) -> str:
    """The same for anything else.

    Args:
        what: Everything else that decides about it: fingerprints of rows, masks, settings; plain values and
            dataclasses.

    Raises:
        UnpackableError: Something else is among them.
    """
    return sha256(repr((*_circumstances(model), kind, stable_text(what))).encode()).hexdigest()


def _circumstances(model: LoadedModel) -> tuple[str, ...]:
    """The code, the libraries and the weights, and where and in which numbers they compute."""
    import torch
    import transformers

    first = next(model.module.parameters())
    versions = (_own_version(), torch.__version__, transformers.__version__)
    return *versions, model.fingerprint, str(first.dtype), first.device.type


@cache
def _own_version() -> str:
    """Of this very code: a result of other code is another result."""
    return code_version(Path(__file__).parent)


@cache
def code_version(folder: Path) -> str:
    """A digest of all Python files below a folder."""
    sources = sorted(folder.rglob("*.py"))
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


class Results:
    """Outcomes and findings by key.

    Args:
        path: Of the file; it and its folder are made with the first result.
        limit: Bytes that are kept; 0 keeps none.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit = path, limit

    def get(
        self, key: str, model: LoadedModel, examples: Examples, task: Task, mask: Mask, seed: int = 0
    ) -> Evaluation | None:
        """The evaluation under a key, its metrics computed anew; None where there is none."""
        from pruning.evaluation import summarise
        from pruning.tasks import Collector

        found = self._read(key)
        arrays = _unpacked(found[0], len(examples)) if found else None
        if found is None or arrays is None:
            return None
        collector = Collector(len(examples), list(range(len(examples))))
        for name, values in arrays.items():
            setattr(collector, name, values)
        return replace(summarise(model, examples, mask, task, collector, seed), seconds=found[1])

    def put(self, key: str, evaluation: Evaluation) -> None:
        """Keep a whole evaluation; the ones used longest ago make room."""
        if not evaluation.complete:
            raise PruningError("a part of an evaluation is not a result")
        packed = _packed(evaluation.outcome)
        if len(packed) <= self.limit:
            self._write(key, packed, evaluation.seconds)

    def find(self, key: str, *given: object) -> Any:
        """What `keep` was given under a key; None where there is nothing that can be read.

        Args:
            given: What `keep` was given beside it.
        """
        found = self._read(key)
        try:
            return unpack(found[0], given) if found else None
        except ValueError as error:
            _log.warning("a finding is not used: %s", error)
            return None

    def keep(self, key: str, value: object, *given: object) -> None:
        """Keep a finding, unless it is too large or of a kind that is not packed.

        Args:
            given: Objects inside it that are not kept themselves: the model, say.
        """
        if not self.limit:
            return
        try:
            packed = pack(value, given)
        except UnpackableError as error:
            _log.info("a finding is not kept: %s", error)
            return
        if len(packed) * MOST_SHARE <= self.limit:
            self._write(key, packed, 0.0)

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._on_file(lambda file: file.execute("SELECT COALESCE(SUM(size), 0) FROM results").fetchone()[0]) or 0

    def _read(self, key: str) -> tuple[bytes, float] | None:
        """What is under a key, and its seconds; it has been used now."""

        def read(database: sqlite3.Connection) -> tuple[bytes, float] | None:
            database.execute("UPDATE results SET used = ? WHERE key = ?", (time.time(), key))
            return database.execute("SELECT outcome, seconds FROM results WHERE key = ?", (key,)).fetchone()

        return self._on_file(read)

    def _write(self, key: str, packed: bytes, seconds: float) -> None:
        row = (key, packed, seconds, len(packed), time.time())

        def write(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", row)
            database.execute(MAKE_ROOM, (self.limit,))

        self._on_file(write)

    def _on_file(self, work: Callable[[sqlite3.Connection], Found]) -> Found | None:
        """What some work on the database gives, in one transaction; None where it cannot be used."""
        if not self.limit:
            return None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=WAIT)) as database, database:
                database.execute(SCHEMA)
                return work(database)
        except (sqlite3.Error, OSError) as error:
            _log.warning("results are not kept on disk any more: %s: %s", self.path, error)
            self.limit = 0
            return None


def _packed(outcome: Outcome) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **{name: getattr(outcome, name) for name in FIELDS})
    return zlib.compress(buffer.getvalue())


def _unpacked(packed: bytes, count: int) -> dict[str, np.ndarray] | None:
    """Arrays of the outcome, ``(example,)``; None where they are not what they should be."""
    try:
        with np.load(io.BytesIO(zlib.decompress(packed)), allow_pickle=False) as found:
            arrays = {name: found[name] for name in FIELDS}
    except (ValueError, KeyError, OSError, zlib.error):
        return None
    return arrays if all(values.shape == (count,) for values in arrays.values()) else None
