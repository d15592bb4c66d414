"""Files that take a while to make: checkpoints, ONNX, converted figures. No streamlit here.

They are made by a worker of their own and lie in temporary folders, each in one of its own. A folder goes when newer
files need its place, and with the process. Every file belongs to the session that asked for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import UnsupportedError
from pruning.language import Later, later, mark
from pruning.models import number_setting
from ui.export.browser import Format, convert
from ui.export.onnx_process import read_answer
from ui.export.script import FOLDER, prune_command
from ui.export.subject import Subject
from ui.export.told import checked, inputs, loading_line
from ui.history.entries import entry, estimates
from ui.history.recorder import Note, nothing
from ui.jobs import Job, Worker
from ui.maps import modified
from ui.recoveries import submit_again
from ui.replacing import Replacements

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from pruning.export import Exported

KEPT = 12  # files
KEPT_MB = number_setting("HEADROOM_EXPORTS_MB", 8192)  # of temporary files; the newest stays, however large
ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.2
MODEL = "model.onnx"


@dataclass(eq=False)
class Package:
    """A file in a folder of its own, which goes when nobody holds the package any more.

    Attributes:
        about: What there is to say of it: messages for whoever reads them.
        figures: Whether its model card holds measured figures.
        line: Of Python, that loads a checkpoint.
        code: Whether a checkpoint brings code of its own, which its user must allow.
    """

    path: Path
    about: tuple[str | Later, ...] = ()
    figures: bool = False
    line: str = ""
    code: bool = False

    def __post_init__(self) -> None:
        self.size_bytes = self.path.stat().st_size
        weakref.finalize(self, shutil.rmtree, self.path.parent, ignore_errors=True)


class Shelf:
    """Packages by session and kind, the oldest first; a bounded number of files and bytes."""

    def __init__(self, files: int = KEPT, limit_bytes: int = KEPT_MB << 20) -> None:
        self._files, self._limit = files, limit_bytes
        self._items: dict[object, Package] = {}

    def get(self, key: object) -> Package | None:
        return self._items.get(key)

    def put(self, key: object, package: Package) -> None:
        items = {name: kept for name, kept in self._items.items() if name != key} | {key: package}
        while len(items) > 1 and (len(items) > self._files or sum(p.size_bytes for p in items.values()) > self._limit):
            items.pop(next(iter(items)))
        self._items = items


class Exports:
    """What has been made, and the jobs that make it."""

    def __init__(self, replacements: Replacements, record: Note = nothing) -> None:
        self.worker = Worker("exporter")
        self._replacements, self._shelf, self._record = replacements, Shelf(), record

    def package(self, session: str, wanted: object) -> Package | None:
        """What this session has made, as long as it is kept."""
        return self._shelf.get((session, wanted))

    def job(self, session: str, kind: str) -> Job | None:
        """The session's latest of a kind: ``checkpoint``, ``onnx`` or ``figures``."""
        return self.worker.latest((session, f"export {kind}"))

    def _submit(self, session: str, kind: str, wanted: object, make: Callable[[Job, Path], Package]) -> Job:
        def work(job: Job) -> None:
            with temporary_folder() as home:
                self._shelf.put((session, wanted), make(job, home))

        return submit_again(self.worker, Job((session, f"export {kind}"), wanted, work))

    # The smaller model -------------------------------------------------------------------------------------------

    def checkpoint(self, session: str, subject: Subject) -> Job:
        """Queue the cut, the checkpoint, its check by reloading, and the zip file."""

        def make(job: Job, home: Path) -> Package:
            written = self._write(job, subject, home, 3)
            job.report(2, 3, mark("Packing"))
            zipped = pack(job, written.folder)
            job.report(3, 3)
            self._note(job, subject, written, "checkpoint")
            line = loading_line(written, FOLDER)
            return Package(zipped, checked(subject, written), subject.measured is not None, line, not written.ordinary)

        return self._submit(session, "checkpoint", wanted("checkpoint", subject), make)

    def onnx(self, session: str, subject: Subject) -> Job:
        """Queue the same as one ONNX file, checked with onnxruntime."""

        def make(job: Job, home: Path) -> Package:
            written = self._write(job, subject, home, 3)
            job.report(2, 3, mark("Translating to ONNX, and checking it with onnxruntime"))
            found = _translate(job, written, home)
            files = [path for path in sorted(home.iterdir()) if path != written.folder]
            shutil.rmtree(written.folder)
            job.report(3, 3)
            self._note(job, subject, written, "onnx")
            said = later(
                "Inputs: {inputs}. Run by onnxruntime and compared with torch: largest difference {difference:.1e} "
                "({shape})",
                inputs=inputs(found["inputs"]),
                difference=found["difference"],
                shape=found["checked_shape"],
            )
            return Package(files[0] if len(files) == 1 else _together(home, files), (said,))

        return self._submit(session, "onnx", wanted("onnx", subject), make)

    def _write(self, job: Job, subject: Subject, home: Path, steps: int) -> Exported:
        """Cut and write; the replacement is made first where it is not there yet."""
        from pruning.card import Story
        from pruning.export import export_checkpoint
        from pruning.surgery import prune

        what = subject.decision
        made = self._replacements.make(job, subject.model, what.data, what.mask, what.compensation)
        job.report(0, steps, mark("Cutting, and comparing with the mask"))
        pruned = prune(subject.model, what.mask, compensation=made)
        job.report(1, steps, mark("Writing the checkpoint, and reloading it"))
        found, plan = subject.measured, subject.plan.to_json() if subject.plan else None
        before, after = (found.before, found.after) if found else (None, None)
        story = Story(plan, prune_command(what, measure=True), subject.english[1] or subject.data_label, before, after)
        return export_checkpoint(subject.model, pruned, home / FOLDER, story=story)

    def _note(self, job: Job, subject: Subject, written: Exported, kind: str) -> None:
        """Tell the history of it."""
        what, found = subject.decision, subject.measured
        numbers = estimates(found.after, found.change) if found else {}
        numbers |= {"parameters": written.pruned.parameters, "size_bytes": written.size_bytes}
        make = partial(
            entry, "export", job.owner[0], subject.model, what.data, what.mask, numbers=numbers,
            settings={"compensation": what.compensation, "format": kind},
            seconds=time.monotonic() - (job.started or time.monotonic()),
            data_fingerprint=found.before.data if found else "",
        )  # fmt: skip
        self._record(make)

    # Figures -----------------------------------------------------------------------------------------------------

    def figures(self, session: str, about: object, named: Sequence[tuple[str, go.Figure]], kind: Format) -> Job:
        """Queue the conversion of figures; several come as a zip file.

        Args:
            about: What they show, and how large.
        """

        def make(job: Job, home: Path) -> Package:
            job.report(0, len(named), mark("Starting the browser"))
            step = mark("Drawing figure")
            found = convert([figure for _, figure in named], kind, lambda n, of: job.report(n, of, step))
            files = [home / f"{name}.{kind}" for name, _ in named]
            for file, content in zip(files, found, strict=True):
                file.write_bytes(content)
            return Package(files[0] if len(files) == 1 else _together(home, files, "figures"))

        return self._submit(session, "figures", about, make)


