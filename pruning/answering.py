"""What a model says to one text of its user's own, with and without some heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruning.errors import DataError
from pruning.masks import Mask

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation


@dataclass(frozen=True)
class Answer:
    """One possible answer and its probability: a class, or the next token."""

    label: str
    probability: float


def answer(
    model: LoadedModel, text: str, mask: Mask | None = None, top: int = 3, compensation: Compensation | None = None
) -> tuple[Answer, ...]:
    """The most probable classes of a text, or its most probable next tokens, the most probable first.

    Args:
        compensation: What stands in for what the mask removes.

    Raises:
        DataError: The text is empty.
        UnsupportedError: The model reads no text or has no trained head for a task.
    """
    import torch

    from pruning.data import Dataset, DataSpec
    from pruning.gating import gated
    from pruning.tasks import task_of
    from pruning.tasks.text import tokenize

    if not text.strip():
        raise DataError("type a sentence first")
    task = task_of(model)
    task.check(model)
    (features,), _ = tokenize(model, Dataset(DataSpec("own text"), (text,), (), (0,), 0, ""))
    inputs = {name: torch.tensor([values], device=model.device) for name, values in features.items()}
    with gated(model, mask or Mask(), compensation=compensation) as module, torch.inference_mode():
        if task.name == "language-modeling":
            inputs = {name: inputs[name] for name in ("input_ids", "attention_mask") if name in inputs}
        logits = module(**inputs).logits.float()[0]
    probabilities = (logits[-1] if logits.dim() == 2 else logits).softmax(-1)
    best = probabilities.topk(min(top, len(probabilities)))
    names = model.labels if logits.dim() == 1 else None
    return tuple(
        Answer(names[i] if names else model.processor.decode([i]), float(p))
        for p, i in zip(best.values, best.indices.tolist(), strict=True)
    )
