"""Watching attention: queries, keys, values and outputs of every call, without touching the model.

transformers routes the attention of most models through one lookup, ``AttentionInterface.get_interface``. It is wrapped
once for the process, does nothing by itself, and hands each call to the observer of the current context, if there is
one; what a context says is to run instead of an attention function runs in its place.
The implementation's name stays as it is, so the model goes on building the attention mask that belongs to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pruning.errors import UnsupportedError


@dataclass(frozen=True)
class AttentionCall:
    """One call of an attention function.

    Attributes:
        module: The attention module that made the call.
        query: ``(batch, head, query, head_dim)``, after rotation where there is one.
        key: ``(batch, kv_head, key, head_dim)``.
        value: ``(batch, kv_head, key, value_dim)``.
        mask: What the implementation received: boolean, additive or ``None``.
        output: ``(batch, query, head, value_dim)``.
        options: The remaining keyword arguments (``scaling``, ``is_causal``, …).
    """

    module: nn.Module
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    output: Tensor
    options: dict[str, Any]


Observer = Callable[[AttentionCall], None]
_OBSERVER: ContextVar[Observer | None] = ContextVar("headroom_attention_observer", default=None)
Around = Callable[[Callable[..., Any]], Callable[..., Any]]  # an attention function to another
_AROUND: ContextVar[Around | None] = ContextVar("headroom_attention_around", default=None)
_INSTALL_LOCK = threading.Lock()
_installed = False


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Call ``observer`` after every attention call made in this context, on this thread only."""
    _install()
    token = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(token)


@contextmanager
def replaced(around: Around) -> Iterator[None]:
    """Run what ``around`` makes of each attention function in this context, on this thread only."""
    _install()
    token = _AROUND.set(around)
    try:
        yield
    finally:
        _AROUND.reset(token)


def on_this_thread(hook: Callable) -> Callable:
    """A module hook that acts on the calling thread only: others may be running the same model at the same time."""
    return Watcher(hook, threading.get_ident())


@dataclass(frozen=True, eq=False)
class Watcher:
    """A hook that one thread has put into a model for a while: no part of the model, so no copy has it."""

    hook: Callable
    owner: int

    def __call__(self, *args: Any) -> Any:
        return self.hook(*args) if threading.get_ident() == self.owner else None


def _install() -> None:
    """Wrap the lookup once per process."""
    global _installed
    with _INSTALL_LOCK:
        if _installed:
            return
        from transformers.modeling_utils import AttentionInterface

        original = AttentionInterface.get_interface

        def get_interface(self: Any, *args: Any, **kwargs: Any) -> Callable:
            function = original(self, *args, **kwargs)
            observer, around = _OBSERVER.get(), _AROUND.get()
            function = function if around is None else around(function)
            return function if observer is None else _watched(function, observer)

        AttentionInterface.get_interface = get_interface
        _installed = True


def _watched(function: Callable, observer: Observer) -> Callable:
    def call(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        result = function(module, query, key, value, attention_mask, *args, **options)
        observer(AttentionCall(module, query, key, value, attention_mask, result[0], options))
        return result

    return call


def attention_probabilities(call: AttentionCall, tolerance: float = 1e-3) -> Tensor:
    """Attention weights ``(batch, head, query, key)``, recomputed from what the implementation received.

    They are checked against the call's own output, so that a variant with more to it (sinks, soft caps, added biases
    inside the kernel) is refused rather than shown wrongly.

    Raises:
        UnsupportedError: The weights do not reproduce the output.
    """
    query, key, value = (t.float() for t in (call.query, call.key, call.value))
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scaling = call.options.get("scaling")
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    bias = call.options.get("position_bias")  # T5's own, added to the scores by the implementation
    if bias is not None:
        scores = scores + bias[..., : scores.shape[-1]].float()
    scores = _masked(scores, call)
    weights = torch.nan_to_num(scores.softmax(-1))
    expected = call.output.float()
    error = float((weights @ value).transpose(1, 2).reshape(expected.shape).sub(expected).abs().max())
    limit = tolerance * max(1.0, float(expected.abs().max())) * (1 if call.output.dtype == torch.float32 else 30)
    if not error <= limit:
        raise UnsupportedError(
            "the attention weights of {module} cannot be recomputed (difference {error:.1e}): choose a criterion that "
            "does not look at attention weights",
            module=type(call.module).__name__,
            error=error,
        )
    return weights


def _masked(scores: Tensor, call: AttentionCall) -> Tensor:
    lowest = torch.finfo(scores.dtype).min
    if call.mask is not None:
        mask = call.mask[..., : scores.shape[-1]]
        return scores.masked_fill(~mask, lowest) if mask.dtype == torch.bool else scores + mask.float()
    causal = call.options.get("is_causal")
    if causal is None:
        causal = getattr(call.module, "is_causal", False)
    length = scores.shape[-2]
    if causal and length > 1:
        future = torch.ones(length, scores.shape[-1], dtype=torch.bool, device=scores.device).tril().logical_not()
        return scores.masked_fill(future, lowest)
    return scores
