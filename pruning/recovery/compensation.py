"""Compensation: other weights and biases for the projections that read what is removed. No training.

A compensation is exact twice over: the masked model uses it through hooks (``gated(model, mask, compensation=…)``), and
cutting writes the same numbers into the smaller model (``prune(model, mask, compensation=…)``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from pruning.errors import UnsupportedError
from pruning.language import Later, later, mark
from pruning.linear import is_transposed

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy
    from pruning.gating import Installation, Slot


@dataclass(frozen=True, eq=False)
class Refit:
    """Other numbers for one projection.

    Attributes:
        shift: ``(out,)``: added to the bias.
        weight: ``(out, in)``, in the coordinates of the original; ``None`` where the weight stays as it is.
    """

    shift: Tensor
    weight: Tensor | None = None

    def __call__(self, projection: nn.Module, x: Tensor, output: Tensor) -> Tensor:
        """What the projection gives for its input ``x (…, in)`` with these numbers."""
        if self.weight is None:
            return output + self.shift.to(output)
        bias = getattr(projection, "bias", None)
        shift = self.shift.to(output) if bias is None else bias + self.shift.to(output)
        return nn.functional.linear(x, self.weight.to(x), shift)

    def write(self, projection: nn.Module) -> None:
        """Give a projection these numbers for good; a bias is made where there was none."""
        old = projection.weight
        bias = getattr(projection, "bias", None)
        if self.weight is not None:
            weight = self.weight.t() if is_transposed(projection) else self.weight
            projection.weight = nn.Parameter(weight.to(old).contiguous(), requires_grad=old.requires_grad)
        shift = self.shift.to(old) + (0 if bias is None else bias.detach())
        projection.bias = nn.Parameter(shift, requires_grad=old.requires_grad)


@dataclass(frozen=True, eq=False)
class Compensation:
    """Other numbers for the projections of a masked model.

    Attributes:
        method: ``mean`` or ``reconstruct``.
        sites, blocks: By index; projections that are not named stay as they are.
        samples: How many calibration examples it was made from.
        data: Fingerprint of those examples.
        seconds: Time that it took.
    """

    method: str
    sites: Mapping[int, Refit] = field(default_factory=dict)
    blocks: Mapping[int, Refit] = field(default_factory=dict)
    samples: int = 0
    data: str = ""
    seconds: float = 0.0

    def with_refit(self, kind: str, index: int, refit: Refit) -> Compensation:
        """The same with other numbers for one more projection, of a ``site`` or a ``block``."""
        if kind == "site":
            return replace(self, sites={**self.sites, index: refit})
        return replace(self, blocks={**self.blocks, index: refit})

    @property
    def words(self) -> Later:
        """What was done, for people."""
        done = mark(
            "the projections from the first cut on were refitted by least squares ({count:,} calibration examples)"
        )
        if self.method == "mean":
            done = mark("the mean of what is gone is folded into the biases ({count:,} calibration examples)")
        return later(done, count=self.samples)

    def by_slot(self, installation: Installation) -> dict[Slot, Refit]:
        """The numbers of each place where gates act."""
        found = {installation.sites[index]: refit for index, refit in self.sites.items()}
        return found | {installation.blocks[index]: refit for index, refit in self.blocks.items()}

    def write(self, module: nn.Module, anatomy: Anatomy) -> None:
        """Give a model's projections these numbers for good.

        Args:
            module: A copy that may be changed, with the paths of the original.

        Raises:
            UnsupportedError: A projection shares its weight with another, or its code does more than multiply.
        """
        check_projections(module, anatomy, self.sites, self.blocks)
        for index, refit in self.sites.items():
            refit.write(module.get_submodule(anatomy.sites[index].projection))
        for index, refit in self.blocks.items():
            refit.write(module.get_submodule(anatomy.blocks[index].projection))


def check_projections(module: nn.Module, anatomy: Anatomy, sites: Any, blocks: Any) -> None:
    """Refuse projections that cannot have numbers of their own.

    Raises:
        UnsupportedError: Names the projection.
    """
    owners: dict[int, set[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), set()).add(name)
    paths = [anatomy.sites[i].projection for i in sites] + [anatomy.blocks[i].projection for i in blocks]
    for path in paths:
        projection = module.get_submodule(path)
        if len(owners[id(projection.weight)]) > 1:
            raise UnsupportedError(
                "{path} shares its weight with another layer, so it cannot be compensated alone", path=path
            )
        if type(projection).__name__ not in ("Linear", "Conv1D", "NonDynamicallyQuantizableLinear"):
            raise UnsupportedError(
                "{path} is a {kind}: only linear layers can be compensated", path=path, kind=type(projection).__name__
            )
