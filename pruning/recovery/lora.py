"""Low-rank updates of linear layers, put in by peft and merged again, so that an ordinary module remains."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import nn

from pruning.errors import UnsupportedError
from pruning.reload_code import GatheredInputs, PaddedOutputs


def adaptable(module: nn.Module) -> list[str]:
    """Paths of the linear layers that can have a low-rank update.

    Not the output embeddings, nor weights that several layers share, nor layers that a cut has left without weights or
    with outputs or inputs that are put elsewhere.
    """
    getter = getattr(module, "get_output_embeddings", None)
    vocabulary = getter() if getter else None
    owners = Counter(id(p) for _, p in module.named_parameters(remove_duplicate=False))
    return [
        path
        for path, child in module.named_modules()
        if type(child).__name__ in ("Linear", "Conv1D")
        and child is not vocabulary
        and not isinstance(child, (GatheredInputs, PaddedOutputs))
        and child.weight.numel()
        and owners[id(child.weight)] == 1
    ]


def adapt(module: nn.Module, rank: int) -> Callable[[], None]:
    """Put low-rank updates of zero into a module and freeze everything else (Hu et al., ICLR 2022).

    Args:
        rank: Of each update; its scale is the usual 2.

    Returns:
        What merges the updates into the weights and takes peft's layers out again.

    Raises:
        UnsupportedError: No linear layer can have one.
    """
    from peft import LoraConfig, LoraModel

    paths = adaptable(module)
    if not paths:
        raise UnsupportedError(
            "{model} has no linear layer for low-rank updates: use fine-tune", model=type(module).__name__
        )
    config: Any = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="|".join(map(re.escape, paths)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft finds out about GPT-2's transposed layers, and says so for each
        tuner = LoraModel(module, config, "default")

    def merge() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tuner.merge_and_unload()

    return merge
