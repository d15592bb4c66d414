"""Pairs of models that all sessions share: both measured on the same rows, and compared. No streamlit here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pruning.errors import Cancelled, PruningError
from pruning.language import mark
from pruning.masks import Mask
from ui.jobs import Cache, Job, Worker
from ui.recoveries import Measure, Recoveries, measure_all, result_key, submit_again
from ui.recovery_values import Trained
from ui.replacing import Replacements, Variant

if TYPE_CHECKING:
    from pruning.evaluation import Comparison, Evaluation
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

KEPT_PAIRS, KEPT_TRAINED = 60, 20


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        label: What the page calls it.
        replacement: What stands in for what the mask removes.
        trained: The model that was trained after cutting, where it is one.
    """

    label: str
    mask: Mask = field(default_factory=Mask)
    replacement: str = "none"
    trained: Trained | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """Two sides of equal identity are the same model."""
        if self.trained is not None:
            return "trained", self.trained.smaller.fingerprint
        return "masked", self.mask, self.replacement if self.mask else "none"


@dataclass(frozen=True, eq=False)
class Pair:
    """Both sides on the same rows; the comparison is B minus A."""

    a: Evaluation
    b: Evaluation
    comparison: Comparison

    @property
    def complete(self) -> bool:
        return self.a.complete and self.b.complete


class Pairs:
    """What has been measured, by what it is of."""

    def __init__(
        self,
        evaluator: Worker,
        examples: Callable[..., Examples],
        replacements: Replacements,
        recoveries: Recoveries,
        measure: Measure,
    ) -> None:
        self._evaluator, self._examples, self._replacements = evaluator, examples, replacements
        self._recoveries, self._measure = recoveries, measure
        self._pairs, self._refusals, self._trained = Cache(KEPT_PAIRS), Cache(KEPT_PAIRS), Cache(KEPT_TRAINED)

    def key(self, model: LoadedModel, data: str, a: Side, b: Side) -> object:
        return result_key("pair", model, data, a.identity, b.identity)

    def known(self, model: LoadedModel, data: str, a: Side, b: Side) -> Pair | None:
        """The finished comparison, if there is one."""
        return self._pairs.get(self.key(model, data, a, b))

    def refusal(self, model: LoadedModel, data: str, a: Side, b: Side) -> str:
        """Why a data set could not be measured; empty where nothing is known against it."""
        return str(self._refusals.get(self.key(model, data, a, b)) or "")

    def compare(self, session: str, model: LoadedModel, data: str, a: Side, b: Side) -> Job:
        """Queue the comparison on one data set; the job's ``partial`` is the pair on growing samples."""

        def work(job: Job) -> Iterator[None]:
            yield from self._pair(job, model, data, a, b)

        return self._evaluator.submit(Job((session, "compare"), self.key(model, data, a, b), work))

    def elsewhere_key(self, model: LoadedModel, sets: tuple[str, ...], a: Side, b: Side) -> object:
        return tuple(self.key(model, data, a, b) for data in sets)

    def compare_elsewhere(self, session: str, model: LoadedModel, sets: tuple[str, ...], a: Side, b: Side) -> Job:
        """Queue the comparison on several data sets; the job's ``partial`` is the one that is measured now."""

        def work(job: Job) -> Iterator[None]:
            for data in sets:
                job.partial = data
                try:
                    if self.known(model, data, a, b) is None:
                        yield from self._pair(job, model, data, a, b, follow=False)
                except Cancelled:
                    raise
                except PruningError as error:
                    self._refusals.put(self.key(model, data, a, b), error.with_traceback(None))

        key = self.elsewhere_key(model, sets, a, b)
        return submit_again(self._evaluator, Job((session, "compare elsewhere"), key, work))

    def _pair(
        self, job: Job, model: LoadedModel, data: str, a: Side, b: Side, follow: bool = True
    ) -> Generator[None, None, None]:
        """Measure both, giving way between samples, and keep the pair.

        Args:
            follow: Show the pair as it grows as the job's ``partial``.
        """
        from pruning.evaluation import compare

        job.report(0, 1, mark("Reading the evaluation rows"))
        rows = self._rows(model, data, a, b)
        known: dict[object, Evaluation] = {}
        variants: dict[object, Variant] = {}
        for side in (a, b):
            if side.trained is not None:
                known[side.identity] = yield from self._recovered(job, side.trained, rows)
            else:
                made = self._replacements.make(job, model, data, side.mask, side.replacement)
                variants[side.identity] = Variant.of(side.mask, made)
        for found in self._measure(job, model, rows, list(dict.fromkeys(variants.values()))):
            known |= {identity: found[variant] for identity, variant in variants.items()}
            before, after = known[a.identity], known[b.identity]
            pair = Pair(before, after, compare(before, after))
            if follow:
                job.partial = pair
            if not pair.complete:
                yield
        self._pairs.put(self.key(model, data, a, b), pair)

    def _rows(self, model: LoadedModel, data: str, a: Side, b: Side) -> Examples:
        """Rows that measure; where one side was trained, rows that played no part in the training."""
        if a.trained is not None or b.trained is not None:
            return self._recoveries.rows(model, data).measure
        return self._examples(model, data, "evaluation")

    def _recovered(self, job: Job, trained: Trained, rows: Examples) -> Generator[None, None, Evaluation]:
        key = trained.smaller.fingerprint, rows.fingerprint
        found: Evaluation | None = self._trained.get(key)
        if found is None:
            found = yield from measure_all(job, trained.smaller, rows, mark("Measuring the recovered model"))
            self._trained.put(key, found)
        return found
