"""Values of this program as bytes and back, for a file that outlives the process.

Not pickle: whatever a file holds, reading it makes plain values, arrays, and dataclasses of this program, and runs
nothing else. The structure is JSON, and arrays lie beside it.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

PACKAGES = ("pruning.", "ui.")  # whose classes are made again
TREE = "tree"
BROKEN = (ValueError, KeyError, IndexError, TypeError, AttributeError, ImportError, OSError, EOFError, zlib.error)


class UnpackableError(TypeError):
    """A value of a kind that is not packed: the model inside it, say, or a function."""


def pack(value: object, given: Sequence[object] = ()) -> bytes:
    """Plain values, containers, arrays, and frozen dataclasses and named tuples of this program, as bytes.

    Args:
        given: Objects that are only named, since whoever unpacks has them.

    Raises:
        UnpackableError: Something of another kind is inside.
    """
    arrays: list[np.ndarray] = []
    tree = json.dumps(_encoded(value, given, arrays), separators=(",", ":"))
    named = {str(place): array for place, array in enumerate(arrays)}
    buffer = io.BytesIO()
    np.savez(buffer, **{TREE: np.frombuffer(tree.encode(), np.uint8)}, **named)  # type: ignore[arg-type]
    return zlib.compress(buffer.getvalue(), 1)


def unpack(packed: bytes, given: Sequence[object] = ()) -> Any:
    """The inverse of `pack`.

    Raises:
        ValueError: The bytes are damaged, or of another version of the program.
    """
    try:
        with np.load(io.BytesIO(zlib.decompress(packed)), allow_pickle=False) as found:
            tree = json.loads(found[TREE].tobytes())
            arrays = [found[str(place)] for place in range(len(found.files) - 1)]
        return _decoded(tree, given, arrays)
    except BROKEN as error:
        raise ValueError(f"the value cannot be read: {error}") from error


def stable_text(value: object) -> str:
    """The same text for equal values in every process, for keys; of what `pack` takes, except arrays.

    Raises:
        UnpackableError: Something of another kind is inside.
    """
    arrays: list[np.ndarray] = []
    text = json.dumps(_encoded(value, (), arrays), separators=(",", ":"))
    if arrays:
        raise UnpackableError("an array is no part of a key")
    return text


# The tree: JSON's own scalars as they are, everything else as a list that begins with a letter ----------------------


def _encoded(value: Any, given: Sequence[object], arrays: list[np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    for place, one in enumerate(given):
        if one is value:
            return ["given", place]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int | float):
        return value
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays.append(value)
        return ["array", len(arrays) - 1]

    def inside(items: Iterable[object]) -> list[Any]:
        return [_encoded(item, given, arrays) for item in items]

    if is_dataclass(value) and not isinstance(value, type):
        return ["new", _name_of(type(value)), *inside(getattr(value, one.name) for one in fields(value) if one.init)]
    if isinstance(value, tuple):
        return ["tuple", *inside(value)] if type(value) is tuple else ["new", _name_of(type(value)), *inside(value)]
    if isinstance(value, list):
        return ["list", *inside(value)]
    if isinstance(value, frozenset):
        return ["set", *sorted(inside(value), key=json.dumps)]
    if isinstance(value, dict):
        return ["dict", inside(value), inside(value.values())]
    raise UnpackableError(f"a {type(value).__name__} is not packed")


def _decoded(tree: Any, given: Sequence[object], arrays: Sequence[np.ndarray]) -> Any:
    if not isinstance(tree, list):
        return tree
    kind, *rest = tree
    if kind == "given":
        return given[rest[0]]
    if kind == "array":
        return arrays[rest[0]]
    if kind == "new":
        made = _class_of(rest[0])
        values = [_decoded(one, given, arrays) for one in rest[1:]]
        if issubclass(made, tuple):
            return made(*values)
        return made(**dict(zip((one.name for one in fields(made) if one.init), values, strict=True)))
    if kind == "dict":
        keys, values = ([_decoded(one, given, arrays) for one in part] for part in rest)
        return dict(zip(keys, values, strict=True))
    return {"tuple": tuple, "list": list, "set": frozenset}[kind](_decoded(one, given, arrays) for one in rest)


def _name_of(kind: type) -> str:
    name = f"{kind.__module__}:{kind.__qualname__}"
    if not name.startswith(PACKAGES) or "<" in name:
        raise UnpackableError(f"a {name} is not packed")
    return name


@cache
def _class_of(name: str) -> Any:
    """A dataclass or a named tuple of this program."""
    module, _, path = name.partition(":")
    if not module.startswith(PACKAGES):
        raise ValueError(f"{name} is not of this program")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not isinstance(found, type) or not (is_dataclass(found) or issubclass(found, tuple)):
        raise ValueError(f"{name} is no value")
    return found