def wanted(kind: str, subject: Subject) -> tuple[object, ...]:
    """What a file is of."""
    what = subject.decision
    return kind, subject.model.fingerprint, what.mask, what.compensation, what.data, modified(what.data)


# Files -----------------------------------------------------------------------------------------------------------


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that stays unless something goes wrong."""
    home = Path(tempfile.mkdtemp(prefix="headroom-"))
    try:
        yield home
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


def pack(job: Job, folder: Path) -> Path:
    """Zip a folder and remove it; it can be cancelled between files. Weights hardly get smaller, so they are stored."""
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            job.report(job.done, job.total)
            archive.write(file, Path(folder.name) / file.relative_to(folder))
    shutil.rmtree(folder)
    return target


def _together(home: Path, files: Sequence[Path], name: str = "onnx") -> Path:
    """Several files as one, which alone stays."""
    target = home / f"{name}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
            file.unlink()
    return target


def _translate(job: Job, written: Exported, home: Path) -> dict[str, Any]:
    """Run `ui.export.onnx_process` and follow it.

    Raises:
        UnsupportedError: It could not, and why.
    """
    from pruning.card import usual_class

    auto, trust = usual_class(written.auto_classes), "no" if written.ordinary else "yes"
    command = [
        sys.executable,
        "-m",
        "ui.export.onnx_process",
        str(written.folder),
        auto,
        trust,
        str(home / "model.onnx"),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(home / FOLDER / "modules")}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=errors)
        try:
            while process.poll() is None:
                job.report(job.done, job.total)
                job.cancelled.wait(POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
        out.seek(0)
        errors.seek(0)
        lines, problems = out.read().split("\n"), errors.read().strip().split("\n")
    last = next((line for line in reversed(lines) if line.startswith("{")), "")
    if not last:
        raise UnsupportedError("the exporter has stopped: {error}", error=problems[-1][:300])
    found = read_answer(last)
    if message := found.pop("error", ""):
        raise UnsupportedError(message, **found["values"])
    return found
