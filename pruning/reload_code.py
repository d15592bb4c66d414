"""Rebuilds a pruned transformer from its recipe. Part of the checkpoint; needs only torch and transformers."""

import torch
from torch import nn


def apply_recipe(model: nn.Module, recipe: dict, prefix: str = "") -> None:
    """Give the layers that were cut their new shapes, before their weights are loaded.

    Args:
        recipe: ``shapes``: path of a layer to the shape of its weight; ``attributes``: path of a module to the
            attributes that count its heads.
        prefix: Part of each path that this model does not have, because it is the inner model alone.
    """
    for path, shape in recipe["shapes"].items():
        layer = model.get_submodule(path.removeprefix(prefix))
        layer.weight = nn.Parameter(torch.empty(shape, dtype=layer.weight.dtype, device=layer.weight.device))
        transposed = type(layer).__name__ == "Conv1D"
        inputs, outputs = shape if transposed else reversed(shape)
        if getattr(layer, "bias", None) is not None:
            layer.bias = nn.Parameter(torch.empty(outputs, dtype=layer.bias.dtype, device=layer.bias.device))
        for name, value in (("in_features", inputs), ("nx", inputs), ("out_features", outputs), ("nf", outputs)):
            if hasattr(layer, name):
                setattr(layer, name, value)
    for path, attributes in recipe["attributes"].items():
        for name, value in attributes.items():
            setattr(model.get_submodule(path.removeprefix(prefix)), name, value)
