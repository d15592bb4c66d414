"""The size of a weight.

Han, Pool, Tran & Dally, "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruning.unstructured.base import WeightContext, WeightScore, register

if TYPE_CHECKING:
    from torch import Tensor


@register
@dataclass(frozen=True)
class Magnitude(WeightScore):
    """|w|."""

    name = "magnitude"
    label = "Magnitude"
    compare = "global"
    needs_data = False
    about = "Small weights go first. It needs no data, and does not see how large the inputs of a weight are."
    reference = "Han et al., Learning both Weights and Connections for Efficient Neural Networks, NeurIPS 2015"

    def __call__(self, context: WeightContext) -> dict[str, Tensor]:
        return {path: context.weight(path).abs() for path in context.paths}
