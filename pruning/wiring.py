"""Which output rows of which linear layers feed each head's query, key and value.

Found by derivative rather than by name: the gradient of one head's query with respect to the outputs of the linear
layers before it is zero except at the rows that feed this head. That holds for separate, fused, interleaved and
transposed projections alike, and through rotary embeddings and per-head norms, which mix nothing between heads.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pruning.attention import AttentionCall, observed, on_this_thread
from pruning.errors import UnsupportedError
from pruning.inputs import dry_run_inputs, run
from pruning.probing import is_linear

if TYPE_CHECKING:
    from pruning.models import LoadedModel

Rows = tuple[tuple[str, tuple[int, ...]], ...]  # (path of a linear layer, its output rows)


@dataclass(frozen=True)
class Wiring:
    """The rows behind each query head and each key-value head of one site."""

    query: tuple[Rows, ...]
    key: tuple[Rows, ...]
    value: tuple[Rows, ...]


_FOUND: weakref.WeakKeyDictionary[nn.Module, tuple[Wiring, ...]] = weakref.WeakKeyDictionary()


def find_wiring(model: LoadedModel) -> tuple[Wiring, ...]:
    """The wiring of every site, found once per model by one dry run.

    Raises:
        UnsupportedError: A site does not use the attention interface, or its rows mix heads.
    """
    if model.module not in _FOUND:
        _FOUND[model.module] = _find(model)
    return _FOUND[model.module]


def _find(model: LoadedModel) -> tuple[Wiring, ...]:
    module, found = model.module, {}
    sites = {module.get_submodule(site.name): site for site in model.anatomy.sites}
    outputs: dict[str, Tensor] = {}

    def on_attention(call: AttentionCall) -> None:
        site = sites.get(call.module)
        if site is not None and site.name not in found:
            recent = dict(outputs)
            parts = [_rows(part, recent) for part in (call.query, call.key, call.value)]
            found[site.name] = Wiring(*parts)
        outputs.clear()

    handles = [
        child.register_forward_hook(on_this_thread(_leaf(path, outputs)))
        for path, child in module.named_modules()
        if is_linear(child)
    ]
    try:
        with torch.enable_grad(), observed(on_attention):
            run(module, dry_run_inputs(module))
    finally:
        for handle in handles:
            handle.remove()
    missing = next((site.name for site in model.anatomy.sites if site.name not in found), None)
    if missing:
        raise UnsupportedError(f"the query, key and value weights of {missing} cannot be told apart by a dry run")
    return tuple(found[site.name] for site in model.anatomy.sites)


def _leaf(path: str, outputs: dict[str, Tensor]) -> Any:
    """A hook that cuts the graph at a linear layer's output, so that derivatives reach back to it and no further."""

    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        outputs[path] = output.detach().requires_grad_()
        return outputs[path]

    return hook


def _rows(part: Tensor, outputs: dict[str, Tensor]) -> tuple[Rows, ...]:
    """The rows behind each head of ``part (batch, head, token, head_dim)``."""
    if not part.requires_grad:
        return tuple(() for _ in range(part.shape[1]))
    generator = torch.Generator(part.device).manual_seed(0)
    weights = torch.rand(part.shape[0], *part.shape[2:], generator=generator, device=part.device) + 0.5
    paths, tensors = list(outputs), list(outputs.values())
    rows = []
    for head in range(part.shape[1]):
        total = (part[:, head] * weights).sum()
        gradients = torch.autograd.grad(total, tensors, retain_graph=True, allow_unused=True)
        here = []
        for path, gradient in zip(paths, gradients, strict=True):
            if gradient is not None:
                touched = gradient.flatten(0, -2).abs().sum(0).nonzero().flatten().tolist()
                if touched:
                    here.append((path, tuple(touched)))
        rows.append(tuple(here))
    _check_disjoint(rows)
    return tuple(rows)


def _check_disjoint(rows: list[Rows]) -> None:
    seen: set[tuple[str, int]] = set()
    for head in rows:
        for path, indices in head:
            here = {(path, i) for i in indices}
            if here & seen:
                raise UnsupportedError(f"{path} mixes several heads in one row, so no weight belongs to one head alone")
            seen |= here
