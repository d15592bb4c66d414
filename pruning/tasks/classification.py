"""What text and image classification share: labels, losses, predictions and metrics."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import TYPE_CHECKING, Any

import numpy as np

from pruning.calibration import CALIBRATION_BINS, bin_of
from pruning.errors import DataError, UnsupportedError
from pruning.language import later
from pruning.statistics import RESAMPLES, Estimate, mean, percentile_interval, proportion, resampled_counts
from pruning.tasks.base import Batch, Outcome, Task

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.data import Dataset
    from pruning.models import LoadedModel


class Classification(Task):
    """Single-label classification over the model's own classes."""

    needs_labels = True

    def check(self, model: LoadedModel) -> None:
        """Refuse what only looks like a classifier.

        Raises:
            UnsupportedError: The head's weights are missing, or it does regression or several labels at once.
        """
        kind = getattr(model.module.config, "problem_type", None)
        if kind in ("regression", "multi_label_classification") or len(model.labels) < 2:
            raise UnsupportedError(
                "{model} does {kind}: single-label classification is measured",
                model=model.spec.name,
                kind=kind or later("regression"),
            )
        super().check(model)

    def targets(self, model: LoadedModel, data: Dataset) -> tuple[int, ...]:
        """Class index of each example.

        Raises:
            DataError: There are no labels, or a label is not one of the model's.
        """
        if not data.labels and data.columns:  # the first example may have been taken for the names
            raise DataError(
                "{data} has no label column: name it with --label-column; the columns are {columns} (the first line of "
                "a CSV file has to name them)",
                data=data.spec.name,
                columns=", ".join(repr(name[:40]) for name in data.columns[:12]),
            )
        if not data.labels:
            raise DataError("{data} has no label column: name it with --label-column", data=data.spec.name)
        names = {name.casefold(): i for i, name in enumerate(model.labels)}
        numbers = {str(i): i for i in range(len(model.labels))}
        spellings = [_spelling(label, names) for label in data.labels]
        spelled = {*spellings, *(_spelling(label, names) for label in data.spellings)}
        # Names may be numbers themselves (stars from 1 to 5): they count as numbers only where they cannot be names.
        indices = numbers if spelled <= numbers.keys() and not spelled <= names.keys() else numbers | names
        targets = []
        for row, label, spelling in zip(data.rows, data.labels, spellings, strict=True):
            index = indices.get(spelling)
            if index is None:
                allowed = ", ".join(model.labels[:12])
                raise DataError(
                    "row {row}: {label!r} is not a label of this model; allowed are {allowed} or their numbers from 0",
                    row=row,
                    label=label,
                    allowed=allowed,
                )
            targets.append(index)
        return tuple(targets)

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of each example, ``(example,)``."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, batch.targets, reduction="none")

    def outcome(self, logits: Tensor, batch: Batch) -> Outcome:
        confidences, predicted = logits.softmax(-1).max(-1)
        hits = (predicted == batch.targets).double()
        arrays = (self.losses(logits, batch).double(), predicted, confidences.double(), hits)
        return Outcome(*(array.cpu().numpy() for array in arrays))

    def metrics(self, outcome: Outcome, targets: np.ndarray, classes: int, seed: int) -> dict[str, Estimate]:
        """Accuracy, F1, precision, recall, loss, mean confidence and calibration error, each with a 95% interval.

        With two classes, F1, precision and recall are those of class 1; with more, their mean over the classes that
        occur as label or prediction. These three have no interval where all resamples agree, or where there are fewer
        examples than `pruning.statistics.FEWEST`, as the calibration error has none then: that is no certainty.
        """
        hits = int(outcome.hits.sum())
        result = {"accuracy": proportion(hits, len(targets))}
        table = confusion(targets, outcome.predicted, classes)
        value, resampled = scores_of(table), resampled_scores(table, seed)
        for i, name in enumerate(("f1", "precision", "recall")):
            varied = len(targets) if np.ptp(resampled[i]) > 0 else 0
            result[name] = percentile_interval(float(value[i]), resampled[i], varied)
        result["loss"] = mean(outcome.losses, least=0.0)
        result["confidence"] = mean(outcome.confidences, 0.0, 1.0)
        result["calibration_error"] = calibration_estimate(outcome.confidences, outcome.hits, seed)
        return result


def _spelling(label: Any, names: Container[str]) -> str:
    """A label as it is looked up; "2.0" is 2 unless it is a name: so pandas writes whole numbers beside gaps."""
    text = str(label).casefold()
    return text if text in names else re.sub(r"^(\d+)\.0$", r"\1", text)


def confusion(targets: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts ``(target, predicted)``."""
    return np.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes)


def scores_of(table: np.ndarray) -> np.ndarray:
    """F1, precision and recall, ``(3, …)``, of one or many confusion tables ``(…, target, predicted)``."""
    return ratios(np.diagonal(table, axis1=-2, axis2=-1).astype(float), table.sum(-2), table.sum(-1))


def resampled_scores(table: np.ndarray, seed: int) -> np.ndarray:
    """F1, precision and recall of bootstrap resamples, ``(3, resample)``.

    Only cells that hold an example are drawn: with a thousand classes there are a million others.
    """
    targets, predicted = np.nonzero(table)
    draws = resampled_counts(table[targets, predicted], seed).astype(float)  # (resample, cell)
    actual, claimed = np.eye(len(table))[targets], np.eye(len(table))[predicted]  # (cell, class)
    return ratios(draws @ (actual * claimed), draws @ claimed, draws @ actual)


def ratios(right: np.ndarray, claimed: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """F1, precision and recall, ``(3, …)``, from the counts of each class, ``(…, class)``.

    A ratio with nothing below the line counts as 0, and a class that does not occur at all is left out of the mean, as
    in scikit-learn.
    """
    precision = np.divide(right, claimed, out=np.zeros_like(right), where=claimed > 0)
    recall = np.divide(right, actual, out=np.zeros_like(right), where=actual > 0)
    both = claimed + actual
    f1 = np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0)
    stacked = np.stack([f1, precision, recall])
    if right.shape[-1] == 2:
        return stacked[..., 1]
    return stacked.sum(-1) / np.maximum(1, (both > 0).sum(-1))


def calibration_error(confidences: np.ndarray, hits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error over 15 bins of equal width (Guo et al., ICML 2017).

    Args:
        weights: ``(resample, example)``: how often each example counts.

    Returns:
        ``(resample,)``.
    """
    gaps = np.zeros((len(hits), CALIBRATION_BINS))
    gaps[np.arange(len(hits)), bin_of(confidences)] = confidences - hits
    return np.abs(weights @ gaps).sum(-1) / weights.sum(-1)


def calibration_estimate(confidences: np.ndarray, hits: np.ndarray, seed: int) -> Estimate:
    """The calibration error with its bootstrap interval, whatever the order of the examples.

    Right and wrong ones are sorted apart: another processor's rounding may exchange neighbours, which then are alike.
    """
    count, order = len(hits), np.lexsort((confidences, hits))
    confidences, hits = confidences[order], hits[order]
    value = float(calibration_error(confidences, hits, np.ones((1, count)))[0])
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES // 4)
    return percentile_interval(value, calibration_error(confidences, hits, weights.astype(float)), count)
