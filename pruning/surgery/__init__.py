"""From a mask to a smaller model: weights really gone, on a copy, and checked against the masked original."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from pruning.errors import UnsupportedError
from pruning.gating import Slot, gated
from pruning.inputs import dry_run_inputs, run
from pruning.masks import Mask
from pruning.surgery.heads import cut_heads, whole_groups
from pruning.wiring import find_wiring

if TYPE_CHECKING:
    from pruning.models import LoadedModel

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}  # of the largest output


@dataclass(frozen=True, eq=False)
class PrunedModel:
    """A smaller copy of a model.

    Attributes:
        mask: What was really removed, in the coordinates of the original.
        parameters: Of the copy.
        difference: Largest difference between the masked original's output and the copy's, relative to the largest
            output where that is above one.
    """

    module: nn.Module
    mask: Mask
    parameters: int
    difference: float


def prune(model: LoadedModel, mask: Mask) -> PrunedModel:
    """Cut the masked heads out of a copy of the model.

    Under grouped-query attention only whole groups can go: heads of a group that is not removed whole stay. The copy is
    run beside the masked original on inputs made from the configuration; they must agree.

    Raises:
        MaskError: The mask does not fit the model.
        UnsupportedError: Neurons or layers are masked, the weights of single heads cannot be told apart, or the copy
            does not do what the masked model does.
    """
    mask.check(model.anatomy)
    if mask.neurons or mask.layers:
        raise UnsupportedError("only heads can be cut out so far, not neurons or layers")
    wiring = find_wiring(model)
    mask = whole_groups(mask, model.anatomy)
    module = _copy_without_gates(model.module)
    cut_heads(module, model.anatomy, wiring, mask)
    difference = _difference(model, mask, module)
    return PrunedModel(module, mask, sum(p.numel() for p in module.parameters()), difference)


def _copy_without_gates(module: nn.Module) -> nn.Module:
    """A deep copy, without the hooks that gate the original."""
    twin = copy.deepcopy(module)
    for child in twin.modules():
        for hooks in (child._forward_pre_hooks, child._forward_hooks):
            ours = [key for key, hook in hooks.items() if isinstance(getattr(hook, "__self__", hook), Slot)]
            for key in ours:
                del hooks[key]
                child._forward_hooks_with_kwargs.pop(key, None)
    return twin


def _difference(model: LoadedModel, mask: Mask, module: nn.Module) -> float:
    """Masked original against copy, on the dry run's inputs.

    Raises:
        UnsupportedError: They differ by more than rounding, or the copy does not run.
    """
    inputs = dry_run_inputs(module)
    with torch.no_grad():
        with gated(model, mask) as original:
            expected = run(original, inputs).float()
        try:
            found = run(module, inputs).float()
        except (RuntimeError, ValueError, IndexError) as error:
            raise UnsupportedError(f"{type(module).__name__} does not run with fewer heads: {error}") from error
    difference = float((found - expected).abs().max()) / max(1.0, float(expected.abs().max()))
    if not difference <= TOLERANCE.get(next(module.parameters()).dtype, 1e-5):
        raise UnsupportedError(
            f"cutting heads out of {type(module).__name__} changes its output by {difference:.1e} against the masked "
            "model: this architecture needs more than the general rule"
        )
    return difference
