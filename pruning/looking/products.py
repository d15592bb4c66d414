"""Attention of models that do not use transformers' attention interface: found by the product that it enters.

Whatever a class is called and whatever it hands out: attention weights are the factor, with rows that are shares, of
the product that becomes the input of the site's projection. What is shown is what mixed the values, or nothing is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruning.anatomy import AttentionSite
from pruning.attention import AttentionCall, attention_probabilities

MULTIPLY = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}
KERNEL = torch.nn.functional.scaled_dot_product_attention
REMEMBERED = 4  # products before a projection: they are made just before it
LAYOUTS = ((0, 2, 1, 3), (2, 0, 1, 3))  # (batch, head, query, dim) as a projection may read it
ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-4}  # of a row's sum; others are coarser
Weights = Callable[[], Tensor]


class Products(TorchFunctionMode):
    """Notes the last products of attention weights and values on this thread.

    Enter it around a forward pass; nothing is changed in what is computed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._noted: deque[tuple[Weights, Tensor]] = deque(maxlen=REMEMBERED)

    def __torch_function__(self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in MULTIPLY and len(args) == 2 and _are_shares(args[0]):
            factor = args[0]
            self._noted.append((lambda: factor, result))
        elif function is torch.einsum:
            self._note_sum(result, *args)
        elif function is KERNEL:
            call = _kernel_call(result, *args, **(kwargs or {}))
            self._noted.append((lambda: attention_probabilities(call), result))
        return result

    def _note_sum(self, result: Tensor, equation: Any, *operands: Any) -> None:
        """The same in letters: those of the weights, in their order, and one for the values' last dimension."""
        if len(operands) == 1 and isinstance(operands[0], tuple | list):
            operands = tuple(operands[0])
        letters = str(equation).replace(" ", "").split("->")
        if len(operands) != 2 or len(letters) != 2 or not _are_shares(operands[0]):
            return
        factor, (own, *_), out = operands[0], letters[0].split(","), letters[1]
        last = [letter for letter in out if letter not in own]
        if len(own) == factor.dim() and len(last) == 1 and sorted(out) == sorted((*own[:-1], *last)):
            self._noted.append((lambda: factor, result.permute([out.index(one) for one in (*own[:-1], *last)])))

    def found(self, site: AttentionSite, projected: Tensor) -> Tensor | None:
        """The attention weights ``(batch, head, query, key)`` whose product with the values is what is projected.

        Args:
            projected: The input of the site's projection, heads side by side.

        Raises:
            UnsupportedError: They were made by a kernel and cannot be recomputed.
        """
        width = site.heads * site.head_dim
        wanted = projected[..., :width].flatten()
        for weights, product in reversed(self._noted):
            if product.numel() != wanted.numel() or product.shape[-1] != site.head_dim:
                continue
            mixed = product.reshape(-1, site.heads, product.shape[-2], site.head_dim).to(wanted.dtype)
            if any(torch.equal(mixed.permute(layout).flatten(), wanted) for layout in LAYOUTS):
                self._noted.clear()
                found = weights()
                return found.reshape(-1, site.heads, *found.shape[-2:])
        return None


def _are_shares(factor: Any) -> bool:
    """Whether no entry is negative and every row adds up to one, or is empty because all of it is masked."""
    if not isinstance(factor, Tensor) or factor.dim() < 3 or not factor.is_floating_point() or not factor.numel():
        return False
    if not bool((factor >= 0).all()):
        return False
    sums = factor.float().sum(-1)
    return bool(((sums - 1).abs() < ROUNDING.get(factor.dtype, 2e-2)).logical_or(sums == 0).all())


def _kernel_call(
    result: Tensor, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *rest: Any, **more: Any
) -> AttentionCall:
    """PyTorch's own attention function, called directly, as a call of the interface."""
    options = dict(zip(("dropout_p", "is_causal", "scale"), rest, strict=False)) | more
    options = {"scaling": options.get("scale"), "is_causal": bool(options.get("is_causal", False))}
    return AttentionCall(nn.Identity(), query, key, value, attn_mask, result.transpose(1, 2), options)
