"""Weight magnitude of a head.

Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015, for single weights;
here the L2 norm over all weights that belong to the head, as in structured pruning (Li et al., ICLR 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext
from pruning.masks import HeadId

if TYPE_CHECKING:
    from torch import Tensor, nn


@register
@dataclass(frozen=True)
class Magnitude(Criterion):
    """Square root of the sum of squares of the head's query, key, value and output weights, without biases.

    Key and value weights that several query heads share count for each of them.
    """

    name = "magnitude"
    scopes = ("heads",)
    label = "Weight magnitude"
    unit = "L2 norm of q, k, v, o"
    direction = "high"
    signed = False
    needs_data = False
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "reading the weights once"
    about = (
        "The size of the weights that belong to a head: query, key, value and output together. "
        "It needs no data, and often says little, because large weights can cancel and small ones can decide."
    )
    reference = "Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017 (structured magnitude)"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        from pruning.wiring import find_wiring

        module, wiring = context.model.module, find_wiring(context.model)
        wiring.require(context.model.anatomy.sites)
        norms = []
        for done, site in enumerate(context.model.anatomy.sites):
            columns = _rows_by_input(module.get_submodule(site.projection))
            output = columns[: site.heads * site.head_dim].reshape(site.heads, -1)
            for head in range(site.heads):
                slices = [output[head]]
                for strand in wiring.of(HeadId(site.index, head)):
                    if strand.dim is None:
                        weights = _rows_by_output(module.get_submodule(strand.path))
                        slices.append(weights[list(strand.rows)].flatten())
                norms.append(sum(float(part.double().square().sum()) for part in slices) ** 0.5)
            context.progress(done + 1, len(context.model.anatomy.sites))
        return np.array(norms)


def _rows_by_output(linear: nn.Module) -> Tensor:
    """Weight as ``(out_features, in_features)``."""
    return linear.weight.t() if type(linear).__name__ == "Conv1D" else linear.weight


def _rows_by_input(linear: nn.Module) -> Tensor:
    """Weight as ``(in_features, out_features)``."""
    return _rows_by_output(linear).t().contiguous()
