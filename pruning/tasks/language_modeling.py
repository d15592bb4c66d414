"""Causal language modelling: predict each next token of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import DataError
from pruning.statistics import Estimate, mean
from pruning.tasks.base import Batch, Examples, Outcome, Task, register_task
from pruning.tasks.text import tokenize

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.data import Dataset
    from pruning.models import LoadedModel


@register_task
class LanguageModeling(Task):
    """Causal language modelling; the loss of an example is the mean over its predicted tokens."""

    name = "language-modeling"
    label = "Language modelling"
    needs_labels = False
    heads = ("ForCausalLM", "LMHeadModel")

    def encode(self, model: LoadedModel, data: Dataset) -> Examples:
        """Tokenise each text; texts of a single token predict nothing and are refused."""
        self.check(model)
        features, truncated = tokenize(model, data)
        keys = ("input_ids", "attention_mask")
        features = [{key: row[key] for key in keys if key in row} for row in features]
        lengths = tuple(len(row["input_ids"]) for row in features)
        short = next((row for row, length in zip(data.rows, lengths, strict=True) if length < 2), None)
        if short is not None:
            raise DataError("row {short}: a text of fewer than two tokens has no next token to predict", short=short)
        mean_length = sum(lengths) / len(lengths)
        return Examples(tuple(features), (), lengths, data.inputs, (), data.fingerprint, truncated, mean_length)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean negative log-likelihood over the predicted tokens of each example, ``(example,)``."""
        from torch.nn.functional import cross_entropy

        expected = batch.inputs["input_ids"][:, 1:]
        return cross_entropy(logits[:, :-1].transpose(1, 2), expected, reduction="none").mean(-1)

    def outcome(self, logits: Tensor, batch: Batch) -> Outcome:
        probabilities, tokens = logits[:, :-1].softmax(-1).max(-1)
        hits = (tokens == batch.inputs["input_ids"][:, 1:]).double().mean(-1)
        losses = self.losses(logits, batch).double().cpu().numpy()
        nothing = np.full(len(losses), -1)
        return Outcome(losses, nothing, probabilities.double().mean(-1).cpu().numpy(), hits.cpu().numpy())

    def metrics(self, outcome: Outcome, targets: np.ndarray, classes: int, seed: int) -> dict[str, Estimate]:
        """Token accuracy, loss, perplexity (the exponential of the mean loss) and mean confidence."""
        loss = mean(outcome.losses)
        # infinite ends, of a single text, stay so
        ends = (float(np.exp(min(v, 700.0))) if np.isfinite(v) else v for v in (loss.value, loss.low, loss.high))
        return {
            "accuracy": mean(outcome.hits, 0.0, 1.0),
            "loss": loss,
            "perplexity": Estimate(*ends),
            "confidence": mean(outcome.confidences, 0.0, 1.0),
        }
