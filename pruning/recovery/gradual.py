"""Gradual pruning: cut a little, train a little, and so on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING

from pruning.copying import twin_of, with_own_weights
from pruning.errors import MaskError, PruningError
from pruning.gating import gated
from pruning.masks import Mask
from pruning.recovery.loop import Trainer, seeded, split_rows
from pruning.recovery.losses import Objective
from pruning.recovery.settings import History, OnTraining, ShouldStop, Training
from pruning.recovery.training import Recovered, check_trainable, made_trainable, result_of
from pruning.scopes import SCOPES, Scope, UnitId, mask_of, units_of

if TYPE_CHECKING:
    from pruning.importance.base import Progress
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task


def gradual(
    original: LoadedModel,
    masks: Sequence[Mask],
    examples: Examples,
    *,
    settings: Training | None = None,
    held_out: Examples | None = None,
    task: Task | None = None,
    progress: OnTraining | None = None,
    should_stop: ShouldStop | None = None,
    watch: Callable[[], float] = time.monotonic,
) -> Recovered:
    """Prune in several steps with training after each, on a copy; the original is not changed.

    A copy of full size is trained under each mask in turn and cut once, at the end, by the last one. That equals
    cutting at every step, because a masked model is the pruned model, and gated weights get no gradient from the loss;
    it takes as long as training the full model.

    Args:
        masks: Each holds the one before it.
        settings: Of the training under each mask: its ``epochs`` and ``minutes`` are those of one step.
        progress: As in `recover`; steps are counted through all masks, and the steps in all are an estimate until the
            last mask, because training may end early.

    Raises:
        MaskError: The masks are not nested, do not fit, or there is none.
        DataError: The examples are too few.
        UnsupportedError: The model cannot be trained or cut like this.
    """
    from pruning.surgery import prune
    from pruning.tasks import task_of

    settings, task = settings or Training(), task or task_of(original)
    _check_nested(masks)
    check_trainable(original.module)
    rows = split_rows(examples, held_out, settings)
    trainers: list[Trainer] = []
    with seeded(settings.seed, original.device):
        student = with_own_weights(twin_of(original.module))
        merge = made_trainable(student, settings)  # before the gates: they must act on the updates' inputs, too
        copy = _like(original, student)
        objective = Objective(task, original.module, settings)
        for number, mask in enumerate(masks):
            asked = bool(trainers) and trainers[-1].reason == "asked"
            if asked and mask is not masks[-1]:
                continue  # the last mask is only looked at: its row is what the result will be
            stop = _at_once if asked else should_stop
            report = _through(progress, trainers, len(masks) - number)
            running = gated(copy, mask)
            trainer = Trainer(student, objective, rows, settings, report, stop, running, watch=watch)
            trainer.run()
            trainers.append(trainer)
        merge()
        whole = _like(original, twin_of(student.eval().requires_grad_(False)))
        return result_of(prune(whole, masks[-1]), trainers)


def in_steps(
    model: LoadedModel,
    mask: Mask,
    examples: Examples,
    steps: int,
    *,
    task: Task | None = None,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> list[Mask]:
    """Nested masks that lead to a mask, for `gradual`: the least important units of each kind go first.

    Every step takes an even portion of the heads, of the neurons and of the layers, by their absolute gradient in the
    whole model. A step that would take nothing is left out, so a small mask may have fewer.

    Args:
        mask: What the last of the masks removes.
        examples: Calibration examples, for the importance.
        progress: Called with the examples done and how many there are, for each kind anew; may raise `Cancelled`.

    Raises:
        PruningError: There is to be less than one step, or the mask does not fit.
        UnsupportedError: The model cannot be scored.
    """
    from pruning.importance.scoring import score

    if steps < 1:
        raise PruningError("steps is {steps}: it must be at least 1", steps=steps)
    mask.check(model.anatomy)
    if steps == 1:
        return [mask]
    ranked: dict[Scope, list[UnitId]] = {}
    for scope in SCOPES:
        if units := units_of(mask, scope):
            found = score(model, "gradient", examples, task=task, batch_size=batch_size, progress=progress, scope=scope)
            ranked[scope] = [unit for unit in found.ranked() if unit in units]
    masks: list[Mask] = []
    for step in range(1, steps):
        parts = (mask_of(scope, units[: len(units) * step // steps]) for scope, units in ranked.items())
        taken = reduce(or_, parts, Mask())
        if taken and taken not in (*masks[-1:], mask):
            masks.append(taken)
    return [*masks, mask]


def _at_once() -> bool:
    return True


def _check_nested(masks: Sequence[Mask]) -> None:
    if not masks:
        raise MaskError("gradual pruning needs at least one mask")
    for number, (one, other) in enumerate(pairwise(masks)):
        if one - other:
            raise MaskError(
                "mask {number} does not hold all of mask {before}: each must hold the one before",
                number=number + 2,
                before=number + 1,
            )


def _like(original: LoadedModel, module: object) -> LoadedModel:
    """The same model with other weights. Its parts are known, and not searched for again."""
    found = replace(original, module=module)
    found.__dict__["anatomy"] = original.anatomy
    return found


def _through(progress: OnTraining | None, before: list[Trainer], left: int) -> OnTraining | None:
    """The caller's progress, counted through all masks."""
    if progress is None:
        return None
    steps = sum(trainer.steps for trainer in before)
    rows = tuple(row for trainer in before for row in trainer.history)

    def report(done: int, total: int, history: tuple[History, ...]) -> None:
        progress(steps + done, steps + total * left, (*rows, *history))

    return report
