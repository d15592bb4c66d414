"""A GGUF file as a folder of safetensors: converted once, kept in the user's cache, checked at every use.

Transformers reads the 98 MB of SmolLM2-135M in about 15 seconds, most of it in Python; the converted folder (540 MB)
takes two, hashes included.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pruning.errors import ModelError
from pruning.language import Later, later
from pruning.models import file_sha256

HASHES = "sha256.json"  # written last: a folder without it is not complete


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/headroom``, or ``~/.cache/headroom``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headroom"


def converted(gguf: Path, name: str, on_step: Callable[[str | Later], None]) -> Path:
    """The folder that holds the weights of a GGUF file in float32, its configuration and its tokenizer.

    Args:
        name: Of the folder in the cache; it has to change with the file.

    Raises:
        ModelError: The cache cannot be written.
    """

    def make(folder: Path) -> None:
        on_step(later("Converting {name}", name=gguf.name))
        convert(gguf, folder)

    try:
        return kept(cache_folder() / name, make)
    except OSError as error:
        raise ModelError(
            "the converted weights of {name} cannot be kept in {folder}: {error}; XDG_CACHE_HOME names another place",
            name=gguf.name,
            folder=cache_folder(),
            error=error.strerror or str(error),
        ) from error


def kept(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that is made once. One that is cut off or changed is made again; two at once do no harm."""
    if _intact(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        draft = Path(name) / folder.name
        draft.mkdir()
        make(draft)
        hashes = {path.name: file_sha256(path) for path in sorted(draft.iterdir())}
        (draft / HASHES).write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
        if folder.exists() and not _intact(folder):
            shutil.rmtree(folder)
        try:
            draft.rename(folder)
        except OSError:
            if not _intact(folder):  # somebody else may have been quicker
                raise
    return folder


def _intact(folder: Path) -> bool:
    try:
        hashes = json.loads((folder / HASHES).read_text(encoding="utf-8"))
        return all(file_sha256(folder / name) == digest for name, digest in hashes.items())
    except (OSError, ValueError, AttributeError):
        return False


def convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF language model as safetensors in float32.

    What transformers makes of such a file stays marked as quantised, and would neither save nor take gradients as an
    ordinary model: its weights go into one that is made from the same settings without the mark.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"gguf_file": gguf.name}
    with _no_progress_bar():
        marked = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **options)
    settings = marked.config.to_dict()
    del settings["quantization_config"]
    clean = type(marked).from_pretrained(
        None, config=type(marked.config).from_dict(settings), state_dict=marked.state_dict()
    )
    clean.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, **options).save_pretrained(folder)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """The bar of the GGUF reader is the one that transformers' own switch does not reach."""
    from transformers import modeling_gguf_pytorch_utils as reader

    bar = reader.tqdm
    reader.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        reader.tqdm = bar
