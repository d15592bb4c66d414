"""What a criterion may use while it scores: the model, the examples, batches of a size, progress and a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Progress
from pruning.language import later
from pruning.masks import Mask
from pruning.scopes import Scope, parts_of, sizes_of, units_of

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.means import Means
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation
    from pruning.replay import Runner, Tape
    from pruning.tasks import Batch, Examples, Task


@dataclass(frozen=True)
class Setting:
    """The state of the model in which units are scored: what is gone already and what stands in for it.

    Attributes:
        mask: Units that are removed; their own scores mean nothing.
        means: Stand in for what is removed, and for what a gate closes; zero without them.
        compensation: Other weights for the projections.
    """

    mask: Mask = field(default_factory=Mask)
    means: Means | None = None
    compensation: Compensation | None = None


@dataclass(frozen=True, eq=False)
class ScoringContext:
    """One scoring job.

    Attributes:
        scope: The kind of unit that is scored.
        examples: The calibration examples; ``None`` for criteria that need none.
        progress: Called with what is done and how much there is, in units of the criterion's own choice.
        setting: The state of the model; the whole model by default.
    """

    model: LoadedModel
    task: Task | None
    examples: Examples | None
    batch_size: int
    seed: int
    progress: Progress
    scope: Scope = "heads"
    setting: Setting = field(default_factory=Setting)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of units in each part."""
        return sizes_of(self.model.anatomy, self.scope)

    @property
    def total_units(self) -> int:
        return sum(self.sizes)

    @property
    def samples(self) -> int:
        return len(self.examples) if self.examples else 0

    @cached_property
    def kept(self) -> Tensor:
        """1 for units that are there, 0 for those that the setting removes, ``(unit,)``."""
        import torch

        ones = torch.ones(self.total_units, device=self.model.device)
        starts = np.cumsum((0, *self.sizes))
        for part, unit in units_of(self.setting.mask, self.scope):
            ones[int(starts[part]) + unit] = 0.0
        return ones

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        """The examples in batches of equal shape, of ``size`` where that is given."""
        from pruning.tasks import batches

        assert self.examples is not None
        return batches(self.examples, size or self.batch_size, self.model.device)

    @cached_property
    def runner(self) -> Runner:
        """What runs the model where only its losses are asked for."""
        from pruning.replay import runner_of

        assert self.examples is not None
        return runner_of(self.model, self.examples).without(self.setting.mask)

    def losses(self, batch: Batch, tape: Tape | None = None, **how: Any) -> Tensor:
        """Loss of each example under the gates that are set, ``(example,)``.

        Args:
            tape, how: As `Runner.logits` takes them.
        """
        assert self.task is not None
        return self.task.losses(self.runner.logits(batch, tape, **how), batch)

    def gates(self, gates: Tensor) -> AbstractContextManager[Any]:
        """Gates for every unit, ``(unit,)`` or ``(example, unit)``; what the setting removes stays removed.

        They act on `losses`.
        """
        from pruning.gating import unit_gates

        return unit_gates(self.runner.model, gates * self.kept, self.scope)

    @contextmanager
    def in_setting(self) -> Iterator[None]:
        """The model in the state in which it is scored; `score` sets it around the whole job."""
        from pruning.gating import gated

        with ExitStack() as stack:
            for model in [self.model, *([self.runner.model] if self.examples else [])]:
                stack.enter_context(gated(model, self.setting.mask, self.setting.means, self.setting.compensation))
            yield

    def example_losses(self, gates: Tensor | None, done: int = 0, total: int = 1) -> np.ndarray:
        """Loss of each example, ``(example,)``, in float64, without gradients."""
        import torch

        losses = np.empty(self.samples)
        seen = 0
        for batch in self.batches():
            with torch.inference_mode(), self.gates(gates) if gates is not None else nullcontext():
                values = self.losses(batch)
            losses[list(batch.positions)] = values.double().cpu().numpy()
            seen += len(batch.positions)
            self.progress(done * self.samples + seen, total * self.samples)
        return losses

    def require_gates(self) -> None:
        """Refuse models whose units cannot be gated.

        Raises:
            UnsupportedError: With the reason that the anatomy gives.
        """
        parts = parts_of(self.model.anatomy, self.scope)
        bad = next((part for part in parts if part.support == "none"), None)
        if not parts or bad:
            without = later("it has no {scope} that can be gated", scope=later(self.scope))
            reason = bad.reason if bad else (self.model.anatomy.reason or without)
            raise UnsupportedError("{model} cannot be scored: {reason}", model=self.model.spec.name, reason=reason)
