"""Weight magnitude of a unit.

Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015, for single weights;
here the L2 norm over all weights that belong to the unit (Li et al., ICLR 2017, rank filters so, by the L1 norm).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.importance.watching import kept_units
from pruning.importance.weights import by_unit, projection_columns
from pruning.masks import HeadId

if TYPE_CHECKING:
    from torch import Tensor, nn

Size = Callable[["Tensor"], "Tensor"]  # what a weight adds to a unit's sum, element by element


@register
@dataclass(frozen=True)
class Magnitude(Criterion):
    """Square root of the sum of squares of the unit's weights, without biases.

    A head's are its query, key, value and output weights, a neuron's those of the layers that feed it and its column
    of the projection, a layer's all its matrices. Key and value weights that several query heads share count for each.
    """

    name = "magnitude"
    label = "Weight magnitude"
    unit = "L2 norm of the weights"
    direction = "high"
    signed = False
    needs_data = False
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "reading the weights once"
    per_example = False
    about = (
        "The size of all the weights that belong to a head, neuron or layer: for a head query, key, value and output. "
        "It needs no data, and often says little, because large weights can cancel and small ones can decide."
    )
    reference = "Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017 (structured magnitude)"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        return np.sqrt(weight_sums(context, lambda weight: weight.square()))


def weight_sums(context: ScoringContext, size: Size, source: nn.Module | None = None) -> np.ndarray:
    """Sums over the weights that belong to each unit, ``(unit,)``; 0 for what is removed.

    Args:
        source: A copy of the model's structure with other numbers in the places of its weights.

    Raises:
        UnsupportedError: The weights of the units cannot be told apart.
    """
    by_scope = {"heads": _head_sums, "neurons": _neuron_sums, "layers": _layer_sums}
    sums = []
    for found in by_scope[context.scope](context, lambda weight: size(weight.double()), source):
        sums.append(found.cpu().numpy())
        context.progress(len(sums), len(context.sizes))
    return np.concatenate(sums) * kept_units(context)


def _head_sums(context: ScoringContext, size: Size, source: nn.Module | None) -> Iterator[Tensor]:
    from pruning.linear import by_output
    from pruning.wiring import find_wiring

    module, wiring = source or context.model.module, find_wiring(context.model)
    wiring.require(context.model.anatomy.sites)
    for site in context.model.anatomy.sites:
        sums = by_unit(site, size(projection_columns(context, site, source)).sum(1))
        for head in range(site.heads):
            for strand in wiring.of(HeadId(site.index, head)):
                if strand.dim is None:
                    sums[head] += size(by_output(module.get_submodule(strand.path))[list(strand.rows)].detach()).sum()
        yield sums


def _neuron_sums(context: ScoringContext, size: Size, source: nn.Module | None) -> Iterator[Tensor]:
    import torch

    from pruning.linear import by_output
    from pruning.wiring import find_wiring

    module, wiring = source or context.model.module, find_wiring(context.model)
    for block in context.model.anatomy.blocks:
        if block.projection not in wiring.blocks:
            raise UnsupportedError(
                "the weights that feed the neurons of {block} cannot be told apart", block=block.name
            )
        sums = size(projection_columns(context, block, source)).sum(1)
        for spread in wiring.blocks[block.projection]:
            fed = torch.tensor(spread.neurons, device=sums.device)
            sums = sums.index_add(0, fed, size(by_output(module.get_submodule(spread.path)).detach()).sum(1))
        yield sums


def _layer_sums(context: ScoringContext, size: Size, source: nn.Module | None) -> Iterator[Tensor]:
    for layer in context.model.anatomy.layers:
        matrices = [p for p in (source or context.model.module).get_submodule(layer.name).parameters() if p.dim() > 1]
        yield sum(size(matrix.detach()).sum() for matrix in matrices).view(1)
