"""Gates learned with an L0 penalty: the unit's chance of being open when each open gate costs something.

Louizos, Welling & Kingma, "Learning Sparse Neural Networks through L0 Regularization", ICLR 2018; for attention heads
Voita et al., "Analyzing Multi-Head Self-Attention", ACL 2019. Unlike there, the weights of the model stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import PruningError
from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TEMPERATURE, LOWEST, HIGHEST = 2 / 3, -0.1, 1.1  # beta, gamma and zeta of Louizos et al.
OPEN = TEMPERATURE * math.log(-LOWEST / HIGHEST)  # a gate is open with probability sigmoid(logit - OPEN)
PIECE = 8  # examples of one shape that are drawn together: about as quick for each as larger batches


@register
@dataclass(frozen=True)
class LearnedGates(Criterion):
    """Probability that the hard-concrete gate of the unit is open after training the gates, and them alone.

    Minimises the mean loss under random gates plus ``penalty`` times the expected share of open gates, by Adam.

    Attributes:
        penalty: Loss that it is worth to close all gates.
        steps: Steps of Adam.
        rows: Examples of each step, about; each has gates of its own.
        learning_rate: Of Adam, for the logits of the gates.
        start: Logit of every gate before training.
    """

    penalty: float = 1.0
    steps: int = 100
    rows: int = 16
    learning_rate: float = 0.2
    start: float = 2.0

    name = "learned-gates"
    label = "Learned gates"
    unit = "probability that the gate stays open"
    direction = "high"
    signed = False
    needs_data = True
    needs_labels = True
    needs_gradients = True
    quick = False
    cost = "100 training steps of 16 examples"
    per_example = False
    about = (
        "A short training opens and closes gates at random and learns which ones to keep when every open gate costs. "
        "All units are judged together, so one of two that do the same can go; the model's weights do not change."
    )
    reference = (
        "Louizos, Welling & Kingma, Learning Sparse Neural Networks through L0 Regularization, ICLR 2018; "
        "Voita et al., Analyzing Multi-Head Self-Attention, ACL 2019"
    )

    def __call__(self, context: ScoringContext) -> np.ndarray:
        import torch

        if min(self.steps, self.rows) < 1 or self.learning_rate <= 0 or self.penalty < 0:
            raise PruningError(
                "{settings}: steps and rows must be 1 or more, learning_rate above 0, penalty 0 or more", settings=self
            )
        context.require_gates()
        generator = torch.Generator().manual_seed(context.seed)
        logits = torch.full((context.total_units,), float(self.start), device=context.model.device, requires_grad=True)
        adam = torch.optim.Adam([logits], lr=self.learning_rate)
        for step, positions in zip(range(self.steps), self._draws(context, generator), strict=False):
            logits.grad = self._gradient(context, logits, positions, generator)
            adam.step()
            context.progress(step + 1, self.steps)
        return (open_probability(logits.detach().double()) * context.kept).cpu().numpy()

    def _draws(self, context: ScoringContext, generator: torch.Generator) -> Iterator[list[int]]:
        """Positions of the examples of each step, without end; the same whatever the batch size."""
        import torch

        pieces = [batch.positions for batch in context.batches(PIECE)]
        drawn: list[int] = []
        while True:
            for piece in torch.randperm(len(pieces), generator=generator).tolist():
                drawn.extend(pieces[piece])
                if len(drawn) >= self.rows:
                    yield drawn
                    drawn = []

    def _gradient(
        self, context: ScoringContext, logits: Tensor, positions: list[int], generator: torch.Generator
    ) -> Tensor:
        """Gradient of the mean loss under random gates plus the penalty, ``(unit,)``."""
        import torch

        from pruning.tasks import batches

        assert context.examples is not None
        size = context.batch_size if context.model.anatomy.per_example else 1
        noise = torch.rand(len(positions), len(logits), generator=generator).to(logits.device)
        with torch.enable_grad():
            share = (open_probability(logits) * context.kept).sum() / context.kept.sum().clamp_min(1)
            (gradient,) = torch.autograd.grad(self.penalty * share, logits)
            for batch in batches(context.examples, size, logits.device, positions):
                drawn, noise = noise.split((len(batch.positions), len(noise) - len(batch.positions)))
                with context.gates(hard_concrete(logits, drawn)):
                    loss = context.losses(batch).sum() / len(positions)
                gradient = gradient + torch.autograd.grad(loss, logits)[0]
        return gradient


def hard_concrete(logits: Tensor, uniform: Tensor) -> Tensor:
    """Gates from 0 to 1, both included, for logits ``(unit,)`` and noise from 0 to 1 ``(example, unit)``."""
    soft = ((uniform.clamp(1e-6, 1 - 1e-6).logit() + logits) / TEMPERATURE).sigmoid()
    return (soft * (HIGHEST - LOWEST) + LOWEST).clamp(0, 1)


def open_probability(logits: Tensor) -> Tensor:
    """Probability that a gate is not exactly 0, ``(unit,)``."""
    return (logits - OPEN).sigmoid()
