"""The files of a checkpoint that somebody else has written: whether they are all there, whole, and belong together."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pruning.errors import ModelError
from pruning.language import later

ONE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
NAMED = 3  # of many weights


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ModelError: It is not JSON; says where it stops being so.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        text = error.doc.strip()
        why = later("line {line} is not as it should be", line=error.lineno) if text else later("it is empty")
    except RecursionError:
        why = later("it is nested too deeply")
    except (OSError, ValueError):  # a UnicodeDecodeError is a ValueError
        why = later("it holds no text")
    raise ModelError("{path} is not JSON: {why}", path=path, why=why)


def weight_files(name: str, folder: Path, own_file: Any = None) -> list[Path]:
    """The files that a folder's weights are in.

    Args:
        name: What to call the model in errors.
        own_file: Another file name that the configuration gives.

    Raises:
        ModelError: Some are missing, or are no safetensors files.
    """
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        others = [p.name for p in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.h5"))]
        raise ModelError(
            "{name} has no safetensors file ({found}): save it again with save_pretrained, which writes "
            "model.safetensors",
            name=name,
            found=later("only {files}", files=", ".join(sorted(others)[:NAMED])) if others else later("no weights"),
        )
    if (folder / ONE_FILE).is_file():
        found = [folder / ONE_FILE]
    elif (folder / INDEX).is_file():
        found = _listed(name, folder)
    elif all(path.name.startswith("adapter") for path in found):
        raise ModelError("{name} holds only an adapter: merge it into its model, and save that", name=name)
    elif not own_file:
        raise ModelError(
            "{name} has no model.safetensors (only {files}): give it that name, or save the whole model again with "
            "save_pretrained",
            name=name,
            files=", ".join(path.name for path in found[:NAMED]),
        )
    for path in found:
        tensors_in(path, name)
    return found


def _listed(name: str, folder: Path) -> list[Path]:
    """The files that the index of a divided checkpoint names."""
    index = read_json(folder / INDEX)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise ModelError("{path} does not say which weights are in which file", path=folder / INDEX)
    files = sorted(set(places.values()))
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise ModelError(
            "{name} lacks {count} of its {total} files of weights: {missing}",
            name=name,
            count=len(missing),
            total=len(files),
            missing=_some(missing),
        )
    return [folder / file for file in files]


def tensors_in(path: Path, name: str) -> dict[str, list[int]]:
    """The shape of each tensor, by the file's header.

    Raises:
        ModelError: The file is no safetensors file, or not a whole one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {tensor: file.get_slice(tensor).get_shape() for tensor in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            "{name} cannot be loaded: {file} ({size:,} bytes) is damaged or cut off, it is no whole safetensors file",
            name=name,
            file=path.name,
            size=path.stat().st_size,
        ) from error


def unknown_type(name: str, raw: dict[str, Any], known: Collection[str]) -> ModelError | None:
    """What is wrong with the model type in a configuration; ``None`` where it is one that transformers knows."""
    if "model_type" not in raw:
        return ModelError(
            "{name} cannot be loaded: its config.json has no model_type, so it does not say what kind of model it is",
            name=name,
        )
    if raw["model_type"] in known:
        return None
    import transformers

    return ModelError(
        "{name} cannot be loaded: its config.json names the model type {type!r}, which transformers {version} does not "
        "know",
        name=name,
        type=raw["model_type"],
        version=transformers.__version__,
    )


def check_loaded(name: str, module: Any, info: dict[str, Any]) -> None:
    """Refuse a model that is not what its files say.

    Args:
        info: What ``from_pretrained`` reports of its loading.

    Raises:
        ModelError: Sizes differ, none of the weights is of this architecture, or some are not finite.
    """
    for path, stored, expected in sorted(info["mismatched_keys"]):
        raise ModelError(
            "{name} cannot be loaded: {path} is {stored} in its weights but {expected} by its config.json",
            name=name,
            path=path,
            stored=tuple(stored),
            expected=tuple(expected),
        )
    if info["unexpected_keys"] and len(info["missing_keys"]) >= len(list(module.parameters())):
        raise ModelError(
            "{name} cannot be loaded: its weights are not those of a {architecture}, which its config.json names; they "
            "are {found}",
            name=name,
            architecture=type(module).__name__,
            found=_some(sorted(info["unexpected_keys"])),
        )
    check_finite(name, module)


def check_finite(name: str, module: Any) -> None:
    """Refuse weights that are not numbers: everything that they touch would be NaN, and every prediction class 0.

    Raises:
        ModelError: Names the first.
    """
    bad = [path for path, tensor in module.named_parameters() if not _is_finite(tensor)]
    if bad:
        raise ModelError(
            "{name} is damaged: there is NaN or infinity in {count} of its {total} weight tensors ({bad})",
            name=name,
            count=len(bad),
            total=len(list(module.parameters())),
            bad=_some(bad),
        )


def _is_finite(tensor: Any) -> bool:
    """By its extremes: NaN is both of them, and nothing as large as the tensor has to be made."""
    if not tensor.is_floating_point() or tensor.is_meta or not tensor.numel():
        return True
    return all(bool(end.isfinite()) for end in tensor.aminmax())


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
