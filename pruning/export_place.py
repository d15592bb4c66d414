"""Where a checkpoint goes: what may be replaced there, and how the old gives way to the new.

Only what an export wrote is ever replaced: its ``SHA256SUMS`` names all its files and their contents.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pruning.builtin import BUILT_IN
from pruning.errors import PruningError
from pruning.models import file_sha256

SUMS = "SHA256SUMS"
MASK = "mask.json"


def check_place(folder: str | Path, model: str, *, overwrite: bool) -> Path:
    """The folder, if a checkpoint may be put there: it is new, or empty, or holds an earlier export and nothing else.

    Args:
        model: Name of the model that is exported; its own folder is never replaced.
        overwrite: Whether something may be replaced at all.

    Raises:
        PruningError: Something is there that must stay; says what.
    """
    try:
        target, source = Path(folder).expanduser(), Path(model).expanduser()
        there = target.exists()
        local = there and model not in BUILT_IN and source.exists()
        inside = local and source.resolve().is_relative_to(target.resolve())
    except (OSError, RuntimeError) as error:  # too long, or no such user
        raise PruningError("{target} cannot be written: {error}", target=folder, error=error) from error
    if target.name == "-" and not there:  # as other programs call standard output
        raise PruningError("a checkpoint is a folder and cannot go to standard output: give -o a name")
    if not there:
        _check_parents(target)
        return target
    if not overwrite:
        raise PruningError("{target} exists already: choose another folder, or say --overwrite", target=target)
    if not target.is_dir():
        raise PruningError("{target} is a file, which is not replaced by a folder: choose another", target=target)
    if Path.cwd().is_relative_to(target.resolve()):  # it would be moved away from under the shell
        raise PruningError("{target} is the folder that the command runs in: choose another folder", target=target)
    if inside:
        raise PruningError("{target} holds the model that is exported: choose another folder", target=target)
    foreign = _foreign_file(target)
    if foreign:
        raise PruningError(
            "{target} holds {file}, which no export of Headroom wrote: --overwrite replaces an earlier export or an "
            "empty folder; choose another folder",
            target=target,
            file=foreign,
        )
    return target


def _check_parents(target: Path) -> None:
    """Refuse a place where no folder can be made, before hours of work end there."""
    nearest = next(parent for parent in target.absolute().parents if parent.exists())
    if not nearest.is_dir():
        raise PruningError("{target} cannot be written: {folder} is not a folder", target=target, folder=nearest)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PruningError("{file} cannot be written: there is no permission to", file=target)


def _foreign_file(folder: Path) -> str | None:
    """A file that an export did not write, or that was changed since; ``None`` where there is none."""
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }
    sums: dict[str, str] = {}
    try:
        if SUMS in files and MASK in files:
            lines = files[SUMS].read_text(encoding="utf-8").splitlines()
            sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        known = {SUMS, *sums} if sums else set()
        unknown = [name for name, path in files.items() if name not in known or path.is_symlink() or not path.is_file()]
        changed = (name for name, digest in sums.items() if name in files and file_sha256(files[name]) != digest)
        return next(iter(unknown), None) or next(changed, None)
    except (OSError, ValueError) as error:
        raise PruningError("{target} cannot be read: {error}", target=folder, error=error) from error


@contextmanager
def draft_beside(target: Path) -> Iterator[Path]:
    """A folder to write to, gone afterwards whatever happens; so are parents of ``target`` that stayed empty."""
    draft, made = None, [parent for parent in target.absolute().parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield draft
    except OSError as error:
        raise PruningError(
            "{target} cannot be written: {error}", target=target, error=error.strerror or str(error)
        ) from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        with suppress(OSError):  # from the innermost: the first that holds something ends it
            for parent in made:
                parent.rmdir()


def move(draft: Path, target: Path) -> None:
    """Put the complete folder in its place; an old one goes only when the new one is ready."""
    draft.chmod(0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        target.rename(old / "folder")
        draft.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(target)
