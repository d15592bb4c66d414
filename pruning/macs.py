"""Multiply-accumulate operations (MACs) of one forward pass."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from pruning.inputs import dry_run_inputs, run

COUNTED_TOKENS = 128


def count_macs(module: nn.Module, tokens: int = COUNTED_TOKENS) -> tuple[int, str]:
    """Multiply-accumulates of one example, counted by torch's own counter, and what the example was.

    The counter knows neither the attention kernel that torch uses on a CPU nor the product of a mixture's experts: it
    is told here.
    """
    from torch.utils.flop_counter import FlopCounterMode

    inputs = counted_inputs(module, tokens)
    kernels = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
        torch.ops.aten._grouped_mm: _experts_flops,
    }
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=kernels) as counter:
        run(module, inputs)
    main = next(iter(inputs.values()))
    shape = " × ".join(map(str, main.shape[1:]))
    unit = "tokens" if main.dim() == 2 else "input"
    return math.ceil(counter.get_total_flops() / 2), f"1 × {shape} {unit}"


def counted_inputs(module: nn.Module, tokens: int) -> dict[str, Tensor]:
    """Inputs of so many tokens, or of fewer where the model has fewer positions than its configuration says."""
    for length in (tokens, tokens // 2, tokens // 4):
        inputs = dry_run_inputs(module, length)
        try:
            with torch.no_grad():
                run(module, inputs)
        except (IndexError, RuntimeError, ValueError):
            continue
        return inputs
    return dry_run_inputs(module)


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Scores and weighted values of shapes ``(batch, head, token, width)``; a multiply-accumulate is two operations."""
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[-2] * (width + value[-1])


def _experts_flops(vectors: torch.Size, weights: torch.Size, *_: Any, **__: Any) -> int:
    """Vectors ``(pair of token and expert, in)``, each times the ``(in, out)`` weight of its own expert."""
    return 2 * math.prod(vectors) * weights[-1]
