"""Linear layers: telling them from others, and taking rows and columns out, however the weight is stored."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from pruning.reload_code import gather_inputs, pad_outputs


def is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)


def is_transposed(layer: nn.Module) -> bool:
    """Whether the weight is ``(in, out)``, as in transformers' ``Conv1D``, and not ``(out, in)``."""
    return type(layer).__name__ == "Conv1D"


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is its weight and bias and nothing else, as one that is quantised or adapted is not."""
    return type(layer) is nn.Linear or type(layer).__name__ == "Conv1D"


def by_output(layer: nn.Module) -> Tensor:
    """The weight as ``(out, in)``, however it is stored."""
    return layer.weight.t() if is_transposed(layer) else layer.weight


def fan(layer: nn.Module) -> tuple[int, int]:
    """``(in_features, out_features)`` of the weight."""
    rows, columns = layer.weight.shape
    return (rows, columns) if is_transposed(layer) else (columns, rows)


def drop_outputs(layer: nn.Module, gone: Collection[int], shift: Collection[int]) -> None:
    """Remove output features, with their biases.

    Args:
        gone: Features whose weights go.
        shift: Those of them that are not seen afterwards; the others are seen as zeros in their old order.
    """
    width = fan(layer)[1]
    keep = [i for i in range(width) if i not in gone]
    dim = 1 if is_transposed(layer) else 0
    layer.weight = taken(layer.weight, keep, dim)
    if getattr(layer, "bias", None) is not None:
        layer.bias = taken(layer.bias, keep, 0)
    _set(layer, ("out_features", "nf"), len(keep))
    seen = [i for i in range(width) if i not in shift]
    if len(seen) != len(keep):
        place = {old: new for new, old in enumerate(seen)}
        pad_outputs(layer, [place[i] for i in keep], len(seen))


def drop_inputs(layer: nn.Module, gone: Collection[int], shift: Collection[int]) -> None:
    """Remove input features; the bias belongs to the outputs and stays.

    Args:
        gone: Features whose weights go.
        shift: Those of them that do not arrive any more; the others arrive and are left out.
    """
    width = fan(layer)[0]
    keep = [i for i in range(width) if i not in gone]
    layer.weight = taken(layer.weight, keep, 0 if is_transposed(layer) else 1)
    _set(layer, ("in_features", "nx"), len(keep))
    arriving = [i for i in range(width) if i not in shift]
    if len(arriving) != len(keep) or not keep:
        place = {old: new for new, old in enumerate(arriving)}
        gather_inputs(layer, [place[i] for i in keep])


def taken(parameter: Tensor, keep: Collection[int], dim: int) -> nn.Parameter:
    """A new parameter with some indices of one dimension."""
    index = torch.tensor(list(keep), dtype=torch.long, device=parameter.device)
    return nn.Parameter(parameter.detach().index_select(dim, index).contiguous(), requires_grad=parameter.requires_grad)


def _set(layer: nn.Module, names: tuple[str, ...], size: int) -> None:
    for name in names:
        if hasattr(layer, name):
            setattr(layer, name, size)
