"""Runs the checks of many model types: each in a process of its own, so that none can spoil or hold up the others."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from pruning.errors import PruningError, named_line

FILE_VERSION = 1
Section = tuple[str, Any]
Examine = Callable[[str], Iterable[Section]]
Family = dict[str, Any]
OnDone = Callable[[int, int, str, Family], None]


@dataclass(frozen=True)
class Limits:
    """What one model type may take.

    Attributes:
        seconds: By the clock.
        memory_gb: Of address space, beyond what the libraries have taken before it begins.
    """

    seconds: float = 120.0
    memory_gb: float = 6.0


@dataclass
class _Job:
    name: str
    process: Any
    pipe: Connection
    started: float
    family: Family = field(default_factory=dict)


def prepare() -> Examine:
    """Import what every model type needs, once, before the processes are forked; give the checks back."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    modules = tempfile.mkdtemp(prefix="headroom-modules-")  # for the code of reloaded checkpoints
    os.environ["HF_MODULES_CACHE"] = modules
    import torch
    import transformers

    from pruning.conformance.checks import examine
    from pruning.conformance.tiny import tiny_model

    torch.set_num_threads(1)  # a forked process has no threads but its own
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    tiny_model("bert")  # what is imported for one model is there for all
    return examine


def run_all(
    names: Sequence[str],
    examine: Examine,
    *,
    jobs: int = 1,
    limits: Limits | None = None,
    on_done: OnDone | None = None,
) -> dict[str, Family]:
    """Check model types, some at once, and call ``on_done(count, total, name, family)`` after each.

    Whatever happens to a process, its model type gets a result: the sections that it had, and why there are no more.

    Raises:
        KeyboardInterrupt: After the processes were stopped; what was done has been handed to ``on_done``.
    """
    limits = limits or Limits()
    waiting, running = list(names), list[_Job]()
    finished: dict[str, Family] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(0), examine, limits))
            for job in list(_ended(running, limits)):
                running.remove(job)
                finished[job.name] = job.family
                if on_done:
                    on_done(len(finished), len(names), job.name, job.family)
    finally:
        for job in running:
            _stop(job)
    return finished


def _start(name: str, examine: Examine, limits: Limits) -> _Job:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, examine, theirs, limits), daemon=True)
    process.start()
    theirs.close()
    return _Job(name, process, ours, time.monotonic())


def _ended(running: list[_Job], limits: Limits) -> Iterator[_Job]:
    """Take in what arrives until a job has ended or has run out of time."""
    first = min(job.started for job in running) + limits.seconds
    ready = wait([job.pipe for job in running], timeout=max(0.0, first - time.monotonic()))
    for job in running:
        if job.pipe in ready and _take_in(job):
            _stop(job)
            yield _closed(job, job.family.pop("stopped", "") or _reason_of_end(job.process.exitcode))
        elif time.monotonic() - job.started > limits.seconds:
            _stop(job)
            yield _closed(job, f"took longer than {limits.seconds:g} s")


def _take_in(job: _Job) -> bool:
    """Add one section; whether the other end has closed."""
    try:
        section, value = job.pipe.recv()
    except (EOFError, OSError):
        job.process.join(5)
        return True
    job.family[section] = value
    return False


def _closed(job: _Job, reason: str) -> _Job:
    doing = job.family.pop("doing", "starting")
    job.family["seconds"] = round(time.monotonic() - job.started, 2)
    if "outcome" not in job.family:
        job.family |= {"outcome": "stopped", "reason": f"{reason} ({doing})"}
    return job


def _reason_of_end(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return "the process ended without a result"


def _stop(job: _Job) -> None:
    if job.process.is_alive():
        job.process.kill()
    job.process.join()
    job.pipe.close()


# In the process of one model type -------------------------------------------------------------------------------------


def _work(name: str, examine: Examine, pipe: Connection, limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    _quiet()
    _limit_memory(limits.memory_gb)
    try:
        for section in examine(name):
            pipe.send(section)
    except MemoryError:
        pipe.send(("stopped", f"needs more than {limits.memory_gb:g} GB"))
    except Exception as error:  # of the engine's, outside any check
        pipe.send(("stopped", named_line(error)))
    pipe.close()
    os._exit(0)  # nothing of the parent's is to be tidied up here


def _quiet() -> None:
    """Warnings of tiny models are nobody's business."""
    import warnings

    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _limit_memory(memory_gb: float) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if sys.platform == "linux" else 0
    most = pages * os.sysconf("SC_PAGE_SIZE") + int(memory_gb * 1e9)
    with suppress(ValueError, OSError):  # systems without such a limit
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


# The report -----------------------------------------------------------------------------------------------------------


def new_report() -> dict[str, Any]:
    """A report without results."""
    import torch
    import transformers

    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    date = datetime.now(UTC).date().isoformat()
    return {"version": FILE_VERSION, "date": date, **versions, "families": {}, "totals": {}}


def read_report(path: Path) -> dict[str, Any]:
    """A report to go on with.

    Raises:
        PruningError: The file is not a report, or is one of other versions of the libraries.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PruningError(f"the report {path} cannot be read: {error}") from error
    fresh = new_report()
    for name in ("version", "transformers", "torch"):
        if not isinstance(report, dict) or report.get(name) != fresh[name]:
            found = report.get(name) if isinstance(report, dict) else None
            raise PruningError(f"the report {path} has {name} {found!r}, but this is {fresh[name]!r}: start a new one")
    return report


def write_report(report: dict[str, Any], path: Path) -> None:
    """All at once, so that a reader never sees half of it.

    Raises:
        PruningError: The file cannot be written.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(json.dumps(_finite(report), ensure_ascii=False) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise PruningError(f"the report cannot be written to {path}: {error.strerror}") from error


def _finite(value: Any) -> Any:
    """JSON has no infinity."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
