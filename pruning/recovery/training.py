"""The verb: train a pruned model again, on a copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from pruning.copying import twin_of, with_own_weights
from pruning.errors import UnsupportedError
from pruning.recovery.loop import Rows, Trainer, seeded, split_rows
from pruning.recovery.lora import adapt
from pruning.recovery.losses import Objective
from pruning.recovery.settings import History, OnTraining, ShouldStop, Training

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.surgery import PrunedModel
    from pruning.tasks import Examples, Task


@dataclass(frozen=True, eq=False)
class Recovered:
    """A pruned model after training.

    Attributes:
        pruned: The trained model, to be evaluated and exported like any other; the given one where nothing helped.
        history: The record: the first row is the given model, on the held-out examples.
        best: The row of the state that was kept.
        steps: Steps that were trained, over all.
        rows: How many examples were trained on, and how many were held out.
        reason: Why it ended: ``epochs``, ``minutes``, ``patience``, ``asked`` or ``diverged``.
        seconds: Time that it took.
    """

    pruned: PrunedModel
    settings: Training
    history: tuple[History, ...]
    best: History
    steps: int
    rows: tuple[int, int]
    reason: str
    seconds: float

    @property
    def module(self) -> nn.Module:
        return self.pruned.module


def recover(
    original: LoadedModel,
    pruned: PrunedModel,
    examples: Examples,
    *,
    settings: Training | None = None,
    held_out: Examples | None = None,
    task: Task | None = None,
    progress: OnTraining | None = None,
    should_stop: ShouldStop | None = None,
    watch: Callable[[], float] = time.monotonic,
) -> Recovered:
    """Train a copy of a pruned model; neither the original nor the given one is changed.

    The state with the lowest held-out loss is kept, and it may be the one before training. The same seed gives the same
    weights, unless the time limit strikes at another step. Dropout draws from torch's one generator for the process,
    which is put back afterwards.

    Args:
        examples: What is trained on, less the share that the settings hold out; never the rows that measure the result.
        held_out: Examples to hold out instead of that share.
        progress: Called after every step with steps done, steps in all, and the record so far; what it raises ends
            everything, and nothing is kept.
        should_stop: Asked before every step: end here, and keep the best state.
        watch: Seconds, for the time limit.

    Raises:
        DataError: The examples are too few.
        UnsupportedError: The model is not in float32, or cannot be trained as the settings say.
    """
    from pruning.tasks import task_of

    settings, task = settings or Training(), task or task_of(original)
    check_trainable(pruned.module)
    rows = split_rows(examples, held_out, settings)
    with seeded(settings.seed, original.device):
        student = with_own_weights(twin_of(pruned.module))
        merge = made_trainable(student, settings)
        objective = Objective(task, original.module, settings)
        trainer = Trainer(student, objective, rows, settings, progress, should_stop, watch=watch)
        trainer.run()
        merge()
    return result_of(replace(pruned, module=student.eval().requires_grad_(False)), [trainer])


def check_trainable(module: nn.Module) -> None:
    """Refuse weights of half precision, whose updates would be rounded away.

    Raises:
        UnsupportedError: Some weights are not float32.
    """
    kinds = {p.dtype for p in module.parameters() if p.is_floating_point()}
    if kinds != {torch.float32}:
        named = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
        raise UnsupportedError(
            "training needs weights in float32, not {named}: load the model with --dtype float32", named=named
        )


def made_trainable(student: nn.Module, settings: Training) -> Callable[[], None]:
    """Choose what is trained: all weights, or low-rank updates. Returns what makes an ordinary module again."""
    if settings.method == "lora":
        return adapt(student.requires_grad_(False), settings.rank)
    for parameter in student.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    return lambda: None


def result_of(pruned: PrunedModel, trainers: list[Trainer]) -> Recovered:
    """What was done by one training or several in a row."""
    last = trainers[-1]
    best = next((row for row in last.history if row.step == last.best_step), last.history[-1])
    steps = sum(trainer.steps for trainer in trainers)
    settings, rows = last.settings, last.rows
    words = f"trained by {settings.words}, {steps:,} steps" if steps else ""
    if len(trainers) > 1:
        words = f"{words}, in {len(trainers)} cuts"
    elif last.best_step == 0:
        words = ""  # the weights are what they were
    history = tuple(row for trainer in trainers for row in trainer.history)
    return Recovered(
        pruned=replace(pruned, recovery="; then ".join(filter(None, (pruned.recovery, words)))),
        settings=settings,
        history=history,
        best=best,
        steps=steps,
        rows=_counts(rows),
        reason=last.reason,
        seconds=sum(trainer.history[-1].seconds for trainer in trainers),
    )


def _counts(rows: Rows) -> tuple[int, int]:
    return len(rows.positions), len(rows.held_positions)
