"""What a pruned model learns from: the labels, the unpruned model's answers, and its hidden states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from pruning.errors import UnsupportedError
from pruning.recovery.settings import Training
from pruning.tasks import Batch, Task, forward

HIDDEN = ("hidden_states", "encoder_hidden_states", "decoder_hidden_states")
KEPT_NUMBERS = 1 << 24  # of the teacher's logits, 64 MiB: a language model's are computed anew in every epoch


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback–Leibler divergence of the student's from the teacher's softened answers, times the temperature squared.

    Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015: the factor keeps the gradients as
    large as those of the labels.

    Args:
        student, teacher: Logits ``(example, class)``, or ``(example, token, word)``.

    Returns:
        ``(example,)``, a mean over tokens where there are any.
    """
    targets = log_softmax(teacher / temperature, -1)
    found = kl_div(log_softmax(student / temperature, -1), targets, reduction="none", log_target=True).sum(-1)
    return found.flatten(1).mean(-1) * temperature**2 if found.dim() > 1 else found * temperature**2


def hidden_difference(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Mean squared difference of the hidden states, a mean over layers, ``(example,)``.

    Raises:
        UnsupportedError: The two models do not have as many layers of one width, or give no hidden states.
    """
    if not student or [h.shape for h in student] != [h.shape for h in teacher]:
        raise UnsupportedError(
            "the hidden states of the two models cannot be compared ({pruned} of the pruned model, {original} of the "
            "original, or of other widths): use hidden_weight 0",
            pruned=len(student),
            original=len(teacher),
        )
    parts = [(a.float() - b.float()).square().flatten(1).mean(-1) for a, b in zip(student, teacher, strict=True)]
    return torch.stack(parts).mean(0)


@dataclass(eq=False)
class Objective:
    """The loss of each example. Keeps the teacher's answers to the examples it has seen, where they are small.

    Attributes:
        teacher: The unpruned model: frozen, in evaluation mode, never changed.
    """

    task: Task
    teacher: nn.Module
    settings: Training
    known: dict[int, Tensor] = field(default_factory=dict)

    def __call__(self, student: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """``(example,)`` losses, differentiable, and the student's logits."""
        s = self.settings
        if not s.hidden_weight:
            logits = forward(student, batch)
            return self._of_logits(logits, self._teacher_logits(batch) if s.distills else None, batch), logits
        logits, hidden = _with_hidden(student, batch)
        with torch.no_grad():
            wanted, wanted_hidden = _with_hidden(self.teacher, batch)
        losses = self._of_logits(logits, wanted, batch)
        return losses + s.hidden_weight * hidden_difference(hidden, wanted_hidden), logits

    def _of_logits(self, logits: Tensor, wanted: Tensor | None, batch: Batch) -> Tensor:
        s = self.settings
        if s.loss == "labels" or wanted is None:
            return self.task.losses(logits, batch)
        divergence = distillation(logits, wanted, s.temperature)
        if s.loss == "distill":
            return divergence
        return (1 - s.distill_weight) * self.task.losses(logits, batch) + s.distill_weight * divergence

    def _teacher_logits(self, batch: Batch) -> Tensor:
        if all(position in self.known for position in batch.positions):
            return torch.stack([self.known[position] for position in batch.positions])
        with torch.no_grad():
            logits = forward(self.teacher, batch)
        if logits[0].numel() * (len(self.known) + len(logits)) <= KEPT_NUMBERS:
            self.known |= dict(zip(batch.positions, logits, strict=True))
        return logits


def _with_hidden(module: nn.Module, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """Logits, and the hidden states of every layer, ``(example, …, width)``."""
    output: Mapping[str, Any] = module(**batch.inputs, output_hidden_states=True)
    found = [state for name in HIDDEN for state in output.get(name) or ()]
    return output["logits"].float(), found
