"""The size of a weight times the norm of its input.

Sun, Liu, Bair & Kolter, "A Simple and Effective Pruning Approach for Large Language Models", ICLR 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.unstructured.base import WeightContext, WeightScore, register

if TYPE_CHECKING:
    from torch import Tensor


@register
@dataclass(frozen=True)
class Wanda(WeightScore):
    """|w_ij| · ‖x_j‖₂, the norm over all tokens of all examples."""

    name = "wanda"
    label = "Wanda"
    compare = "row"
    needs_data = True
    about = "A weight counts by its size and by the size of what it multiplies. It needs data, but no labels."
    reference = "Sun, Liu, Bair & Kolter, A Simple and Effective Pruning Approach for Large Language Models, ICLR 2024"

    def __call__(self, context: WeightContext) -> dict[str, Tensor]:
        norms = input_norms(context)
        return {path: context.weight(path).abs() * norms[path].to(context.weight(path)) for path in context.paths}


def input_norms(context: WeightContext) -> dict[str, Tensor]:
    """Norm of each input feature of each layer over all tokens, ``(in,)``."""
    import torch

    from pruning.tasks import forward

    squares: dict[str, Tensor] = {}

    def watching(path: str) -> Any:
        def hook(layer: Any, args: tuple[Any, ...]) -> None:
            found = args[0].detach().double().flatten(0, -2).square().sum(0)
            squares[path] = squares[path] + found if path in squares else found

        return hook

    handles = [context.module.get_submodule(p).register_forward_pre_hook(watching(p)) for p in context.paths]
    try:
        with torch.no_grad():
            for batch in context.batches():
                forward(context.module, batch)
    finally:
        for handle in handles:
            handle.remove()
    nothing = {path: context.weight(path).new_zeros(context.weight(path).shape[1]) for path in context.paths}
    return nothing | {path: found.sqrt() for path, found in squares.items()}
