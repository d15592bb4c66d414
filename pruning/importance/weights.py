"""The weights that belong to a unit, as they are in the setting in which it is scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruning.anatomy import AttentionSite, MLPSite
from pruning.importance.context import ScoringContext

if TYPE_CHECKING:
    from torch import Tensor, nn


def units_width(part: AttentionSite | MLPSite) -> int:
    """How many inputs of the projection hold units; in a few models something else lies beside the heads."""
    return part.heads * part.head_dim if isinstance(part, AttentionSite) else part.neurons


def projection_columns(
    context: ScoringContext, part: AttentionSite | MLPSite, source: nn.Module | None = None
) -> Tensor:
    """What the projection makes of each of its inputs that hold units, ``(in, out)`` in float32 or better.

    Args:
        source: A copy of the model's structure with other numbers in the places of its weights.
    """
    from pruning.linear import by_output

    weight = by_output((source or context.model.module).get_submodule(part.projection))
    compensation = context.setting.compensation
    if compensation is not None:
        refits = compensation.sites if isinstance(part, AttentionSite) else compensation.blocks
        refit = refits.get(part.index)
        weight = weight if refit is None or refit.weight is None else refit.weight.to(weight.device)
    columns = weight.detach().t()[: units_width(part)]
    return columns.float() if columns.element_size() < 4 else columns


def by_unit(part: AttentionSite | MLPSite, values: Tensor) -> Tensor:
    """Sums over the inputs that hold one unit: ``(in,)`` to ``(unit,)``."""
    return values.view(part.heads, part.head_dim).sum(-1) if isinstance(part, AttentionSite) else values
