"""The answer to one question about one model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pruning.anatomy import AttentionSite, Layer, MLPSite
from pruning.errors import PruningError, first_line, named_line

Status = Literal["right", "partly", "unsupported", "wrong", "skipped"]
Part = AttentionSite | MLPSite | Layer
LONGEST_REASON = 300


@dataclass(frozen=True)
class Check:
    """The answer to one question.

    Attributes:
        status: ``partly`` where the engine says of some parts that it cannot, and is right about the others;
            ``unsupported`` where it says so of all; ``skipped`` where the question does not apply.
        difference: The largest that was found.
        checked: How many parts were looked at.
        reason: Why it is not right, in one line.
        more: The difference of each run, and what else should be known.
    """

    status: Status
    difference: float | None = None
    checked: int = 0
    reason: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        known: dict[str, Any] = {"status": self.status}
        if self.difference is not None:
            known["difference"] = self.difference
        if self.checked:
            known["checked"] = self.checked
        if self.reason:
            known["reason"] = self.reason
        return known | self.more


def guarded(check: Callable[[], Check]) -> Check:
    """The answer, or ``wrong`` with the first line of what was raised."""
    try:
        return check()
    except Exception as error:  # anything at all may come out of a model that was cut wrongly
        return Check("wrong", reason=one_line(error))


def one_line(error: BaseException) -> str:
    """What was raised, in one line, with its type where the message does not come from this program.

    Raises:
        MemoryError: What was raised says that memory ran out: no check is to blame for that.
    """
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        raise MemoryError from error
    return (first_line if isinstance(error, PruningError) else named_line)(error, LONGEST_REASON)


def short_of(parts: Sequence[Part], level: str, noun: str) -> Check | None:
    """What to answer where no part reaches a level of support; ``None`` where one does."""
    if not parts:
        return Check("skipped", reason=f"no {noun} were found")
    if any(reaches(part, level) for part in parts):
        return None
    return Check("unsupported", reason=reason_of(parts))


def reaches(part: Part, level: str) -> bool:
    return part.support == "prune" or part.support == level


def reason_of(parts: Iterable[Part]) -> str:
    """The first reason that parts of a model give, with the name of the part."""
    return next((f"{part.name}: {part.reason}"[:LONGEST_REASON] for part in parts if part.reason), "no reason is given")
