"""Rows that choose what to remove, and rows that measure what that did: no example is in both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pruning.data import BUILT_IN_DATA, Dataset, DataSpec, load_data
from pruning.errors import DataError


def choosing_and_measuring(spec: DataSpec) -> tuple[Dataset, Dataset]:
    """Rows that choose what to remove and rows that measure the result; no row is in both.

    An out-of-domain set is paired with the calibration rows of its home. A source without splits is divided at random,
    half by half: equal inputs stay together, and the classes have the same shares in both halves. Where only one of
    the two splits is there, the other rows take the other part.

    Raises:
        DataError: The source cannot be read, or has too few rows to be divided.
    """
    home = BUILT_IN_DATA[spec.name].calibration if spec.name in BUILT_IN_DATA else spec.name
    choosing = load_data(replace(spec, name=home, split="calibration"))
    measuring = load_data(replace(spec, split="evaluation"))
    if home != spec.name or choosing.fingerprint != measuring.fingerprint:
        return _without(choosing, measuring), _without(measuring, choosing)
    if len(choosing) < 2:
        raise DataError(
            "{name} has one row: some rows choose and others measure, so there must be at least two", name=spec.name
        )
    ranked = in_random_order(choosing.inputs)
    chosen = share_of(ranked, choosing.inputs, choosing.labels, 0.5)
    if not chosen:
        raise DataError(
            "all rows of {name} hold the same input: some rows choose and others measure, so they must differ",
            name=spec.name,
        )
    here = [row for row, text in enumerate(choosing.inputs) if text in chosen]
    return choosing.at(here), measuring.at(sorted(set(range(len(measuring))).difference(here)))


def _without(data: Dataset, other: Dataset) -> Dataset:
    """A source that was used whole, because it lacks the split that was asked for, without the rows of the other."""
    if data.split is not None or other.split is None:
        return data
    taken = set(other.rows)
    return data.at([i for i, row in enumerate(data.rows) if row not in taken])


def in_random_order(texts: Sequence[str], seed: int = 0) -> list[str]:
    """The different texts in an order that is random, and the same wherever they are found."""
    return sorted(set(texts), key=lambda text: (_drawn(text, seed), text))


def _drawn(text: str, seed: int) -> bytes:
    """A number that is random among texts, and the same for one text everywhere."""
    return hashlib.blake2b(f"{seed} {text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def share_of(ranked: Sequence[str], texts: Sequence[str], labels: Sequence[Any], share: float) -> set[str]:
    """A share of some texts, at least one and not all where there are two, with the same part of each class.

    Args:
        ranked: The different texts, in the order in which those of one class are taken.
        texts, labels: Of all rows. A text that is in several classes counts for that of its first row; without labels
            all texts are one class.
    """
    class_of: dict[str, str] = {}
    for text, label in zip(texts, labels or [None] * len(texts), strict=True):
        class_of.setdefault(text, str(label))
    members: dict[str, list[str]] = {}
    for text in ranked:
        members.setdefault(class_of[text], []).append(text)
    places = {text: (at + 0.5) / len(same) for same in members.values() for at, text in enumerate(same)}
    count = min(max(1, round(share * len(ranked))), len(ranked) - 1)
    return set(sorted(ranked, key=places.__getitem__)[: max(0, count)])
