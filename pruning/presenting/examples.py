"""Three examples before and after, chosen by a rule that cannot flatter: the worst, the least of the gains, the middle.

1. Worse: of the answers that became wrong, the one that the smaller model is surest of. Where none did, the example
   whose loss has risen most.
2. Better: of the answers that became right, the one that the smaller model is least sure of. Where none did, the
   example whose loss has fallen most.
3. Middle: the example whose loss has changed by the median; of several, the first row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation

Kind = Literal["worse", "better", "middle"]


@dataclass(frozen=True)
class Shown:
    """One example.

    Attributes:
        flipped: Whether its answer became wrong or right; otherwise only its loss moved.
        label, before, after: Empty for language models, which have no classes.
        sure_before, sure_after: Probability of the answer; of a language model, the mean probability of its tokens.
        loss_before, loss_after: Of this example.
    """

    kind: Kind
    position: int
    text: str
    flipped: bool
    label: str
    before: str
    after: str
    sure_before: float
    sure_after: float
    loss_before: float
    loss_after: float


def choose_examples(before: Evaluation, after: Evaluation) -> tuple[Shown, ...]:
    """The three, none of them twice; fewer where there are fewer examples.

    Args:
        before, after: Of the same examples, in the same order.
    """
    first, second = before.outcome, after.outcome
    rise = second.losses - first.losses
    sure = second.confidences
    lost = np.flatnonzero((first.hits == 1) & (second.hits == 0)) if before.class_names else np.array([], int)
    won = np.flatnonzero((first.hits == 0) & (second.hits == 1)) if before.class_names else np.array([], int)
    picks: list[tuple[Kind, int, bool]] = [
        ("worse", int(lost[np.argmax(sure[lost])] if len(lost) else np.argmax(rise)), len(lost) > 0),
        ("better", int(won[np.argmin(sure[won])] if len(won) else np.argmin(rise)), len(won) > 0),
    ]
    taken = {place for _, place, _ in picks}
    from_middle = np.argsort(np.abs(rise - np.median(rise)), kind="stable")
    picks += [("middle", int(place), False) for place in from_middle if int(place) not in taken][:1]
    unique = {place: (kind, place, flipped) for kind, place, flipped in reversed(picks)}
    return tuple(_shown(before, after, *pick) for pick in reversed(unique.values()))


def shown_at(before: Evaluation, after: Evaluation, place: int) -> Shown:
    """Any one of the examples, by its place among those that both have answered."""
    return _shown(before, after, "middle", place, False)


def _shown(before: Evaluation, after: Evaluation, kind: Kind, place: int, flipped: bool) -> Shown:
    names, position = before.class_names, int(before.positions[place])

    def said(one: Evaluation) -> str:
        return names[one.outcome.predicted[place]] if names else ""

    return Shown(
        kind=kind,
        position=position,
        text=before.texts[position],
        flipped=flipped,
        label=names[before.targets[place]] if names else "",
        before=said(before),
        after=said(after),
        sure_before=float(before.outcome.confidences[place]),
        sure_after=float(after.outcome.confidences[place]),
        loss_before=float(before.outcome.losses[place]),
        loss_after=float(after.outcome.losses[place]),
    )
