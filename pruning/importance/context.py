"""What a criterion may use while it scores: the model, the examples, batches of a size, progress and a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.models import LoadedModel
    from pruning.tasks import Batch, Examples, Task


@dataclass(frozen=True, eq=False)
class ScoringContext:
    """One scoring job.

    Attributes:
        examples: The calibration examples; ``None`` for criteria that need none.
        progress: Called with what is done and how much there is, in units of the criterion's own choice.
    """

    model: LoadedModel
    task: Task | None
    examples: Examples | None
    batch_size: int
    seed: int
    progress: Progress

    @property
    def total_heads(self) -> int:
        return self.model.anatomy.total_heads

    @property
    def samples(self) -> int:
        return len(self.examples) if self.examples else 0

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        """The examples in batches of equal shape, of ``size`` where that is given."""
        from pruning.tasks import batches

        assert self.examples is not None
        return batches(self.examples, size or self.batch_size, self.model.device)

    def losses(self, module: Any, batch: Batch) -> Tensor:
        """Loss of each example under the gates that are set, ``(example,)``."""
        from pruning.tasks import forward

        assert self.task is not None
        return self.task.losses(forward(module, batch), batch)

    def gates(self, gates: Tensor) -> AbstractContextManager[Any]:
        """Gates for every head, ``(head,)`` or ``(example, head)``."""
        from pruning.gating import head_gates

        return head_gates(self.model, gates)

    def example_losses(self, gates: Tensor | None, done: int = 0, total: int = 1) -> np.ndarray:
        """Loss of each example, ``(example,)``, in float64, without gradients."""
        import torch

        losses = np.empty(self.samples)
        seen = 0
        for batch in self.batches():
            with torch.inference_mode():
                if gates is None:
                    values = self.losses(self.model.module, batch)
                else:
                    with self.gates(gates) as module:
                        values = self.losses(module, batch)
            losses[list(batch.positions)] = values.double().cpu().numpy()
            seen += len(batch.positions)
            self.progress(done * self.samples + seen, total * self.samples)
        return losses

    def require_gates(self) -> None:
        """Refuse models whose heads cannot be gated.

        Raises:
            UnsupportedError: With the reason that the anatomy gives.
        """
        anatomy = self.model.anatomy
        bad = next((site for site in anatomy.sites if site.support == "none"), None)
        if not anatomy.sites or bad:
            raise UnsupportedError(f"{self.model.spec.name} cannot be scored: {bad.reason if bad else anatomy.reason}")
