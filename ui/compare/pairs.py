"""Pairs of models that all sessions share: both measured on the same rows, and compared. No streamlit here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pruning.errors import Cancelled, PruningError
from pruning.language import Later, later, mark
from pruning.masks import Mask
from ui.compare.timings import Timings
from ui.jobs import Cache, Job, Worker
from ui.recoveries import Measure, Recoveries, measure_all, result_key, submit_again
from ui.recovery_values import Trained
from ui.replacing import Replacements, Variant

if TYPE_CHECKING:
    from pruning.evaluation import Comparison, Evaluation
    from pruning.models import LoadedModel
    from pruning.statistics_of_draws import Pooled
    from pruning.tasks import Examples

KEPT_PAIRS, KEPT_TRAINED, KEPT_POOLS = 150, 20, 40


@dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        label: What the page calls it.
        replacement: What stands in for what the mask removes.
        trained: The model that was trained after cutting, where it is one.
        draws: All masks, where several were drawn by lot; ``mask`` is then the one that is shown.
    """

    label: str
    mask: Mask = field(default_factory=Mask)
    replacement: str = "none"
    trained: Trained | None = None
    draws: tuple[Mask, ...] = ()

    @property
    def one(self) -> Side:
        """The draw that is shown, alone."""
        return replace(self, draws=()) if self.draws else self

    def draw(self, number: int) -> Side:
        """One of the draws; a side that was not drawn is the same beside all of them."""
        return replace(self, mask=self.draws[number], draws=()) if self.draws else self

    @property
    def identity(self) -> tuple[object, ...]:
        """Two sides of equal identity are the same model."""
        if self.draws:
            return "drawn", self.draws, self.replacement
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


def couples(a: Side, b: Side) -> list[tuple[Side, Side]]:
    """Both sides for each draw; a single couple where nothing was drawn."""
    count = min([len(side.draws) for side in (a, b) if side.draws], default=1)
    return [(a.draw(number), b.draw(number)) for number in range(count)]


@dataclass(eq=False)
class DrawJob(Job):
    """One draw of several: what it reports is a part of the whole job."""

    whole: Job | None = None
    number: int = 0
    count: int = 1

    def report(self, done: int, total: int, step: str | Later | None = None) -> None:
        assert self.whole is not None
        self.step = self.step if step is None else step
        what = later("{step}, draw {n} of {count}:", step=later(self.step) if isinstance(self.step, str) else self.step,
                     n=self.number + 1, count=self.count)  # fmt: skip
        far = done / max(1, total)
        before = self.number + 1 + far if self.number else 2 * far  # with the first draw goes the other side
        self.whole.report(int(1000 * before / (self.count + 1)), 1000, what)


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
        self._pools = Cache(KEPT_POOLS)
        self.timings = Timings(evaluator, replacements)

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

    # Several draws ------------------------------------------------------------------------------------------------

    def draws_key(self, model: LoadedModel, data: str, couples: Sequence[tuple[Side, Side]]) -> tuple[object, ...]:
        return "draws", *(self.key(model, data, a, b) for a, b in couples)

    def compare_draws(self, session: str, model: LoadedModel, data: str, couples: Sequence[tuple[Side, Side]]) -> Job:
        """Queue one comparison after the other; the job's ``partial`` is how many there are."""

        def work(job: Job) -> Iterator[None]:
            job.partial = 0
            for number, (a, b) in enumerate(couples):
                if self.known(model, data, a, b) is None:
                    part = DrawJob(job.owner, job.fingerprint, job.work, whole=job, number=number, count=len(couples))
                    yield from self._pair(part, model, data, a, b, follow=False)
                job.partial = number + 1
                yield

        return submit_again(self._evaluator, Job((session, "compare"), self.draws_key(model, data, couples), work))

    def pooled(self, model: LoadedModel, data: str, couples: Sequence[tuple[Side, Side]]) -> dict[str, Pooled]:
        """What draws that have been measured say together, by metric."""
        key = self.draws_key(model, data, couples)
        found: dict[str, Pooled] | None = self._pools.get(key)
        if found is None:
            from pruning.statistics_of_draws import pooled_differences

            pairs = [pair for a, b in couples if (pair := self.known(model, data, a, b)) is not None]
            found = pooled_differences([pair.a for pair in pairs], [pair.b for pair in pairs])
            self._pools.put(key, found)
        return found

    # Other data ---------------------------------------------------------------------------------------------------

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
