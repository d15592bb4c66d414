"""The settings of recovery with training, and the record that it keeps. Nothing here needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from pruning.errors import PruningError
from pruning.language import later, mark

Method = Literal["fine-tune", "lora"]
Loss = Literal["labels", "distill", "both"]
LEARNING_RATES: dict[Method, float] = {"fine-tune": 1e-4, "lora": 1e-3}  # where none is given


@dataclass(frozen=True)
class Training:
    """How a pruned model is trained again.

    Attributes:
        method: ``fine-tune`` changes all weights; ``lora`` learns a low-rank update of each linear layer, which is
            merged at the end (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022).
        loss: ``labels`` is the task's own loss; ``distill`` the divergence from the unpruned model's answers (Hinton
            et al., "Distilling the Knowledge in a Neural Network", 2015), which needs no labels; ``both`` mixes them.
        distill_weight: Share of the distillation in ``both``, 0 to 1.
        temperature: Both models' logits are divided by it before they are compared; no unit.
        hidden_weight: Weight of the mean squared difference of the hidden states (Jiao et al., "TinyBERT", Findings of
            EMNLP 2020); 0 leaves them alone. Both models must have as many layers, of one width.
        learning_rate: The highest; ``None`` for what suits the method.
        epochs: Passes over the training examples, at most.
        minutes: Wall-clock minutes after which training stops and keeps its best; ``None`` for no limit.
        batch_size: Examples in a step, at least, as long as there are so many.
        warmup: Share of the steps in which the learning rate rises from 0; it falls to 0 in the others.
        weight_decay: Of AdamW, on matrices alone.
        noise: Standard deviation of Gaussian noise added to the input embeddings, in their unit; 0 for none.
        held_out: Share of the examples that are not trained on, and choose the best state; 0 keeps the last state.
        patience: Epochs without a better held-out loss after which training stops.
        rank: Of the low-rank updates.
        seed: Of the split, the order of the batches, dropout, noise and the first low-rank matrices.
    """

    method: Method = "lora"
    loss: Loss = "both"
    distill_weight: float = 0.5
    temperature: float = 2.0
    hidden_weight: float = 0.0
    learning_rate: float | None = None
    epochs: int = 5
    minutes: float | None = None
    batch_size: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.01
    noise: float = 0.0
    held_out: float = 0.2
    patience: int = 3
    rank: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("method", get_args(Method)), ("loss", get_args(Loss))):
            if getattr(self, name) not in choices:
                raise PruningError(
                    "{name} is {value!r}: allowed are {allowed}",
                    name=name,
                    value=getattr(self, name),
                    allowed=", ".join(choices),
                )
        for name, allowed, fits in _RANGES:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and fits(value)):
                raise PruningError(
                    "{name} is {value}: it must be {allowed}", name=name, value=value, allowed=later(allowed)
                )

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return LEARNING_RATES[self.method] if self.learning_rate is None else self.learning_rate

    @property
    def distills(self) -> bool:
        """Whether the unpruned model is run beside the pruned one."""
        return self.loss != "labels" or self.hidden_weight > 0

    @property
    def words(self) -> str:
        """``lora + distillation``: method and loss for people to read."""
        losses = {"labels": "labels", "distill": "distillation", "both": "labels + distillation"}
        return f"{self.method} on {losses[self.loss]}" + (" + hidden states" if self.hidden_weight else "")


_RANGES: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("distill_weight", mark("between 0 and 1"), lambda v: 0 <= v <= 1),
    ("temperature", mark("above 0"), lambda v: v > 0),
    ("hidden_weight", mark("0 or more"), lambda v: v >= 0),
    ("learning_rate", mark("above 0"), lambda v: v > 0),
    ("epochs", mark("at least 1"), lambda v: v >= 1),
    ("minutes", mark("above 0"), lambda v: v > 0),
    ("batch_size", mark("at least 1"), lambda v: v >= 1),
    ("warmup", mark("between 0 and 1"), lambda v: 0 <= v <= 1),
    ("weight_decay", mark("0 or more"), lambda v: v >= 0),
    ("noise", mark("0 or more"), lambda v: v >= 0),
    ("held_out", mark("0 or more and below 1"), lambda v: 0 <= v < 1),
    ("patience", mark("at least 1"), lambda v: v >= 1),
    ("rank", mark("at least 1"), lambda v: v >= 1),
)


@dataclass(frozen=True)
class History:
    """One row of a training's record, made before the first step and after every epoch.

    Attributes:
        step: Steps done; under each mask of gradual pruning they are counted anew.
        seconds: Since training began.
        train_loss: Mean objective over the steps since the last row; ``None`` before the first step.
        held_out_loss: Mean objective over the held-out examples; ``None`` where none are held out.
        held_out_accuracy: Of the task (of tokens in language modelling); ``None`` where none are held out.
    """

    step: int
    seconds: float
    train_loss: float | None
    held_out_loss: float | None
    held_out_accuracy: float | None


def by_cut(history: Sequence[History]) -> list[tuple[History, ...]]:
    """The record of each cut: a training in one cut has one, gradual pruning has one for each mask.

    >>> [len(rows) for rows in by_cut([History(step, 0, None, None, None) for step in (0, 4, 0, 4, 8)])]
    [2, 3]
    """
    starts = [number for number, row in enumerate(history) if row.step == 0]
    return [tuple(history[start:end]) for start, end in pairwise([*starts, len(history)])]


OnTraining = Callable[[int, int, tuple[History, ...]], None]  # steps done, steps in all, record; may raise Cancelled
ShouldStop = Callable[[], bool]  # asked before every step: stop here and keep the best
