"""Tokenising texts once, for every task that reads text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pruning.errors import DataError, UnsupportedError

if TYPE_CHECKING:
    from pruning.data import Dataset
    from pruning.models import LoadedModel

UNSET_LENGTH = 100_000  # tokenizers without a limit claim an astronomical one


def token_limit(model: LoadedModel) -> int:
    """The most tokens of a text: the tokenizer's own limit and the model's positions, whichever is less."""
    from pruning.inputs import longest_input

    limit = getattr(model.processor, "model_max_length", None) or UNSET_LENGTH
    return min(longest_input(model.module.config), limit if limit < UNSET_LENGTH else UNSET_LENGTH)


def tokenize(model: LoadedModel, data: Dataset) -> tuple[list[dict[str, Any]], int]:
    """Token ids of each text without padding, and how many texts were cut to the model's limit.

    Raises:
        DataError: The tokenizer finds no token in a text, or it is an image.
        UnsupportedError: The model came without a tokenizer, or with another model's.
    """
    if model.processor is None or not callable(getattr(model.processor, "encode", None)):
        raise UnsupportedError(
            "{model} has no tokenizer, so it cannot read texts: put its files into the folder", model=model.spec.name
        )
    for row, text in zip(data.rows, data.inputs, strict=True):
        if text.startswith("data:image/"):
            raise DataError(
                "row {row} of {data} is an image, and {model} reads texts",
                row=row,
                data=data.spec.name,
                model=model.spec.name,
            )
    limit = token_limit(model)
    plain = model.processor(list(data.inputs), padding=False, truncation=True, max_length=limit)
    features = [dict(zip(plain.keys(), values, strict=True)) for values in zip(*plain.values(), strict=True)]
    _check_tokens(model, data, [row["input_ids"] for row in features])
    at_limit = [i for i, row in enumerate(features) if len(row["input_ids"]) >= limit]
    whole = model.processor([data.inputs[i] for i in at_limit], padding=False)["input_ids"] if at_limit else []
    return features, sum(len(ids) > limit for ids in whole)


def _check_tokens(model: LoadedModel, data: Dataset, ids: list[list[int]]) -> None:
    empty = next((row for row, tokens in zip(data.rows, ids, strict=True) if not tokens), None)
    if empty is not None:
        raise DataError("row {empty}: the tokenizer finds no token in this text", empty=empty)
    try:
        known = model.module.get_input_embeddings().weight.shape[0]
    except NotImplementedError:  # CANINE hashes its characters: it knows every one
        return
    largest = max(map(max, ids))
    if largest >= known:
        raise UnsupportedError(
            "the tokenizer of {model} uses token {largest}, but its model knows {known} (0 to {last}): they do not "
            "belong together",
            model=model.spec.name,
            largest=largest,
            known=known,
            last=known - 1,
        )
