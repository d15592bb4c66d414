"""Rebuilds a pruned transformer from its recipe. Part of the checkpoint; needs only torch and transformers."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class PaddedOutputs:
    """A linear layer without some of its output features: what follows sees zeros in their places."""

    output_places: Tensor
    output_recipe: dict[str, Any]

    def forward(self: Any, x: Tensor) -> Tensor:
        y = nn.functional.pad(super().forward(x), (0, 1))  # type: ignore[misc]
        return y.index_select(-1, self.output_places.to(y.device))


class GatheredInputs:
    """A linear layer that reads only some of the features that arrive."""

    input_places: Tensor
    input_recipe: dict[str, Any]

    def forward(self: Any, x: Tensor) -> Tensor:
        if len(self.input_places):
            return super().forward(x.index_select(-1, self.input_places.to(x.device)))  # type: ignore[misc]
        bias = getattr(self, "bias", None)
        width = self.weight.shape[1] if type(self).__name__ == "Conv1D" else self.weight.shape[0]
        nothing = x.new_zeros(*x.shape[:-1], width)
        return nothing if bias is None else nothing + bias


class Bypassed:
    """A layer whose weights are gone: what comes in goes out, in the form that the code around it expects."""

    bypass_recipe: dict[str, Any]

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        def pick(place: int | str | None) -> Any:
            return None if place is None else args[place] if isinstance(place, int) else kwargs[place]

        x, rest = pick(self.bypass_recipe["input"]), self.bypass_recipe["rest"]
        return x if rest is None else (x, *map(pick, rest))


def bypass(layer: Any, recipe: dict[str, Any]) -> None:
    """Empty a layer, and let it hand on its input.

    Args:
        recipe: ``input``: position or name of the hidden states among the arguments; ``rest``: the same for what else
            the layer returns, ``null`` for ``None``; itself ``null`` where the layer returns a tensor alone.
    """
    for name in list(layer._modules):
        delattr(layer, name)
    for name in [*layer._parameters, *layer._buffers]:
        delattr(layer, name)
    layer.bypass_recipe = recipe
    _mix_in(layer, Bypassed)


def pad_outputs(layer: Any, places: list[int], width: int) -> None:
    """Spread the outputs over ``width`` features: output i goes to ``places[i]``, the rest is zero."""
    index = torch.full((width,), len(places), dtype=torch.long, device="cpu")
    index[torch.tensor(places, dtype=torch.long, device="cpu")] = torch.arange(len(places), device="cpu")
    layer.output_places = index
    layer.output_recipe = {"width": width, "places": ranges(places)}
    _mix_in(layer, PaddedOutputs)


def gather_inputs(layer: Any, places: list[int]) -> None:
    """Read only the features ``places`` of what arrives."""
    layer.input_places = torch.tensor(places, dtype=torch.long, device="cpu")
    layer.input_recipe = {"places": ranges(places)}
    _mix_in(layer, GatheredInputs)


def _mix_in(layer: Any, kind: type) -> None:
    """Give one layer, not its class, another way to run; the name stays, because transformers looks at names."""
    old = type(layer)
    layer.__class__ = type(old.__name__, (kind, old), {"__module__": old.__module__})


def ranges(numbers: list[int]) -> list[list[int]]:
    """``[3, 4, 5, 9]`` as ``[[3, 6], [9, 10]]``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1][1] += 1
        else:
            found.append([number, number + 1])
    return found


def listed(pairs: list[list[int]]) -> list[int]:
    """The inverse of `ranges`."""
    return [number for start, stop in pairs for number in range(start, stop)]


def set_parameter(model: nn.Module, path: str, shape: list[int]) -> None:
    """Give a parameter another shape, and the linear layer that it belongs to its new sizes."""
    owner, _, name = path.rpartition(".")
    layer = model.get_submodule(owner)
    old = layer.weight if getattr(layer, name, None) is None else getattr(layer, name)
    setattr(layer, name, nn.Parameter(torch.empty(shape, dtype=old.dtype, device=old.device)))
    if name == "weight" and len(shape) == 2:
        inputs, outputs = shape if type(layer).__name__ == "Conv1D" else reversed(shape)
        for attribute, size in (("in_features", inputs), ("nx", inputs), ("out_features", outputs), ("nf", outputs)):
            if hasattr(layer, attribute):
                setattr(layer, attribute, size)


def remove_layers(layers: Any, gone: list[int]) -> None:
    """Take layers out of a list, and number those that stay anew for the cache of keys and values."""
    for index in sorted(gone, reverse=True):
        for layer in layers[index + 1 :]:
            for module in layer.modules():
                for name in ("layer_idx", "layer_id", "layer_index", "block_idx"):
                    number = getattr(module, name, None)
                    if isinstance(number, int) and not isinstance(number, bool) and number > 0:
                        setattr(module, name, number - 1)
        del layers[index]


def drop_dangling_ties(model: nn.Module) -> None:
    """Forget that weights are tied to those of layers that are gone."""
    for module in model.modules():
        tied = getattr(module, "all_tied_weights_keys", None)
        if isinstance(tied, dict):
            names = {name for name, _ in module.named_parameters(remove_duplicate=False)}
            module.all_tied_weights_keys = {a: b for a, b in tied.items() if a in names and b in names}


def full_config(config: Any, recipe: dict[str, Any]) -> Any:
    """The configuration with which the original was built."""
    full = copy.deepcopy(config)
    for path, attributes in recipe["build"].items():
        part = getattr(full, path) if path else full
        for name, value in attributes.items():
            setattr(part, name, value)
    return full


def shorten_config(full: Any, config: Any, recipe: dict[str, Any]) -> None:
    """Let the finished model, which holds ``full`` everywhere, count the layers that it has."""
    for path, attributes in recipe["build"].items():
        part, short = (getattr(full, path), getattr(config, path)) if path else (full, config)
        for name in attributes:
            setattr(part, name, getattr(short, name))


def apply_recipe(model: nn.Module, recipe: dict[str, Any], prefix: str = "") -> None:
    """Give a freshly built original the shapes of the pruned model, before its weights are loaded.

    Args:
        recipe: What was changed, by the paths of the pruned model.
        prefix: Part of each path that this model does not have, because it is the inner model alone.
    """

    def inside(part: str) -> list[tuple[str, Any]]:
        return [(path[len(prefix) :], value) for path, value in recipe[part].items() if path.startswith(prefix)]

    for path, gone in inside("removed_layers"):
        remove_layers(model.get_submodule(path), gone)
        drop_dangling_ties(model)
    for path, value in inside("bypassed"):
        bypass(model.get_submodule(path), value)
    for path, shape in inside("parameters"):
        set_parameter(model, path, shape)
    for path, attributes in inside("attributes"):
        for name, value in attributes.items():
            setattr(model.get_submodule(path), name, value)
    for path, attributes in inside("configs"):
        module: Any = model.get_submodule(path)
        module.config = copy.copy(module.config)
        for name, value in attributes.items():
            setattr(module.config, name, value)
    for path, value in inside("padded"):
        pad_outputs(model.get_submodule(path), listed(value["places"]), value["width"])
    for path, value in inside("gathered"):
        gather_inputs(model.get_submodule(path), listed(value["places"]))
