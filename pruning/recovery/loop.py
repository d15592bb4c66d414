"""The training loop: steps over examples of equal length, a record, and the best state kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pruning.errors import DataError, PruningError, UnsupportedError
from pruning.recovery.losses import Objective
from pruning.recovery.settings import History, OnTraining, ShouldStop, Training
from pruning.tasks import Batch, Examples, batches

LARGEST_GRADIENT = 1.0  # norm at which gradients are clipped
Step = list[list[int]]  # positions of examples, in parts of equal length


@dataclass(frozen=True, eq=False)
class Rows:
    """Examples to train on, and examples to choose the best state by."""

    train: Examples
    positions: tuple[int, ...]
    held_out: Examples
    held_positions: tuple[int, ...]


def split_rows(examples: Examples, held_out: Examples | None, settings: Training) -> Rows:
    """Hold out a share of the examples, drawn by the seed alone, or take those that are given.

    Raises:
        DataError: Nothing is left to train on.
    """
    count = len(examples)
    if held_out is not None:
        return Rows(examples, tuple(range(count)), held_out, tuple(range(len(held_out))))
    held = max(1, round(settings.held_out * count)) if settings.held_out else 0
    if count - held < 1:
        raise DataError(
            "{count} example(s) are too few to train on when {held} of them are held out", count=count, held=held
        )
    order = np.random.default_rng(settings.seed).permutation(count).tolist()
    return Rows(examples, tuple(sorted(order[held:])), examples, tuple(sorted(order[:held])))


def steps_of(keys: Sequence[Any], positions: Sequence[int], size: int, order: np.random.Generator) -> list[Step]:
    """The steps of one epoch: parts of equal length in random order, gathered until a step has ``size`` examples.

    A step for each part would let the few examples of a rare length count as much as a full batch.
    """
    groups: dict[Any, list[int]] = {}
    for position in order.permutation(np.asarray(positions)).tolist():
        groups.setdefault(keys[position], []).append(position)
    alike = [groups[key] for key in sorted(groups, key=str)]
    parts = [group[start : start + size] for group in alike for start in range(0, len(group), size)]
    steps: list[Step] = [[]]
    for index in order.permutation(len(parts)).tolist():
        if sum(map(len, steps[-1])) >= size:
            steps.append([])
        steps[-1].append(parts[index])
    return steps


@dataclass(eq=False)
class Trainer:
    """Trains a module in place and leaves it in its best state, in evaluation mode.

    Attributes:
        student: The module; those of its parameters that need gradients are trained.
        running: Opened around the training, for gates.
        before_step: Called with the steps done, and how many there will be.
        eligible: Whether a state after so many steps of so many may be the best.
        watch: Seconds, for the time limit and the record.
        reason: Why it ended: ``epochs``, ``minutes``, ``patience``, ``asked`` or ``diverged``.
        best_step: Steps after which the state that is kept was reached; 0 where training helped nothing.
    """

    student: nn.Module
    objective: Objective
    rows: Rows
    settings: Training
    progress: OnTraining | None = None
    should_stop: ShouldStop | None = None
    running: AbstractContextManager[Any] = field(default_factory=nullcontext)
    before_step: Callable[[int, int], None] = lambda done, total: None
    eligible: Callable[[int, int], bool] = lambda done, total: True
    watch: Callable[[], float] = time.monotonic
    history: list[History] = field(default_factory=list)
    steps: int = 0
    best_step: int = 0
    reason: str = "epochs"

    def run(self) -> None:
        """Train.

        Raises:
            Cancelled: The progress callback did.
            PruningError: The loss became infinite, and there is no better state to go back to.
        """
        s, order = self.settings, np.random.default_rng(self.settings.seed)
        keys, positions = self.rows.train.keys, self.rows.positions
        epochs = [steps_of(keys, positions, s.batch_size, order) for _ in range(s.epochs)]
        self.total = sum(map(len, epochs))
        self.best: dict[str, Tensor] = {}
        self.best_loss, self.started = math.inf, self.watch()
        self.judge = replace(self.objective, known={})  # its examples are numbered for themselves
        self.optimizer = _optimizer(self.student, s)
        with self.running, noisy_inputs(self.student, s.noise):
            self._check([])
            for steps in epochs:
                if not self._epoch(steps):
                    break
        self._restore()

    def _epoch(self, steps: list[Step]) -> bool:
        """Train for one epoch; whether there is to be another."""
        losses: list[float] = []
        for step in steps:
            if self._must_end():
                break
            self.before_step(self.steps, self.total)
            losses.append(self._step(step))
            self.steps += 1
            if self.progress is not None:
                self.progress(self.steps, self.total, tuple(self.history))
            if not math.isfinite(losses[-1]):
                self.reason = "diverged"
                break
        if losses:
            self._check(losses)
        return self.reason == "epochs" and not self._out_of_patience()

    def _must_end(self) -> bool:
        minutes = self.settings.minutes
        if self.should_stop is not None and self.should_stop():
            self.reason = "asked"
        elif minutes is not None and self.watch() - self.started >= 60 * minutes:
            self.reason = "minutes"
        return self.reason != "epochs"

    def _out_of_patience(self) -> bool:
        since = [row for row in self.history if row.step > self.best_step and self.eligible(row.step, self.total)]
        if self.best and len(since) >= self.settings.patience:
            self.reason = "patience"
        return self.reason == "patience"

    def _step(self, parts: Step) -> float:
        """One step of the optimizer; the mean loss of its examples."""
        self.student.train()
        count, total = sum(map(len, parts)), 0.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * rate_factor(self.steps, self.total, self.settings.warmup)
        for batch in self._batches(self.rows.train, parts):
            loss = self.objective(self.student, batch)[0].sum() / count
            loss.backward()
            total += float(loss.detach())
        nn.utils.clip_grad_norm_(
            [p for group in self.optimizer.param_groups for p in group["params"]], LARGEST_GRADIENT
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return total

    def _batches(self, examples: Examples, parts: Step) -> Iterator[Batch]:
        device = next(self.student.parameters()).device
        for part in parts:
            yield from batches(examples, len(part), device, part)

    @torch.no_grad()
    def _check(self, losses: list[float]) -> None:
        """Add a row to the record, and keep the state if it is the best so far."""
        trained = sum(losses) / len(losses) if losses else None
        found = self._judge() if self.rows.held_positions else (None, None)
        self.history.append(History(self.steps, self.watch() - self.started, trained, *found))
        loss = found[0]
        if loss is not None and loss < self.best_loss and self.eligible(self.steps, self.total):
            self.best_loss, self.best_step = loss, self.steps
            self.best = {name: tensor.detach().clone() for name, tensor in _state(self.student)}

    def _judge(self) -> tuple[float, float]:
        """Mean objective and accuracy on what is held out."""
        self.student.eval()
        losses, hits, rows = 0.0, 0.0, self.rows
        device = next(self.student.parameters()).device
        for batch in batches(rows.held_out, self.settings.batch_size, device, rows.held_positions):
            found, logits = self.judge(self.student, batch)
            losses += float(found.double().sum())
            hits += float(self.objective.task.outcome(logits, batch).hits.sum())
        return losses / len(rows.held_positions), hits / len(rows.held_positions)

    @torch.no_grad()
    def _restore(self) -> None:
        self.student.eval()
        self.student.zero_grad()
        if self.best:
            for name, tensor in _state(self.student):
                tensor.copy_(self.best[name])
        elif self.reason == "diverged" or not _finite(self.student):
            raise PruningError("training diverged: its loss is not finite; choose a lower learning_rate")
        else:
            self.best_step = self.steps


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What training changes."""
    yield from ((name, p) for name, p in module.named_parameters() if p.requires_grad)
    yield from module.named_buffers()


