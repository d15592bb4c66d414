"""What a model is and needs, told from its configuration and the headers of its files before it is loaded."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pruning.builtin import BuiltIn
from pruning.checkpoint import read_json, tensors_in, weight_files
from pruning.errors import ModelError
from pruning.hub import MEMORY_HEADROOM
from pruning.models import ModelSpec

CONFORMANCE = Path(__file__).resolve().parents[1] / "docs" / "CONFORMANCE.md"
FLOAT32_BYTES = 4
# What the state of a text takes while a mask is measured: the output of each layer, and the input of its projection.
STATES_PER_LAYER = 2
LONG_TEXT = 128  # tokens
SIZES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "encoder_attention_heads"),
    "hidden": ("hidden_size", "n_embd", "d_model", "dim", "embed_dim"),
}


@dataclass(frozen=True)
class Needs:
    """What is known of a model that is not in memory.

    Attributes:
        architecture, model_type: As its configuration names them; empty where it does not.
        task: The kind of task that it is made for; ``None`` where it is for none that is measured.
        weights: How many numbers it has.
        memory_bytes: What they take in float32, with what loading needs.
        free_bytes: Memory that is free now.
        token_bytes: What keeping the states of one token takes while masks are measured; 0 where that is not known.
        tokens: Of an image; of a text that is long, but not the longest.
        layers, heads: 0 where they are not known.
        classes: Of a classifier, by index.
        licence: As its card says; empty where it says nothing.
        cutting: What is known of cutting heads out of models of this type.
        download_bytes: What has to be fetched first.
    """

    name: str
    architecture: str
    model_type: str
    task: str | None
    weights: int
    memory_bytes: int
    free_bytes: int
    token_bytes: int
    tokens: int
    layers: int
    heads: int
    classes: tuple[str, ...]
    licence: str
    cutting: str
    download_bytes: int = 0

    @property
    def fits(self) -> bool:
        return self.memory_bytes <= self.free_bytes


def check_needs(name: str) -> Needs:
    """Look at a model without loading it: a folder here, or a model on the hub or in its download cache.

    Raises:
        ModelError: It is not there, has no safetensors, or brings its own code; or the hub cannot be reached.
    """
    spec = ModelSpec(name)
    if spec.source == "local folder":
        return _of_folder(name, Path(name).expanduser())
    return _of_hub(name)


def _of_folder(name: str, folder: Path) -> Needs:
    """By the headers of the weights."""
    if not (folder / "config.json").is_file():
        raise ModelError("{name} has no config.json: give the path of a folder with a transformers model", name=name)
    config, card = read_json(folder / "config.json"), folder / "README.md"
    licence = _licence(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else ""
    own_file = config.get("transformers_weights") if isinstance(config, dict) else None
    shapes = [tensors_in(path, name) for path in weight_files(name, folder, own_file)]
    weights = sum(math.prod(shape) for file in shapes for shape in file.values())
    return _needs(name, config, weights, licence)


def _of_hub(name: str) -> Needs:
    """By what the hub says of its files; without the network by what has been downloaded."""
    from huggingface_hub import hf_hub_download, model_info
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        about = model_info(name, files_metadata=True, timeout=10)
        config = json.loads(Path(hf_hub_download(name, "config.json", etag_timeout=10)).read_text(encoding="utf-8"))
    except HFValidationError as error:
        raise ModelError(
            "{name!r} is not a model name: use a folder, or a hub id like owner/name", name=name[:80]
        ) from error
    except GatedRepoError as error:
        raise ModelError(
            "{name} is gated: accept its terms on the hub and log in with: hf auth login", name=name
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError("the hub has no model {name!r} (or it is private)", name=name) from error
    except Exception as error:  # no network, in any of the ways that the HTTP library has for saying so
        return _of_folder(name, _downloaded(name, error))
    size = sum(file.size or 0 for file in about.siblings or [] if file.rfilename.endswith(".safetensors"))
    if not size:
        raise ModelError(
            "{name} has no safetensors file on the hub: its weights are in a format that is not read", name=name
        )
    counts = getattr(about.safetensors, "parameters", None) or {}
    licence = str(getattr(about.card_data, "license", None) or "")
    return _needs(name, config, sum(counts.values()) or size // FLOAT32_BYTES, licence, size)


def _downloaded(name: str, error: Exception) -> Path:
    """The folder of a model that was downloaded earlier."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True, allow_patterns=["*.json", "*.safetensors", "*.md"]))
    except (OSError, ValueError):
        raise ModelError(
            "{name!r} is not a folder here nor in the download cache, and the hub cannot be reached: check the name "
            "and the network",
            name=name,
        ) from error


