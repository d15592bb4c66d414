"""Unstructured pruning while training: the share of zeros rises step by step.

Zhu & Gupta, "To Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model Compression", ICLR Workshop 2018.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pruning.copying import twin_of, with_own_weights
from pruning.errors import PruningError, UnsupportedError
from pruning.language import later
from pruning.masks import Mask
from pruning.recovery.loop import Trainer, seeded, split_rows
from pruning.recovery.losses import Objective
from pruning.recovery.settings import OnTraining, ShouldStop, Training
from pruning.recovery.training import check_trainable, made_trainable, result_of
from pruning.unstructured.base import Sparsity, WeightContext, get_weight_score
from pruning.unstructured.choosing import Masks, choose
from pruning.unstructured.sparsifying import SparseModel, linear_paths, make_permanent, put_masks, stored

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task


@dataclass(frozen=True)
class CubicSchedule:
    """The share of zeros over time: it rises fast at first, when much can go, and slowly towards the end.

    Attributes:
        begin, end: Between which shares of all steps it rises, 0 to 1.
        updates: How often it rises, in even steps of time; the last rise reaches the target.
    """

    begin: float = 0.0
    end: float = 0.6
    updates: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.begin <= self.end <= 1 or self.updates < 1:
            raise PruningError(
                "the schedule is {begin} to {end} in {updates} updates: it must begin before it ends, both between 0 "
                "and 1, in at least 1 update",
                begin=self.begin,
                end=self.end,
                updates=self.updates,
            )

    def share_at(self, done: int, total: int, target: float) -> float:
        """The share of zeros after ``done`` of ``total`` steps; exactly the target from the end on."""
        first, last = self.begin * total, self.end * total
        if done >= last:
            return target
        rises = max(0, int((done - first) / (last - first) * self.updates))
        return target * (1 - (1 - rises / self.updates) ** 3)

    def reached(self, done: int, total: int) -> bool:
        """Whether the target is reached."""
        return done >= self.end * total


def sparsify_gradually(
    model: LoadedModel,
    examples: Examples,
    settings: Sparsity | None = None,
    *,
    training: Training | None = None,
    schedule: CubicSchedule | None = None,
    held_out: Examples | None = None,
    task: Task | None = None,
    progress: OnTraining | None = None,
    should_stop: ShouldStop | None = None,
    watch: Callable[[], float] = time.monotonic,
) -> SparseModel:
    """Train all weights of a copy while more and more of them become zero, and stay zero.

    States before the target is reached cannot be the best. Where training ends before that, the rest goes at its end,
    and the result's ``late`` says how much.

    Args:
        training: Its method is ``fine-tune``: low-rank updates would fill the zeros when they are merged.

    Raises:
        UnsupportedError: The settings hold a pattern, which cannot grow, or another method of training.
        DataError: The examples are too few.
    """
    from pruning.surgery import PrunedModel
    from pruning.tasks import task_of

    settings, schedule = settings or Sparsity(), schedule or CubicSchedule()
    training = training or Training(method="fine-tune")
    _check(settings, training)
    check_trainable(model.module)
    task, rows, paths = task or task_of(model), split_rows(examples, held_out, training), linear_paths(model)
    with seeded(training.seed, model.device):
        student = with_own_weights(twin_of(model.module))
        made_trainable(student, training)
        context = WeightContext(student, paths, task, rows.train, rows.positions, training.batch_size)
        growing = _Growing(context, settings)
        trainer = Trainer(
            student,
            Objective(task, model.module, training),
            rows,
            training,
            progress,
            should_stop,
            before_step=lambda done, total: growing.reach(schedule.share_at(done, total, settings.share)),
            eligible=lambda done, total: done > 0 and schedule.reached(done - 1, total),
            watch=watch,
        )
        trainer.run()
        late = settings.share - growing.share
        growing.reach(settings.share)
        make_permanent(student, growing.masks)
    student.eval().requires_grad_(False)
    parameters = sum(p.numel() for p in student.parameters())
    done = result_of(PrunedModel(student, Mask(), parameters, 0.0, "configured"), [trainer])
    return SparseModel(student, growing.masks, settings, done, late)


def _check(settings: Sparsity, training: Training) -> None:
    if training.method != "fine-tune" or settings.pattern:
        what = later("a pattern") if settings.pattern else later("the training method {name}", name=training.method)
        raise UnsupportedError(
            "{what} does not go with a growing share of zeros: use fine-tune without a pattern", what=what
        )


class _Growing:
    """Masks over the weights of a module in training; what is zero stays zero."""

    def __init__(self, context: WeightContext, settings: Sparsity) -> None:
        self.context, self.settings, self.share = context, settings, 0.0
        self.masks: Masks = {p: torch.ones_like(context.weight(p), dtype=torch.bool) for p in context.paths}
        put_masks(context.module, self.masks)

    def reach(self, share: float) -> None:
        """Let this share of the weights be zero; by their scores as they are now."""
        if share <= self.share:
            return
        module, self.share = self.context.module, share
        module.eval()
        scores = get_weight_score(self.settings.method)()(self.context)
        for path, mask in self.masks.items():
            scores[path] = scores[path].masked_fill(~mask, -1.0)  # every score is 0 or more
        self.masks = choose(scores, self.settings, share)
        for path, mask in self.masks.items():
            layer = module.get_submodule(path)
            layer.weight_mask.copy_(stored(layer, mask))