def _finite(module: nn.Module) -> bool:
    return all(bool(p.isfinite().all()) for p in module.parameters() if p.requires_grad)


def _optimizer(module: nn.Module, settings: Training) -> torch.optim.Optimizer:
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.rate)


def rate_factor(done: int, total: int, warmup: float) -> float:
    """Share of the highest learning rate: rises in a line during the warm-up, then falls in a line to 0."""
    rising = warmup * total
    if done < rising:
        return (done + 1) / (math.floor(rising) + 1)
    return (total - done) / max(1.0, total - rising)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers by the seed; torch's own go on afterwards as if nothing had been drawn."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        yield


@contextmanager
def noisy_inputs(module: nn.Module, deviation: float) -> Iterator[None]:
    """Gaussian noise on the input embeddings while the module is in training mode.

    Raises:
        UnsupportedError: The model does not say which its input embeddings are.
    """
    if not deviation:
        yield
        return
    try:
        embeddings: Any = module.get_input_embeddings()  # type: ignore[operator]
    except (NotImplementedError, AttributeError) as error:
        raise UnsupportedError(
            "{model} names no input embeddings for noise: use noise 0", model=type(module).__name__
        ) from error

    def add(child: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if not child.training:
            return None
        first = output if isinstance(output, Tensor) else output[0]
        noisy = first + deviation * torch.randn_like(first)
        return noisy if isinstance(output, Tensor) else (noisy, *output[1:])

    handle = embeddings.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()
