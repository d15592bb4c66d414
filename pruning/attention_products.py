"""Attention weights of any model: by transformers' attention interface, or else by the product that they enter.

Whatever a class is called and whatever it hands out: attention weights are the factor, with rows that are shares, of
the product that becomes the input of the site's projection. What is shown is what mixed the values, or nothing is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruning.anatomy import AttentionSite
from pruning.attention import AttentionCall, attention_probabilities, observed, on_this_thread
from pruning.errors import UnsupportedError

MULTIPLY = {torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__}
KERNEL = torch.nn.functional.scaled_dot_product_attention
REMEMBERED = 4  # products before a projection: they are made just before it
LAYOUTS = ((0, 2, 1, 3), (2, 0, 1, 3))  # (batch, head, query, dim) as a projection may read it
ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-4}  # of a row's sum; others are coarser
Weights = Callable[[], Tensor]


@contextmanager
def attention_seen(
    module: nn.Module,
    sites: Iterable[AttentionSite],
    take: Callable[[AttentionSite, Tensor], object],
    refuse: Callable[[AttentionSite], object],
) -> Iterator[None]:
    """Hand on the attention weights of some sites whenever the model runs in this context, on this thread.

    What goes through the interface is recomputed from what it received; other weights are those whose product with the
    values enters the site's projection.

    Args:
        take: Gets a site and its weights ``(batch, head, query, key)``, a call after the other.
        refuse: Gets a site that ran while its weights could not be seen.
    """
    seeing = _Seeing(module, sites, take, refuse)
    with ExitStack() as stack:
        for site in seeing.owners.values():
            if site.projection:
                hook = on_this_thread(partial(seeing.on_projection, site))  # before any gate changes its input
                handle = module.get_submodule(site.projection).register_forward_pre_hook(hook, prepend=True)
                stack.callback(handle.remove)
        stack.enter_context(observed(seeing.on_call))
        stack.enter_context(seeing.products)
        yield


class _Seeing:
    """What was seen so far."""

    def __init__(self, module: nn.Module, sites: Iterable[AttentionSite], take: Any, refuse: Any) -> None:
        self.owners = {module.get_submodule(site.name): site for site in sites}
        self.take, self.refuse = take, refuse
        self.products = Products()
        self.by_interface: set[int] = set()

    def on_call(self, call: AttentionCall) -> None:
        """Of the attention interface."""
        site = self.owners.get(call.module)
        if site is None:
            return
        try:
            weights = attention_probabilities(call)
        except UnsupportedError:  # the product may still be found
            return
        self.by_interface.add(site.index)
        self.take(site, weights)

    def on_projection(self, site: AttentionSite, _: nn.Module, args: tuple[Any, ...]) -> None:
        """What mixed the values is seen when the mixture is projected."""
        if site.index in self.by_interface:
            return
        try:
            weights = self.products.found(site, args[0]) if args else None
        except UnsupportedError:
            weights = None
        if weights is None:
            self.refuse(site)
        else:
            self.take(site, weights.float())


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
