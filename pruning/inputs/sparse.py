"""Models that attend sparsely to long inputs and fully to short ones.

transformers turns a BigBird over to full attention at the first short input, for good: what comes out of a long input
then depends on what ran before. Here each input is read as by a model that has just been loaded.
"""

from __future__ import annotations

import threading
from typing import Any

from torch import nn

SPARSE = "block_sparse"
_ONE_AT_A_TIME = threading.RLock()  # the turn replaces modules that all threads share


def stay_sparse(module: nn.Module) -> None:
    """After every run, turn each part of a model that is sparse now back to sparse attention."""
    for child in module.modules():
        if getattr(child, "attention_type", None) == SPARSE and hasattr(child, "main_input_name"):
            child.register_forward_pre_hook(_begin)
            child.register_forward_hook(_end, always_call=True)


def _begin(*_: Any) -> None:
    _ONE_AT_A_TIME.acquire()


def _end(module: nn.Module, *_: Any) -> None:
    try:
        module.set_attention_type(SPARSE)  # type: ignore[operator]
    finally:
        _ONE_AT_A_TIME.release()
