"""Whole layers: entries taken out of their list, with everything that counts layers brought up to date.

Where the number of a layer means something (a stage that hands out its features, a position that is added half-way),
the list keeps its length, and the layer is emptied and hands on what it gets. That is no choice for layers with a cache
of keys and values, which would wait for the emptied layer's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from pruning.anatomy import Anatomy
from pruning.attention import on_this_thread
from pruning.errors import UnsupportedError
from pruning.gating import entry
from pruning.inputs import dry_run_inputs, run
from pruning.reload_code import bypass, drop_dangling_ties, remove_layers


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


def bypass_layers(twin: nn.Module, original: nn.Module, names: Collection[str]) -> None:
    """Empty layers of ``twin``, in place, after seeing how those of the original return what they get.

    Raises:
        UnsupportedError: A layer has a cache, or returns something else that it computes.
    """
    recipes = _watch_layers(original, names)
    for name in names:
        layer = twin.get_submodule(name)
        if any(isinstance(getattr(child, "layer_idx", None), int) for child in layer.modules()):
            raise UnsupportedError("{name} may keep keys and values, which those after it would miss", name=name)
        bypass(layer, recipes[name])


def _watch_layers(module: nn.Module, names: Collection[str]) -> dict[str, dict[str, Any]]:
    recipes: dict[str, dict[str, Any]] = {}

    def hook_of(name: str) -> Any:
        def hook(child: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            places = {id(value): place for place, value in [*enumerate(args), *kwargs.items()] if value is not None}
            y = output[0] if isinstance(output, tuple) else output
            x = entry(args, kwargs, y) if isinstance(y, Tensor) else None
            rest = list(output[1:]) if isinstance(output, tuple) else []
            if x is None or any(value is not None and id(value) not in places for value in rest):
                raise UnsupportedError("{name} returns something that others need", name=name)
            others = [places.get(id(value)) for value in rest] if isinstance(output, tuple) else None
            recipes[name] = {"input": places[id(x)], "rest": others}

        return hook

    handles = [
        module.get_submodule(name).register_forward_hook(on_this_thread(hook_of(name)), with_kwargs=True)
        for name in names
    ]
    try:
        with torch.no_grad():
            run(module, dry_run_inputs(module))
    finally:
        for handle in handles:
            handle.remove()
    missing = next((name for name in names if name not in recipes), None)
    if missing:
        raise UnsupportedError("{missing} did not run", missing=missing)
    return recipes


def layer_counts(module: nn.Module, path: str, count: int) -> tuple[Any, list[str]]:
    """The configuration behind a list of layers, and its attributes that count them or hold one value for each."""
    owners = (module.get_submodule(parent) for parent in _parents(path))  # the last is the model itself
    config = next(own for owner in owners if (own := getattr(owner, "config", None)) is not None)
    numbers = [name for name, value in vars(config).items() if _counts(name, value, count)]
    lists = [name for name, value in vars(config).items() if _lists(name, value, count)]
    if getattr(module.config, "is_encoder_decoder", False):
        numbers = _of_stack(path, numbers)
    return config, numbers + lists


def _of_stack(path: str, names: list[str]) -> list[str]:
    """Those that count the encoder's layers, or the decoder's; what names neither counts the decoder's only at need."""
    if "decoder" in path:
        return [n for n in names if "decoder" in n] or [n for n in names if "encoder" not in n]
    if "encoder" in path:
        return [n for n in names if "encoder" in n or "decoder" not in n]
    return names


def _counts(name: str, value: object, count: int) -> bool:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value == count
    return is_number and bool(re.search("layers?$|layers_num|depth$|blocks?$", name))


def _lists(name: str, value: object, count: int) -> bool:
    is_list = isinstance(value, (list, tuple)) and len(value) == count and not name.startswith("_")
    return is_list and bool(re.search("layer|type|depth|rope", name))


def _parents(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:i]) for i in range(len(parts) - 1, -1, -1)]


def _without(values: Any, gone: Collection[int]) -> Any:
    return type(values)(value for i, value in enumerate(values) if i not in gone)
