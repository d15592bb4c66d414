"""Independent implementations to compare the engine with: plain torch, its own hooks, nothing from `pruning.gating`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


def zero_columns(linear: nn.Module, columns: Iterable[int]) -> None:
    """Zero the weights that read some entries of a layer's input; `Conv1D` keeps its weight transposed."""
    weight = linear.weight.t() if type(linear).__name__ == "Conv1D" else linear.weight
    weight[:, list(columns)] = 0.0


def head_columns(head: int, head_dim: int) -> range:
    return range(head * head_dim, (head + 1) * head_dim)


def loss_of(module: nn.Module, features: dict[str, Any], target: int | None) -> Tensor:
    """Loss of one example alone: cross-entropy of its class, or the mean over its next tokens where it has no class."""
    inputs = {key: torch.as_tensor(value)[None] for key, value in features.items()}
    logits = module(**inputs).logits
    if target is not None:
        return cross_entropy(logits, torch.tensor([target]))
    return cross_entropy(logits[0, :-1], inputs["input_ids"][0, 1:])


def absolute_gradients(
    module: nn.Module, projections: list[str], heads: int, examples: list[tuple[dict[str, Any], int | None]]
) -> np.ndarray:
    """Mean over examples of |∂ loss / ∂ gate|, one example at a time, ``(site, head)``."""
    gates = [torch.ones(heads, requires_grad=True) for _ in projections]
    for path, gate in zip(projections, gates, strict=True):
        module.get_submodule(path).register_forward_pre_hook(_multiply_by(gate))
    total = np.zeros((len(projections), heads))
    for features, target in examples:
        loss_of(module, features, target).backward()
        for row, gate in zip(total, gates, strict=True):
            row += gate.grad.abs().double().numpy()
            gate.grad = None
    return total / len(examples)


def _multiply_by(gate: Tensor) -> Callable:
    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        heads = args[0].unflatten(-1, (len(gate), -1))  # (…, head, head_dim)
        return ((heads * gate[:, None]).flatten(-2),)

    return hook


def ablations(
    build: Callable[[], nn.Module],
    projections: list[str],
    heads: int,
    head_dim: int,
    examples: list[tuple[dict[str, Any], int | None]],
) -> np.ndarray:
    """Mean loss with a head's output weights at zero minus the mean loss with all, ``(site, head)``."""

    def mean_loss(module: nn.Module) -> float:
        with torch.no_grad():
            return float(np.mean([loss_of(module, *example).double() for example in examples]))

    whole = mean_loss(build())
    found = np.empty((len(projections), heads))
    for site, path in enumerate(projections):
        for head in range(heads):
            module = build()
            zero_columns(module.get_submodule(path), head_columns(head, head_dim))
            found[site, head] = mean_loss(module) - whole
    return found


def entropies(module: nn.Module, examples: list[dict[str, Any]]) -> np.ndarray:
    """Mean entropy of the attention weights that the model itself reports under eager attention, ``(site, head)``."""
    rows = []
    for features in examples:
        inputs = {key: torch.as_tensor(value)[None] for key, value in features.items()}
        with torch.no_grad():
            attentions = module(**inputs, output_attentions=True).attentions
        rows.append([-(p * p.clamp_min(1e-30).log()).sum(-1).mean(-1)[0].double().numpy() for p in attentions])
    return np.mean(rows, axis=0)
