"""Taking rows and columns out of linear layers, whichever way round their weight is stored."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn


def is_transposed(layer: nn.Module) -> bool:
    """Whether the weight is ``(in, out)``, as in transformers' ``Conv1D``, and not ``(out, in)``."""
    return type(layer).__name__ == "Conv1D"


def drop_outputs(layer: nn.Module, rows: Collection[int]) -> None:
    """Remove output features, with their biases."""
    keep = _kept(layer, rows, 1 if is_transposed(layer) else 0)
    layer.weight = _taken(layer.weight, keep, 1 if is_transposed(layer) else 0)
    if getattr(layer, "bias", None) is not None:
        layer.bias = _taken(layer.bias, keep, 0)
    for name in ("out_features", "nf"):
        if hasattr(layer, name):
            setattr(layer, name, len(keep))


def drop_inputs(layer: nn.Module, columns: Collection[int]) -> None:
    """Remove input features; the bias belongs to the outputs and stays."""
    keep = _kept(layer, columns, 0 if is_transposed(layer) else 1)
    layer.weight = _taken(layer.weight, keep, 0 if is_transposed(layer) else 1)
    for name in ("in_features", "nx"):
        if hasattr(layer, name):
            setattr(layer, name, len(keep))


def zero_inputs(layer: nn.Module, columns: Collection[int]) -> None:
    """Make the layer blind to input features, without removing them."""
    index = torch.tensor(sorted(columns), device=layer.weight.device)
    weight = layer.weight.detach().clone()
    weight.index_fill_(0 if is_transposed(layer) else 1, index, 0.0)
    layer.weight = nn.Parameter(weight, requires_grad=layer.weight.requires_grad)


def _kept(layer: nn.Module, dropped: Collection[int], dim: int) -> Tensor:
    gone = set(dropped)
    kept = [i for i in range(layer.weight.shape[dim]) if i not in gone]
    return torch.tensor(kept, device=layer.weight.device)


def _taken(parameter: Tensor, index: Tensor, dim: int) -> nn.Parameter:
    taken = parameter.detach().index_select(dim, index).clone().contiguous()
    return nn.Parameter(taken, requires_grad=parameter.requires_grad)
