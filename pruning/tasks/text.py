"""Tokenising texts once, for every task that reads text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pruning.errors import UnsupportedError

if TYPE_CHECKING:
    from pruning.data import Dataset
    from pruning.models import LoadedModel

UNSET_LENGTH = 100_000  # tokenizers without a limit claim an astronomical one


def token_limit(model: LoadedModel) -> int:
    """The most tokens of a text: the tokenizer's own limit and the model's positions, whichever is less."""
    from pruning.probing import longest_input

    limit = getattr(model.processor, "model_max_length", None) or UNSET_LENGTH
    return min(longest_input(model.module.config), limit if limit < UNSET_LENGTH else UNSET_LENGTH)


def tokenize(model: LoadedModel, data: Dataset) -> tuple[list[dict[str, Any]], int]:
    """Token ids of each text without padding, and how many texts were cut to the model's limit.

    Raises:
        UnsupportedError: The model came without a tokenizer.
    """
    if model.processor is None or not callable(getattr(model.processor, "encode", None)):
        raise UnsupportedError(
            f"{model.spec.name} has no tokenizer, so it cannot read texts: put its files into the folder"
        )
    limit = token_limit(model)
    plain = model.processor(list(data.inputs), padding=False, truncation=True, max_length=limit)
    features = [dict(zip(plain.keys(), values, strict=True)) for values in zip(*plain.values(), strict=True)]
    at_limit = [i for i, row in enumerate(features) if len(row["input_ids"]) >= limit]
    whole = model.processor([data.inputs[i] for i in at_limit], padding=False)["input_ids"] if at_limit else []
    return features, sum(len(ids) > limit for ids in whole)
