"""Copies of a model that may be changed, while others run the original."""

from __future__ import annotations

import copy

import torch
from torch import nn

from pruning.gating import Slot


def twin_of(module: nn.Module, *, needs_gradients: bool = False) -> nn.Module:
    """A copy of the structure, without gates, that shares every weight with the original.

    Replace its weights, never change them in place.

    Args:
        needs_gradients: Let autograd reach the twin's weights; the original's flags stay as they are.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if needs_gradients:
        memo = {id(t): nn.Parameter(t.detach()) if t.is_floating_point() else t for t in module.parameters()}
        memo |= {id(t): t for t in module.buffers()}
    else:
        memo = {id(t): t for t in tensors}
    twin = copy.deepcopy(module, memo)
    for child in twin.modules():
        for hooks in (child._forward_pre_hooks, child._forward_hooks):
            ours = [key for key, hook in hooks.items() if isinstance(getattr(hook, "__self__", hook), Slot)]
            for key in ours:
                del hooks[key]
                child._forward_hooks_with_kwargs.pop(key, None)
    return twin


def with_own_weights(twin: nn.Module) -> nn.Module:
    """The twin with weights of its own; tied weights stay tied."""
    with torch.no_grad():
        return copy.deepcopy(twin)
