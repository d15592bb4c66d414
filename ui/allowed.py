"""What this server lets its visitors open: which models, and which folders. The command line is not held to it.

``HEADROOM_MODELS`` is a comma-separated list of hub ids and patterns (``bert-*,google/*``); without it every model may
be opened. ``HEADROOM_ROOT`` is the folder below which local models and data must lie, or ``none`` for no local paths at
all; without it they may lie anywhere, as on one's own computer.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA, READERS, is_source
from pruning.errors import DataError, ModelError
from pruning.language import Later, later, mark

if TYPE_CHECKING:
    from pruning.data import Dataset

NO_PATHS = "none"


def patterns() -> tuple[str, ...]:
    """The models that may be opened beside the built-in ones; all where there are none."""
    return tuple(filter(None, (part.strip() for part in os.environ.get("HEADROOM_MODELS", "").split(","))))


def root() -> Path | None:
    """The folder below which local paths must lie, without symbolic links; ``None`` where they may lie anywhere."""
    setting = os.environ.get("HEADROOM_ROOT", "").strip()
    return None if setting in ("", NO_PATHS) else Path(setting).expanduser().resolve()


def has_paths() -> bool:
    """Whether local paths may be opened at all."""
    return os.environ.get("HEADROOM_ROOT", "").strip() != NO_PATHS


def is_path(name: str) -> bool:
    """Whether a name would be looked for on this computer: when in doubt, yes."""
    if name.startswith((".", "~", "/")) or name.count("/") > 1 or "\\" in name or "\0" in name:
        return True
    return Path(name).suffix.lower() in READERS or _exists(name)


def _exists(name: str) -> bool:
    try:
        return os.path.lexists(name)
    except (OSError, ValueError):
        return False


def inside(name: str | Path) -> bool:
    """Whether a path may be opened, once all links and ``..`` in it have been followed."""
    if not has_paths():
        return False
    allowed = root()
    try:
        return allowed is None or Path(name).expanduser().resolve().is_relative_to(allowed)
    except (OSError, ValueError, RuntimeError):  # a loop, a null byte, or no such user
        return False


# The checks ------------------------------------------------------------------------------------------------------


def check_model(name: str) -> None:
    """Refuse a model that this server does not open.

    Raises:
        ModelError: With what is allowed.
    """
    if name in BUILT_IN:
        return
    local = is_path(name)
    if local and not inside(name):
        raise ModelError("this server does not open {name!r}: {allowed}", name=name[:80], allowed=models_allowed())
    if local and root() is not None:  # whoever names a folder opens what lies in it
        return
    known = str(Path(name).expanduser().resolve()) if local and patterns() else name
    if patterns() and not any(fnmatchcase(known, pattern) for pattern in patterns()):
        raise ModelError("this server does not open {name!r}: {allowed}", name=name[:80], allowed=models_allowed())


def check_data(name: str) -> None:
    """Refuse data that this server does not open.

    Raises:
        DataError: With what is allowed, or because there is no such source.
    """
    if name in BUILT_IN_DATA:
        return
    where: str | Path = name
    if is_source(name):
        from pruning.sources import find_source

        source = find_source(name)
        if not source.outside:
            return
        where = source.path
    elif not is_path(name):
        return
    if not inside(where):
        raise DataError("this server does not open {name!r}: {allowed}", name=name[:80], allowed=data_allowed())


def check_images(data: Dataset, task: str) -> None:
    """Refuse a table that names images where this server opens nothing.

    Args:
        task: Kind of task; only images are looked for elsewhere.

    Raises:
        DataError: One of them lies elsewhere.
    """
    if task != "image-classification" or data.spec.name in BUILT_IN_DATA or (has_paths() and root() is None):
        return
    folder = Path(data.spec.name).expanduser().parent
    for row, value in zip(data.rows, data.inputs, strict=True):
        if not value.startswith("data:image/") and not inside(folder / value):
            text = mark("row {row}: this server does not open {name!r}: {allowed}")
            raise DataError(text, row=row, name=value[:80], allowed=data_allowed())


# In words --------------------------------------------------------------------------------------------------------


def models_allowed() -> Later:
    """What may be opened as a model, as the end of a sentence."""
    listed = later(mark("the built-in models, any hub id"))
    if patterns():
        listed = later(mark("the built-in models and {patterns}"), patterns=", ".join(patterns()))
    if not has_paths():
        return later(mark("it opens {models}, and no folders"), models=listed)
    if root():
        return later(mark("it opens {models}, and folders below {root}"), models=listed, root=root())
    return later(mark("it opens {models}") if patterns() else mark("it opens {models}, and any folder"), models=listed)


def data_allowed() -> Later:
    """What may be opened as data, as the end of a sentence."""
    if root():
        return later("it opens the built-in data, uploads, hub datasets, and files below {root}", root=root())
    if has_paths():
        return later("it opens the built-in data, uploads, hub datasets, and any file")
    return later("it opens the built-in data, uploads, hub datasets, and no files by their path")
