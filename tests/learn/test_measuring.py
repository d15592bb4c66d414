"""Lesson 8: the width of the interval on part of the rows, computed a second time on those rows alone."""

from __future__ import annotations

import pytest

from pruning.evaluation import compare, evaluate
from pruning.gating import _GATES
from pruning.masks import HeadId, Mask
from tests.families import examples_of, model_of
from ui.learn.base import Subject
from ui.learn.experiments.measuring import FOLDS, Measuring

SILENT = lambda done, total, step: None  # noqa: E731
MASK = Mask(frozenset({HeadId(0, 1), HeadId(1, 2)}))


def subject_of(name: str, rows: int = 43, mask: Mask = MASK) -> Subject:
    examples = examples_of(name, rows)
    return Subject(model_of(name), "tiny", examples.at(range(6)), examples, mask)


@pytest.mark.parametrize("metric", ["accuracy", "recall", "loss", "calibration_error"])
def test_the_width_is_that_of_an_evaluation_of_those_rows_alone(metric: str) -> None:
    subject = subject_of("bert")
    found = Measuring(metric, 4).run(subject, SILENT)
    alone = evaluate(subject.model, subject.evaluation.at(range(10)), subject.mask).metrics[metric]
    scale = 1 if metric == "loss" else 100
    assert found.samples == 10
    assert found.truth == pytest.approx(scale * (alone.high - alone.low), rel=1e-4, abs=1e-6)
    assert [size for size, _ in found.parts] == [5, 10, 20, 40]
    last = evaluate(subject.model, subject.evaluation.at(range(30, 40)), subject.mask).metrics[metric]
    assert found.at(10)[-1].value == pytest.approx(last.value, abs=1e-5)


def test_new_errors_are_those_of_the_comparison() -> None:
    subject = subject_of("bert")
    found = Measuring().run(subject, SILENT)
    rows = subject.evaluation.at(range(40))
    change = compare(evaluate(subject.model, rows), evaluate(subject.model, rows, MASK))
    assert (found.worse, found.better) == (change.count("worse"), change.count("better"))
    assert found.removed == len(MASK.heads)


@pytest.mark.parametrize("name", ["vit", "llama-lm", "t5"])
def test_without_a_mask_half_of_the_heads_go(name: str) -> None:
    subject = subject_of(name, mask=Mask())
    found = Measuring().run(subject, SILENT)
    assert found.removed == sum(subject.model.anatomy.heads_per_site) // 2
    assert [len(parts) for _, parts in found.parts] == list(FOLDS)
    assert found == Measuring().run(subject, SILENT)
    assert _GATES.get() is None


def test_few_rows_are_refused() -> None:
    assert Measuring.refusal(subject_of("bert")) is None
    assert Measuring.refusal(subject_of("bert", rows=20)) is not None
