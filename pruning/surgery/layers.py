"""Whole layers: entries taken out of their list, with everything that counts layers brought up to date."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from torch import nn

from pruning.anatomy import Anatomy
from pruning.reload_code import drop_dangling_ties, remove_layers


def removed_by_list(anatomy: Anatomy, layers: Collection[int]) -> dict[str, list[int]]:
    """Path of each list that loses layers, and the indices that go."""
    removed: dict[str, list[int]] = {}
    for index in sorted(layers):
        path, _, number = anatomy.layers[index].name.rpartition(".")
        removed.setdefault(path, []).append(int(number))
    return removed


def cut_layers(module: nn.Module, removed: dict[str, list[int]]) -> None:
    """Take layers out of ``module``, in place, and shorten what its configuration says of them."""
    for path, gone in removed.items():
        layers = module.get_submodule(path)
        config, names = layer_counts(module, path, len(layers))
        for name in names:
            value = getattr(config, name)
            left = len(layers) - len(gone)
            setattr(config, name, left if isinstance(value, int) else _without(value, gone))
        remove_layers(layers, gone)
    if removed:
        drop_dangling_ties(module)


def layer_counts(module: nn.Module, path: str, count: int) -> tuple[Any, list[str]]:
    """The configuration behind a list of layers, and its attributes that count them or hold one value for each."""
    config = module.config
    for parent in _parents(path):
        own = getattr(module.get_submodule(parent), "config", None)
        if own is not None:
            config = own
            break
    lengths = [n for n, value in vars(config).items() if _counts(n, value, count)]
    lists = [n for n, value in vars(config).items() if isinstance(value, (list, tuple)) and len(value) == count]
    side = "decoder" if "decoder" in path else "encoder" if "encoder" in path else ""
    other = {"decoder": "encoder", "encoder": "decoder"}.get(side)
    if getattr(module.config, "is_encoder_decoder", False) and side:
        own_names = [n for n in lengths if side in n]
        lengths = own_names + [
            n for n in lengths if other not in n and (not own_names or side == "encoder") and n not in own_names
        ]
    return config, [*lengths, *(n for n in lists if not n.startswith("_") and re.search("layer|type|depth|rope", n))]


def _counts(name: str, value: object, count: int) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value == count
    return is_number and bool(re.search("layers?$|layers_num|depth$|blocks?$", name))


def _parents(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, -1, -1)]


def _without(values: Any, gone: Collection[int]) -> Any:
    return type(values)(value for i, value in enumerate(values) if i not in gone)
