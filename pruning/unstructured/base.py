"""What a weight score is, the registry of scores, and the settings of unstructured pruning. No torch is imported."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pruning.errors import PruningError, UnsupportedError
from pruning.registry import Registry
from pruning.wording import either

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pruning.tasks import Batch, Examples, Task

Compare = Literal["global", "layer", "row"]
COMPARISONS: dict[Compare, str] = {
    "global": "all weights of all layers with each other",
    "layer": "the weights of a layer with each other",
    "row": "the weights of an output feature with each other",
}
PATTERNS = ("2:4", "4:8")


class WeightScore:
    """A published way to say how important a single weight is. A frozen dataclass without state.

    Calling it returns ``(out, in)`` for each layer of the context, more for what matters more.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    compare: ClassVar[Compare]  # as published
    needs_data: ClassVar[bool]
    about: ClassVar[str]
    reference: ClassVar[str]

    def __call__(self, context: WeightContext) -> dict[str, Tensor]:
        raise NotImplementedError


_SCORES: Registry[type[WeightScore]] = Registry("weight score")
register, weight_scores, get_weight_score = _SCORES.add, _SCORES.all, _SCORES.get


@dataclass(frozen=True)
class Sparsity:
    """How weights are set to zero.

    Attributes:
        method: Name of a weight score.
        share: Fraction of the weights that become zero, 0 to 1.
        compare: Which weights compete with each other; ``None`` for what was published with the score.
        pattern: ``N:M`` keeps N of every M neighbours of a row, whatever the share is (Mishra et al., "Accelerating
            Sparse Deep Neural Networks", 2021); empty for none.
    """

    method: str = "magnitude"
    share: float = 0.5
    compare: Compare | None = None
    pattern: str = ""

    def __post_init__(self) -> None:
        get_weight_score(self.method)
        if not 0 <= self.share <= 1:
            raise PruningError("share is {share}: it must be between 0 and 1", share=self.share)
        if self.compare not in (None, *COMPARISONS):
            raise PruningError(
                "compare is {compare!r}: allowed are {known}", compare=self.compare, known=", ".join(COMPARISONS)
            )
        if self.pattern and not (re.fullmatch(r"[1-9]\d?:[1-9]\d?", self.pattern) and self.kept[0] <= self.kept[1]):
            raise PruningError(
                "pattern is {pattern!r}: write N:M, like {examples}",
                pattern=self.pattern,
                examples=either(PATTERNS),
            )

    @property
    def kept(self) -> tuple[int, int]:
        """``(N, M)`` of the pattern."""
        n, m = map(int, self.pattern.split(":"))
        return n, m

    @property
    def words(self) -> str:
        """``wanda by row``, ``magnitude in the pattern 2:4``."""
        if self.pattern:
            return f"{self.method} in the pattern {self.pattern}"
        return f"{self.method} by {self.compare or get_weight_score(self.method).compare}"


@dataclass(frozen=True, eq=False)
class WeightContext:
    """What a score may look at.

    Attributes:
        module: Nobody else runs it, so it may be hooked; its weights reach autograd.
        paths: Of the linear layers that are scored.
        positions: Of the examples that may be looked at.
        progress: Called with the examples done, and how many there are; may raise `Cancelled`.
    """

    module: nn.Module
    paths: tuple[str, ...]
    task: Task | None = None
    examples: Examples | None = None
    positions: tuple[int, ...] = ()
    batch_size: int = 32
    progress: Callable[[int, int], None] = lambda done, total: None

    def parameter(self, path: str) -> Tensor:
        """The weight that autograd knows: torch keeps it under another name while a mask lies over it."""
        layer: Any = self.module.get_submodule(path)
        return layer.weight_orig if hasattr(layer, "weight_orig") else layer.weight

    def weight(self, path: str) -> Tensor:
        """The weight as it acts, ``(out, in)``."""
        layer: Any = self.module.get_submodule(path)
        weight = self.parameter(path).detach()
        return self.oriented(path, weight * layer.weight_mask if hasattr(layer, "weight_mask") else weight)

    def oriented(self, path: str, tensor: Tensor) -> Tensor:
        """A tensor of the weight's own shape as ``(out, in)``."""
        from pruning.linear import is_transposed

        return tensor.t() if is_transposed(self.module.get_submodule(path)) else tensor

    def batches(self) -> Iterator[Batch]:
        """The examples, batch by batch, with progress.

        Raises:
            UnsupportedError: There are none.
        """
        from pruning.tasks import batches

        if self.examples is None or not self.positions:
            raise UnsupportedError("this weight score needs examples")
        done, device = 0, next(self.module.parameters()).device
        for batch in batches(self.examples, self.batch_size, device, self.positions):
            yield batch
            done += len(batch.positions)
            self.progress(done, len(self.positions))
