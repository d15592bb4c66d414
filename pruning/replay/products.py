"""The quicker of the two libraries that torch multiplies float32 matrices with on a CPU.

torch sends float32 products to MKL, which is the slower one on some processors; half precision goes to oneDNN. Its
product of a linear layer is reached as inductor reaches it. Which one is quicker here is tried once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import linear

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]

ROWS, WIDTH, OUT = 256, 768, 1536  # of the product that is tried
LEAST_ROWS = 256  # with fewer there is nothing to gain, and every new shape costs oneDNN half a millisecond once
ROUNDS = 7
LEAST_GAIN = 1.05  # less is noise, and the usual product is the one that others compare with


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight.T + bias`` as `torch.nn.functional.linear`, to rounding; without gradients where it can be quicker.

    Args:
        x: ``(..., in)``.
        weight: ``(out, in)``.
        bias: ``(out,)`` or ``None``.
    """
    plain = torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype is not torch.float32
    few = x.numel() < LEAST_ROWS * x.shape[-1] or not weight.numel()
    if plain or few or weight.dtype is not torch.float32:
        return linear(x, weight, bias)
    return _quicker()(x, weight, bias)


def _one_dnn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")


@cache
def _quicker() -> Product:
    """oneDNN's product where this build of torch has it, it is right, and it is quicker by more than noise."""
    if not torch.backends.mkldnn.is_available():
        return linear
    draw = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(rows, WIDTH, generator=draw) for rows in (ROWS, OUT))
    bias = torch.randn(OUT, generator=draw)
    try:
        if not torch.allclose(_one_dnn(x, weight, bias), linear(x, weight, bias), rtol=1e-4, atol=1e-3):
            return linear
    except (AttributeError, RuntimeError):  # an operator of another version of torch
        return linear
    best: dict[Product, float] = {linear: float("inf"), _one_dnn: float("inf")}
    for _ in range(ROUNDS):
        for one in best:
            began = time.perf_counter()
            one(x, weight, bias)
            best[one] = min(best[one], time.perf_counter() - began)
    return _one_dnn if best[linear] >= LEAST_GAIN * best[_one_dnn] else linear