def _needs(name: str, config: Any, weights: int, licence: str, download_bytes: int = 0) -> Needs:
    import psutil

    from pruning.tasks import tasks

    if not isinstance(config, dict):
        raise ModelError("the config.json of {name} does not hold a configuration", name=name)
    inner = config.get("text_config")
    text = inner if isinstance(inner, dict) else config
    sizes = {what: _first(text, names) for what, names in SIZES.items()}
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    model_type = str(config.get("model_type", ""))
    task = next((task.name for task in tasks().values() if architecture.endswith(task.heads)), None)
    if "auto_map" in config and model_type not in known_cuts():
        raise ModelError("{name} brings its own code, which is not run here", name=name)
    return Needs(
        name, architecture, model_type, task, weights, int(MEMORY_HEADROOM * FLOAT32_BYTES * weights),
        psutil.virtual_memory().available, STATES_PER_LAYER * FLOAT32_BYTES * sizes["layers"] * sizes["hidden"],
        _tokens(config),
        sizes["layers"], sizes["heads"], _classes(config), licence, known_cuts().get(model_type, "not tried"),
        download_bytes,
    )  # fmt: skip


def _first(config: dict[str, Any], names: tuple[str, ...]) -> int:
    """The first of several settings that is a number."""
    return next((value for name in names if isinstance(value := config.get(name), int)), 0)


def _tokens(config: dict[str, Any]) -> int:
    side, patch = config.get("image_size"), config.get("patch_size")
    return (side // patch) ** 2 + 1 if isinstance(side, int) and isinstance(patch, int) and patch else LONG_TEXT


def _classes(config: dict[str, Any]) -> tuple[str, ...]:
    names = config.get("id2label")
    return tuple(str(value) for value in names.values()) if isinstance(names, dict) else ()


def _licence(card: str) -> str:
    """The licence in the front matter of a model card."""
    front = card.split("---", 2)[1] if card.startswith("---") and card.count("---") > 1 else ""
    found = re.search(r"^license:[ \t]*[\"']?([^\s\"']+)", front, re.MULTILINE)
    return found[1] if found else ""


# What is known beforehand ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def known_cuts() -> dict[str, str]:
    """What the table of all model types says about cutting heads out of each, by model type."""
    try:
        lines = CONFORMANCE.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    titles = next((row for row in rows if row[0] == "model type"), [])
    place = titles.index("heads cut") if "heads cut" in titles else 0
    tried = rows[rows.index(titles) + 1 :] if place else []
    return {row[0]: row[place] for row in tried if len(row) == len(titles) and not set(row[0]) <= set("-:")}


def weights_on_disk(model: BuiltIn) -> int:
    """Bytes of the files that hold a built-in model's weights; 0 where they are not installed."""
    found = find_spec(model.module) if model.module else None
    folders = [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    kinds = ("*.safetensors", "*.gguf")
    brought = [path for folder in folders for kind in kinds for path in folder.rglob(kind)]
    kept = [path for path in model.files if path.suffix == ".safetensors"]
    return sum(path.stat().st_size for path in (*kept, *brought) if path.is_file()) if model.present else 0
