"""Text classification: one label for each text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruning.tasks.base import Examples, register_task
from pruning.tasks.classification import Classification
from pruning.tasks.text import tokenize

if TYPE_CHECKING:
    from pruning.data import Dataset
    from pruning.models import LoadedModel


@register_task
class TextClassification(Classification):
    """Single-label text classification with the model's own classes and tokenizer."""

    name = "text-classification"
    label = "Text classification"
    heads = ("ForSequenceClassification",)

    def encode(self, model: LoadedModel, data: Dataset) -> Examples:
        """Tokenise each text; examples of one length share a batch."""
        self.check(model)
        targets = self.targets(model, data)
        features, truncated = tokenize(model, data)
        lengths = tuple(len(row["input_ids"]) for row in features)
        mean_length = sum(lengths) / len(lengths)
        return Examples(
            tuple(features), targets, lengths, data.inputs, model.labels, data.fingerprint, truncated, mean_length
        )
