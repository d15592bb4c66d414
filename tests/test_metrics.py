"""Metrics of the tasks against scikit-learn, torchmetrics and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from pruning.statistics import Estimate
from pruning.tasks import Batch, Outcome, tasks
from pruning.tasks.classification import CALIBRATION_BINS, calibration_error, confusion, scores_of

TASK = tasks()["text-classification"]
labels = st.integers(2, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes), st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=40)
    )
)


def outcome_of(logits: Tensor, targets: Tensor) -> Outcome:
    return TASK.outcome(logits, Batch(tuple(range(len(targets))), {}, targets))


def random_case(classes: int, count: int = 300) -> tuple[Tensor, Tensor]:
    """Logits that are right more often than by chance."""
    generator = torch.Generator().manual_seed(classes)
    targets = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), targets] += 1.0
    return logits, targets


def metrics_of(logits: Tensor, targets: Tensor, seed: int = 0) -> dict[str, Estimate]:
    return TASK.metrics(outcome_of(logits, targets), targets.numpy(), logits.shape[1], seed)


@given(labels)
@settings(max_examples=60, deadline=None)
def test_scores_are_those_of_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    """Class 1 for two classes, the mean over those that occur for more; 0 where there is nothing to divide by."""
    classes, pairs = case
    targets, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    table = confusion(targets, predicted, classes)
    assert (table == confusion_matrix(targets, predicted, labels=range(classes))).all()
    average = {"average": "binary" if classes == 2 else "macro"}
    precision, recall, f1, _ = precision_recall_fscore_support(targets, predicted, zero_division=0.0, **average)
    np.testing.assert_allclose(scores_of(table), [f1, precision, recall], atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_metrics_of_a_classifier(classes: int) -> None:
    logits, targets = random_case(classes)
    found, predicted = metrics_of(logits, targets), logits.argmax(-1)
    average = "binary" if classes == 2 else "macro"
    precision, recall, f1, _ = precision_recall_fscore_support(targets, predicted, average=average)
    expected = {
        "accuracy": accuracy_score(targets, predicted),
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "loss": float(torch.nn.functional.cross_entropy(logits.double(), targets)),
        "confidence": float(logits.double().softmax(-1).max(-1).values.mean()),
        "calibration_error": float(
            multiclass_calibration_error(logits.softmax(-1), targets, classes, n_bins=CALIBRATION_BINS, norm="l1")
        ),
    }
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(expected, abs=1e-6)
    assert all(e.low < e.value < e.high for e in found.values())


@given(st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_calibration_error_is_that_of_torchmetrics(pairs: list[tuple[float, bool]]) -> None:
    """Two classes: the confidence of class 1 and whether class 1 is right; torchmetrics works in float32."""
    confidences = np.array([np.float32(max(c, 0.501)) for c, _ in pairs], dtype=np.float64)
    inside = np.abs(confidences * CALIBRATION_BINS - np.round(confidences * CALIBRATION_BINS)) > 1e-4
    confidences, hits = confidences[inside], np.array([float(hit) for _, hit in pairs])[inside]
    if not len(hits):
        return
    probabilities = torch.tensor(np.stack([1 - confidences, confidences], 1), dtype=torch.float32)
    expected = multiclass_calibration_error(
        probabilities, torch.tensor(hits, dtype=torch.long), 2, n_bins=CALIBRATION_BINS, norm="l1"
    )
    found = calibration_error(confidences, hits, np.ones((1, len(hits))))
    assert found[0] == pytest.approx(float(expected), abs=1e-5)


def test_calibration_error_by_hand() -> None:
    """Two bins: .9 and always right, .6 and right in half of the cases; gaps of .1 in both."""
    confidences, hits = np.array([0.9, 0.9, 0.6, 0.6]), np.array([1.0, 1.0, 1.0, 0.0])
    assert calibration_error(confidences, hits, np.ones((1, 4)))[0] == pytest.approx(0.1)
    assert calibration_error(confidences, hits, np.array([[1.0, 1.0, 2.0, 0.0]]))[0] == pytest.approx((0.2 + 0.8) / 4)


def test_outcomes_hold_each_example() -> None:
    logits, targets = random_case(3, 50)
    found = outcome_of(logits, targets)
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    np.testing.assert_allclose(found.losses, expected.numpy(), rtol=1e-6)
    np.testing.assert_array_equal(found.predicted, logits.argmax(-1).numpy())
    np.testing.assert_array_equal(found.hits, (logits.argmax(-1) == targets).numpy())


def test_a_thousand_classes_of_which_few_occur() -> None:
    """No table with a cell for each pair of classes in each resample: it would take 16 GB."""
    few, targets = random_case(3, 60)
    logits = torch.full((60, 1000), -30.0)
    logits[:, ::400] = few
    many, plain = metrics_of(logits, 400 * targets), metrics_of(few, targets)
    assert many["f1"].value == pytest.approx(plain["f1"].value)
    assert many["f1"].low < many["f1"].value < many["f1"].high


def test_intervals_come_from_the_seed_alone() -> None:
    logits, targets = random_case(2)
    assert metrics_of(logits, targets, 1) == metrics_of(logits, targets, 1)
    assert metrics_of(logits, targets, 1)["f1"] != metrics_of(logits, targets, 2)["f1"]


def test_all_right_and_all_wrong() -> None:
    targets = torch.tensor([0, 1, 0, 1])
    right = torch.nn.functional.one_hot(targets, 2) * 20.0
    assert metrics_of(right, targets)["f1"].value == 1
    assert metrics_of(-right, targets)["f1"].value == 0
    assert 0 < metrics_of(right, targets)["accuracy"].low < 1, "four right answers prove little"


def test_language_modeling_loss_and_token_accuracy() -> None:
    task, generator = tasks()["language-modeling"], torch.Generator().manual_seed(0)
    ids = torch.randint(11, (3, 7), generator=generator)
    logits = torch.randn(3, 7, 11, generator=generator)
    found = task.outcome(logits, Batch((0, 1, 2), {"input_ids": ids}, None))
    for row in range(3):
        expected = torch.nn.functional.cross_entropy(logits[row, :6], ids[row, 1:])
        assert found.losses[row] == pytest.approx(float(expected), rel=1e-6)
        assert found.hits[row] == pytest.approx(float((logits[row, :6].argmax(-1) == ids[row, 1:]).double().mean()))
    metrics = task.metrics(found, np.full(3, -1), 0, 0)
    assert metrics["perplexity"].value == pytest.approx(math.exp(found.losses.mean()))
    assert metrics["perplexity"].low < metrics["perplexity"].value < metrics["perplexity"].high
    single = task.metrics(task.outcome(logits[:1], Batch((0,), {"input_ids": ids[:1]}, None)), np.full(1, -1), 0, 0)
    assert not np.isfinite([single["perplexity"].low, single["perplexity"].high]).any(), "one text has no interval"
