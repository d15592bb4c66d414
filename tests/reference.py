"""Independent implementations to compare the engine with: plain torch, its own hooks, nothing from `pruning.gating`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


Pair = tuple[dict[str, Any], int | None]  # model inputs and class of one example


def gate_gradients(
    module: nn.Module, projections: list[str], heads: int, examples: list[Pair], gate: float = 1.0
) -> np.ndarray:
    """∂ loss / ∂ gate with all gates at one value, one example at a time, ``(example, site, head)``."""
    gates = [torch.full((heads,), gate, requires_grad=True) for _ in projections]
    rows = []
    with multiplied(module, projections, gates):
        for features, target in examples:
            gradients = torch.autograd.grad(loss_of(module, features, target), gates)
            rows.append([gradient.double().numpy() for gradient in gradients])
    return np.array(rows)


def absolute_gradients(module: nn.Module, projections: list[str], heads: int, examples: list[Pair]) -> np.ndarray:
    """Mean over examples of |∂ loss / ∂ gate|, ``(site, head)``."""
    return np.abs(gate_gradients(module, projections, heads, examples)).mean(axis=0)


def gated_losses(
    module: nn.Module,
    projections: list[str],
    gates: np.ndarray,
    examples: list[Pair],
    fills: list[Tensor] | None = None,
) -> np.ndarray:
    """Loss of each example alone under gates ``(site, head)``, ``(example,)``; fills come in where gates are closed."""
    tensors = list(torch.tensor(gates, dtype=torch.float32))
    with multiplied(module, projections, tensors, fills), torch.no_grad():
        return np.array([float(loss_of(module, *example).double()) for example in examples])


def input_means(module: nn.Module, projections: list[str], examples: list[Pair]) -> list[Tensor]:
    """Mean over all tokens of all examples of each projection's input, ``(input,)`` each."""
    seen: dict[str, list[Tensor]] = {path: [] for path in projections}
    handles = [
        module.get_submodule(path).register_forward_pre_hook(
            lambda module, args, path=path: seen[path].append(args[0][0])
        )
        for path in projections
    ]
    with torch.no_grad():
        for example in examples:
            loss_of(module, *example)
    for handle in handles:
        handle.remove()
    return [torch.cat(seen[path]).mean(0) for path in projections]


@contextmanager
def multiplied(
    module: nn.Module, projections: list[str], gates: list[Tensor], fills: list[Tensor] | None = None
) -> Iterator[None]:
    """Multiply the input of each projection by the gates of its heads, for a while."""
    handles = [
        module.get_submodule(path).register_forward_pre_hook(_multiply_by(gate, fills[i] if fills else None))
        for i, (path, gate) in enumerate(zip(projections, gates, strict=True))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _multiply_by(gate: Tensor, fill: Tensor | None) -> Callable:
    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        heads = args[0].unflatten(-1, (len(gate), -1))  # (…, head, head_dim)
        instead = 0.0 if fill is None else (1 - gate[:, None]) * fill.view(len(gate), -1)
        return ((heads * gate[:, None] + instead).flatten(-2),)

    return hook


def ablations(
    build: Callable[[], nn.Module],
    projections: list[str],
    heads: int,
    head_dim: int,
    examples: list[Pair],
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
