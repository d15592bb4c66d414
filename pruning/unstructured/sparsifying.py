"""The verb: set single weights of a copy to zero, with torch's own pruning masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from pruning.copying import twin_of, with_own_weights
from pruning.errors import UnsupportedError
from pruning.linear import is_transposed
from pruning.masks import Mask
from pruning.unstructured.base import Sparsity, WeightContext, get_weight_score
from pruning.unstructured.choosing import Masks, choose

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.recovery.training import Recovered
    from pruning.surgery import PrunedModel
    from pruning.tasks import Examples, Task


@dataclass(frozen=True, eq=False)
class SparseModel:
    """A copy of a model with weights that are zero. It is an ordinary module: as large and as slow as before.

    Attributes:
        masks: By path, ``(out, in)``: whether a weight stays.
        training: What was trained on the way, where it was.
        late: Fraction of the weights that became zero after training had ended, because it ended early.
    """

    module: nn.Module
    masks: Masks
    settings: Sparsity
    training: Recovered | None = None
    late: float = 0.0

    @property
    def weights(self) -> int:
        """How many weights the pruned layers have."""
        return sum(mask.numel() for mask in self.masks.values())

    @property
    def share(self) -> float:
        """Fraction of them that became zero."""
        return 1 - sum(int(mask.sum()) for mask in self.masks.values()) / self.weights

    def as_pruned(self, pruned: PrunedModel | None = None) -> PrunedModel:
        """In the form that is exported.

        Args:
            pruned: The model with fewer parts that this was made from, if it was made from one.
        """
        from pruning.surgery import PrunedModel

        words = f"{self.share:.1%} of the weights of {len(self.masks)} linear layers set to zero, {self.settings.words}"
        if self.training and self.training.pruned.recovery:
            words = f"{self.training.pruned.recovery}; {words}"
        parameters = sum(p.numel() for p in self.module.parameters())
        given = pruned or PrunedModel(self.module, Mask(), parameters, 0.0, "configured")
        before = f"{given.recovery}; then " if given.recovery else ""
        return replace(given, module=self.module, recovery=before + words)


def linear_paths(model: LoadedModel) -> tuple[str, ...]:
    """The linear layers inside the encoder's and decoder's layers: no embeddings, no classifier, no output words.

    Raises:
        UnsupportedError: There are none.
    """
    inside = tuple(f"{layer.name}." for layer in model.anatomy.layers)
    paths = tuple(
        path
        for path, child in model.module.named_modules()
        if path.startswith(inside) and type(child).__name__ in ("Linear", "Conv1D") and child.weight.numel()
    )
    if not paths:
        raise UnsupportedError(
            "{model} has no linear layer inside its layers whose weights could be pruned", model=model.spec.name
        )
    return paths


def sparsify(
    model: LoadedModel,
    examples: Examples | None = None,
    settings: Sparsity | None = None,
    *,
    task: Task | None = None,
    batch_size: int = 32,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SparseModel:
    """Set the least important weights of a copy to zero; the model is not changed.

    Args:
        examples: Calibration examples, for the scores that look at data.
        progress: Called with the examples done, and how many there are; may raise `Cancelled`.

    Raises:
        UnsupportedError: The score needs examples and there are none, or the model does not suit the settings.
    """
    settings = settings or Sparsity()
    score = get_weight_score(settings.method)()
    if score.needs_data:
        from pruning.tasks import task_of

        if examples is None:
            raise UnsupportedError("the weight score {score} needs examples", score=score.name)
        task = task or task_of(model)
    twin, positions = twin_of(model.module, needs_gradients=True), tuple(range(len(examples or ())))
    context = WeightContext(twin, linear_paths(model), task, examples, positions, batch_size, progress)
    masks = choose(score(context), settings)
    copy = with_own_weights(twin_of(model.module))
    put_masks(copy, masks)
    make_permanent(copy, masks)
    return SparseModel(copy.eval().requires_grad_(False), masks, settings)


def put_masks(module: nn.Module, masks: Masks) -> None:
    """Lay masks over the weights, in place; laid twice, both act."""
    for path, mask in masks.items():
        torch_prune.custom_from_mask(module.get_submodule(path), "weight", stored(module.get_submodule(path), mask))


def make_permanent(module: nn.Module, masks: Masks) -> None:
    """Take the masks off and leave zeros in the weights, in place."""
    for path in masks:
        torch_prune.remove(module.get_submodule(path), "weight")


def stored(layer: Any, mask: Tensor) -> Tensor:
    """An ``(out, in)`` mask in the orientation and type of the layer's weight."""
    return (mask.t() if is_transposed(layer) else mask).to(layer.weight.dtype)
