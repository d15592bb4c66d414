"""Evaluating a masked model: metrics with intervals, per-example predictions, and the comparison of two evaluations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pruning.errors import PruningError, UnsupportedError
from pruning.masks import Mask
from pruning.statistics import Estimate, mcnemar, mean, paired_proportion, percentile_interval

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation
    from pruning.replay import Tapes
    from pruning.tasks import Collector, Examples, Outcome, Task

FIRST_STEP, STEP = 80, 384  # a first estimate after 80 examples, a better one after every 384 more
BATCH_SIZE = 32


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a (masked) model did on a set of examples.

    Attributes:
        task: Name of the task.
        metrics: Estimates with 95% intervals.
        samples: How many examples these figures stand on.
        total: How many there are; more than ``samples`` while an evaluation is still running.
        positions: Which examples, as positions in the data set, ascending.
        outcome: Loss, prediction, confidence and hit of each of them.
        seconds: Time of the forward passes and the metrics, without loading and encoding.
        model, data: Fingerprints of what was evaluated.
    """

    task: str
    mask: Mask
    metrics: dict[str, Estimate]
    samples: int
    total: int
    positions: np.ndarray
    outcome: Outcome
    targets: np.ndarray
    class_names: tuple[str, ...]
    texts: tuple[str, ...]
    seconds: float
    model: str
    data: str

    @property
    def complete(self) -> bool:
        return self.samples == self.total

    def predictions(self, numbers: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """One row per example: its number, text, label, prediction, confidence, loss.

        Args:
            numbers: Row of each example in its source, as in `Dataset.rows`; positions among the examples without it.
        """
        rows = []
        for i, position in enumerate(self.positions):
            number = int(position) if numbers is None else numbers[position]
            row: dict[str, Any] = {"row": number, "text": self.texts[position]}
            if self.class_names:
                row["label"] = self.class_names[self.targets[i]]
                row["predicted"] = self.class_names[self.outcome.predicted[i]]
            row["confidence"] = float(self.outcome.confidences[i])
            row["loss"] = float(self.outcome.losses[i])
            rows.append(row)
        return rows

    def to_json(self, predictions: bool = True, numbers: Sequence[int] | None = None) -> dict[str, Any]:
        """For JSON; ``numbers`` as in `predictions`."""
        value: dict[str, Any] = {
            "task": self.task,
            "metrics": {name: estimate.to_json() for name, estimate in self.metrics.items()},
            "loss": self.metrics["loss"].value,
            "samples": self.samples,
            "seconds": self.seconds,
            "mask": self.mask.to_json(),
            "model": self.model,
            "data": self.data,
        }
        return {**value, "predictions": self.predictions(numbers)} if predictions else value


OnProgress = Callable[[int, int], None]  # examples done, examples in all; may raise Cancelled


def random_steps(count: int, seed: int = 0) -> list[list[int]]:
    """All positions once, in random order and in steps, so that what is seen after each step is a fair sample."""
    order = np.random.default_rng(seed).permutation(count).tolist()
    ends = [0, *range(FIRST_STEP, count, STEP), count]
    return [order[a:b] for a, b in pairwise(ends) if a < b]


def evaluate(
    model: LoadedModel,
    examples: Examples,
    mask: Mask | None = None,
    *,
    task: Task | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    compensation: Compensation | None = None,
) -> Evaluation:
    """Run the masked model over the examples.

    Args:
        mask: What is removed; nothing by default.
        seed: Of the bootstrap behind the intervals.
        on_progress: Called after every batch; it may raise `Cancelled`.
        compensation: Other weights for the projections, as they will be after cutting.

    Raises:
        MaskError: The mask does not fit the model.
        UnsupportedError: The mask or the task cannot be used with this model, or its losses are not finite.
    """
    steps = [range(len(examples))]
    (found,) = _evaluate(model, examples, mask, task, batch_size, seed, on_progress, compensation, steps)
    return found


def evaluate_in_steps(
    model: LoadedModel,
    examples: Examples,
    mask: Mask | None = None,
    *,
    task: Task | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    compensation: Compensation | None = None,
    tapes: Tapes | None = None,
) -> Iterator[Evaluation]:
    """The same in growing random samples: an evaluation of what has been seen so far after each, the whole one last.

    No mask is set between two steps, so the thread may do other work there.

    Args:
        tapes: Where states are kept, so that the next mask is run only from the first layer on that it changes.
    """
    steps = random_steps(len(examples), seed)
    return _evaluate(model, examples, mask, task, batch_size, seed, on_progress, compensation, steps, tapes)


def _evaluate(
    model: LoadedModel,
    examples: Examples,
    mask: Mask | None,
    task: Task | None,
    batch_size: int,
    seed: int,
    on_progress: OnProgress | None,
    compensation: Compensation | None,
    steps: Sequence[Sequence[int]],
    tapes: Tapes | None = None,
) -> Iterator[Evaluation]:
    import torch

    from pruning.gating import gated
    from pruning.replay import runner_of
    from pruning.tasks import Collector, batches, task_of

    mask, task = mask or Mask(), task or task_of(model)
    collector, seconds = Collector(len(examples)), 0.0
    runner, owner = runner_of(model, examples), (model.fingerprint, examples.fingerprint)
    if tapes is None:  # a tape has to know the heads that are removed, too: the next mask may bring them back
        runner = runner.without(mask)
    for positions in steps:
        started = time.perf_counter()
        with gated(runner.model, mask, compensation=compensation), torch.inference_mode():
            for batch in batches(examples, batch_size, model.device, positions):
                if tapes is not None:
                    with tapes.of(owner, batch.positions) as tape:
                        logits = runner.replay(batch, tape, mask, compensation)
                else:
                    logits = runner.logits(batch)
                collector.add(batch, task.outcome(logits, batch))
                if on_progress is not None:
                    on_progress(len(collector.done), len(examples))
        found = summarise(model, examples, mask, task, collector, seed)
        seconds += time.perf_counter() - started
        yield replace(found, seconds=seconds)


def summarise(
    model: LoadedModel, examples: Examples, mask: Mask, task: Task, collector: Collector, seed: int
) -> Evaluation:
    """The evaluation of what has been collected so far; its seconds are still open.

    Raises:
        UnsupportedError: Some losses are not finite: then predictions are no answers of the model.
    """
    where = np.sort(np.asarray(collector.done, dtype=int))
    outcome = collector.outcome(where)
    bad = int((~np.isfinite(outcome.losses)).sum())
    if bad:
        raise UnsupportedError(
            "{model} gives NaN or infinity for {bad:,} of {samples:,} examples, so nothing is measured: its weights, "
            "or sums of them, are not finite numbers",
            model=model.spec.name,
            bad=bad,
            samples=len(where),
        )
    targets = np.asarray(examples.targets, dtype=int)[where] if examples.targets else np.full(len(where), -1)
    return Evaluation(
        task=task.name,
        mask=mask,
        metrics=task.metrics(outcome, targets, len(examples.class_names), seed),
        samples=len(where),
        total=len(examples),
        positions=where,
        outcome=outcome,
        targets=targets,
        class_names=examples.class_names,
        texts=examples.texts,
        seconds=0.0,
        model=model.fingerprint,
        data=examples.fingerprint,
    )


# Comparison ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flip:
    """An example that the two models answer differently."""

    position: int
    text: str
    label: str
    before: str
    after: str
    confidence_before: float
    confidence_after: float
    kind: Literal["worse", "better", "other"]


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same examples, ``after`` minus ``before``.

    Attributes:
        differences: Paired differences with 95% intervals, by metric.
        p_value: Of McNemar's exact test on right against wrong; ``None`` where there are no classes.
        flips: Examples with another prediction, the new errors first, the most confident first.
        samples: How many examples both have.
    """

    differences: dict[str, Estimate]
    p_value: float | None
    flips: tuple[Flip, ...]
    samples: int

    def count(self, kind: str) -> int:
        return sum(flip.kind == kind for flip in self.flips)


def compare(before: Evaluation, after: Evaluation, seed: int = 0) -> Comparison:
    """Compare two evaluations on the examples that both have seen.

    Raises:
        PruningError: They are of different data or have no example in common.
    """
    if before.data != after.data:
        raise PruningError(
            "these evaluations are of different data ({before} and {after})", before=before.data, after=after.data
        )
    common, at, to = np.intersect1d(before.positions, after.positions, return_indices=True)
    if not len(common):
        raise PruningError("these evaluations have no example in common")
    first, second, targets = _take(before.outcome, at), _take(after.outcome, to), before.targets[at]
    differences = {"loss": mean(second.losses - first.losses)}
    differences["confidence"] = mean(second.confidences - first.confidences, -1.0, 1.0)
    if not before.class_names:
        return Comparison({"accuracy": mean(second.hits - first.hits), **differences}, None, (), len(common))
    better = int(((first.hits == 0) & (second.hits == 1)).sum())
    worse = int(((first.hits == 1) & (second.hits == 0)).sum())
    differences = {"accuracy": paired_proportion(better, worse, len(common)), **differences}
    differences |= _bootstrap_differences(first, second, targets, len(before.class_names), seed)
    flips = _flips(before, first, second, targets, common)
    return Comparison(differences, mcnemar(better, worse), flips, len(common))


def _take(outcome: Outcome, where: np.ndarray) -> Outcome:
    from pruning.tasks import Outcome

    return Outcome(*(getattr(outcome, name)[where] for name in ("losses", "predicted", "confidences", "hits")))


def _bootstrap_differences(
    first: Outcome, second: Outcome, targets: np.ndarray, classes: int, seed: int
) -> dict[str, Estimate]:
    """Paired bootstrap of the metrics that are not means; both models are resampled with the same examples.

    The examples are sorted first, so that their order does not matter; by their classes before their confidences, so
    that neighbours whom another processor's rounding exchanges are alike.
    """
    from pruning.calibration import bin_of
    from pruning.statistics import RESAMPLES
    from pruning.tasks.classification import calibration_error, confusion, ratios, scores_of

    count = len(targets)
    sides = (first, second)
    sure = [o.confidences for o in sides]
    order = np.lexsort((*sure, *map(bin_of, sure), *(o.predicted for o in sides), targets))
    first, second, targets = _take(first, order), _take(second, order), targets[order]
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES // 4)
    weights = draws.astype(float)  # (resample, example)
    actual = np.eye(classes)[targets]  # (example, class)

    def scores(outcome: Outcome, rows: np.ndarray) -> np.ndarray:
        claimed = np.eye(classes)[outcome.predicted]
        return ratios(rows @ (actual * claimed), rows @ claimed, rows @ actual)

    def point(outcome: Outcome) -> np.ndarray:
        return scores_of(confusion(targets, outcome.predicted, classes))

    resampled = scores(second, weights) - scores(first, weights)
    plain = point(second) - point(first)
    names = ("f1", "precision", "recall")
    result = {name: percentile_interval(float(plain[i]), resampled[i], count) for i, name in enumerate(names)}
    one = np.ones((1, count))
    errors = [calibration_error(o.confidences, o.hits, w) for w in (one, weights) for o in (second, first)]
    value = float((errors[0] - errors[1])[0])
    result["calibration_error"] = percentile_interval(value, errors[2] - errors[3], count)
    return result


def _flips(
    evaluation: Evaluation, first: Outcome, second: Outcome, targets: np.ndarray, common: np.ndarray
) -> tuple[Flip, ...]:
    names = evaluation.class_names
    flips = []
    for i in np.flatnonzero(first.predicted != second.predicted):
        kind: Literal["worse", "better", "other"] = "other"
        if first.hits[i] != second.hits[i]:
            kind = "worse" if first.hits[i] else "better"
        flips.append(
            Flip(
                position=int(common[i]),
                text=evaluation.texts[common[i]],
                label=names[targets[i]],
                before=names[first.predicted[i]],
                after=names[second.predicted[i]],
                confidence_before=float(first.confidences[i]),
                confidence_after=float(second.confidences[i]),
                kind=kind,
            )
        )
    order = {"worse": 0, "better": 1, "other": 2}
    return tuple(sorted(flips, key=lambda flip: (order[flip.kind], -flip.confidence_after)))
