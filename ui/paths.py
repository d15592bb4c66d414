"""Tables and models that a link or the menu names by their path."""

from __future__ import annotations

from pathlib import Path

from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA, is_source
from pruning.sources import adopt
from ui import allowed

OF_MODELS = {".json", ".safetensors", ".py", ".txt", ".model", ".gguf"}  # what loading reads: a log beside it may grow


def source_of(data: str) -> str:
    """The source that a file on this computer becomes here, so that none of its rows both chooses and measures.

    Other names are returned as they are.

    Raises:
        DataError: This server does not open the file, or it cannot be read.
    """
    if data in BUILT_IN_DATA or is_source(data) or not allowed.is_path(data):
        return data
    allowed.check_data(data)
    return adopt(data).id


def stamp_of(model: str) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of each file of a model's folder, to tell whether they are still those that were loaded.

    Empty for what is no folder here.
    """
    try:
        folder = Path(model).expanduser()
        if model in BUILT_IN or not folder.is_dir():
            return ()
        files = [(path.name, path.stat()) for path in folder.iterdir() if path.suffix in OF_MODELS]
        return tuple(sorted((name, status.st_mtime_ns, status.st_size) for name, status in files))
    except (OSError, ValueError, RuntimeError):
        return ()
