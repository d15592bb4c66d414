"""Copies of a model that may be changed, while others run the original."""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import nn

from pruning.attention import Watcher
from pruning.gating import Slot

FLAGS = ("_forward_pre_hooks_with_kwargs", "_forward_hooks_with_kwargs", "_forward_hooks_always_called")


def twin_of(module: nn.Module, *, needs_gradients: bool = False) -> nn.Module:
    """A copy of the structure, without gates, that shares every weight with the original.

    Replace its weights, never change them in place.

    Args:
        needs_gradients: Let autograd reach the twin's weights; the original's flags stay as they are.
    """
    memo: dict[int, object]
    if needs_gradients:
        memo = {id(t): nn.Parameter(t.detach()) if t.is_floating_point() else t for t in module.parameters()}
        memo |= {id(t): t for t in module.buffers()}
    else:
        memo = {id(t): t for t in (*module.parameters(), *module.buffers())}
    _settle_hooks(module, memo)
    return copy.deepcopy(module, memo)


def _settle_hooks(module: nn.Module, memo: dict[int, object]) -> None:
    """Say what the copy's hooks are, before it is made: other threads put theirs in and take them out meanwhile."""
    own: list[tuple[OrderedDict[int, object], list[tuple[int, object]]]] = []
    for child in module.modules():
        kept: set[int] = set()
        for hooks in (child._forward_pre_hooks, child._forward_hooks):
            found = [(key, hook) for key, hook in list(hooks.items()) if not _is_ours(hook)]
            kept.update(key for key, _ in found)
            copied = memo[id(hooks)] = OrderedDict[int, object]()
            own.append((copied, found))
        for name in FLAGS:
            flags = getattr(child, name)
            memo[id(flags)] = OrderedDict((key, flag) for key, flag in list(flags.items()) if key in kept)
    for copied, found in own:  # at last, since a hook may belong to a module
        copied.update(copy.deepcopy(found, memo))


def _is_ours(hook: object) -> bool:
    """Whether it is a gate, or something that looks on for a while."""
    return isinstance(getattr(hook, "__self__", hook), Slot | Watcher)


def with_own_weights(twin: nn.Module) -> nn.Module:
    """The twin with weights of its own; tied weights stay tied."""
    with torch.no_grad():
        return copy.deepcopy(twin)
