"""What the history keeps: one record for each finished piece of work, and one for each named scenario."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pruning.errors import PruningError
from pruning.masks import Mask
from pruning.registry import Registry
from pruning.scopes import SCOPES
from pruning.statistics import Estimate

LONGEST_NAME = 120
MAIN_METRICS = ("perplexity", "accuracy")  # the first of them that was measured is what a model is known by
LOOKED_AT = "criterion"  # the setting that says what was on the screen: it changes no number


class HistoryError(PruningError):
    """The history cannot be read or written; whatever else the program does goes on."""


@dataclass(frozen=True)
class Kind:
    """What a record is of.

    Attributes:
        about: A sentence for help texts.
    """

    name: str
    label: str
    about: str


KINDS: Registry[Kind] = Registry("kind of record", HistoryError)
KINDS.add(Kind("evaluation", "Evaluation", "A mask that was measured on all evaluation rows."))
KINDS.add(Kind("sweep", "Sweep", "Many plans of one model; the smallest without a clear loss stands for it."))
KINDS.add(Kind("recovery", "Recovery", "A model that was cut and trained."))
KINDS.add(Kind("export", "Export", "A smaller model that was written to be taken away."))
KINDS.add(Kind("scenario", "Scenario", "A mask that was given a name."))


@dataclass(frozen=True)
class Record:
    """One entry.

    Attributes:
        kind: One of `KINDS`.
        owner: Whose it is: nobody else ever sees it.
        model, data: As the menus call them.
        model_fingerprint, data_fingerprint: Of the weights and the rows; empty where they were not known.
        settings: What was asked for, as JSON values.
        numbers: What came of it, as JSON values. A metric is ``{"value", "low", "high"}``, and its paired change has
            the same form under ``"accuracy change"``. ``"removed"`` is ``{"heads": [29, 72], …}``, what is gone of how
            many, and ``"heads_per_site"`` is the model's, ``[site]``.
        seconds: How long it took.
        points: All that a sweep has measured, as `pruning.sweep.Point.row` makes them; lists of records leave them out.
        made: When, with a time zone; kept in UTC.

    Raises:
        HistoryError: The kind is unknown, the time has no zone, or the duration is no number from 0.
    """

    kind: str
    owner: str
    model: str
    model_fingerprint: str
    data: str
    data_fingerprint: str
    mask: Mask = field(default_factory=Mask)
    settings: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    name: str = ""
    starred: bool = False
    id: int | None = None
    made: datetime = field(default_factory=lambda: datetime.now(UTC))
    points: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        KINDS.get(self.kind)
        if not self.owner:
            raise HistoryError("a record has no owner: it would be everybody's")
        if self.made.tzinfo is None:
            raise HistoryError("the time of a record has no zone: {time}; UTC is expected", time=self.made)
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise HistoryError("a duration is a number of seconds from 0, not {seconds}", seconds=self.seconds)
        object.__setattr__(self, "made", self.made.astimezone(UTC))

    @property
    def subject(self) -> str:
        """A digest of what was measured and how: two records that agree in it should agree in their numbers."""
        asked = {name: value for name, value in self.settings.items() if name != LOOKED_AT}
        return digest(
            self.kind, self.model_fingerprint, self.data_fingerprint, self.model, self.data, self.mask.to_code(), asked
        )

    @property
    def main(self) -> tuple[str, Estimate] | None:
        """The metric that the model is known by, with its interval."""
        return main_metric(self.numbers)

    @property
    def units(self) -> int:
        """How many heads, neurons and layers the mask names."""
        return sum(len(getattr(self.mask, scope)) for scope in SCOPES)


def digest(*parts: object) -> str:
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def main_metric(numbers: Mapping[str, Any]) -> tuple[str, Estimate] | None:
    """The first of `MAIN_METRICS` that was measured."""
    for name in MAIN_METRICS:
        if (found := estimate_in(numbers, name)) is not None:
            return name, found
    return None


def estimate_in(numbers: Mapping[str, Any], name: str) -> Estimate | None:
    """A measured value with its interval; None where there is none, or something else."""
    found = numbers.get(name)
    if not isinstance(found, dict) or not {"value", "low", "high"} <= found.keys():
        return None
    try:
        return Estimate(*(float(found[end]) for end in ("value", "low", "high")))
    except (TypeError, ValueError):
        return None
