"""Lesson 6: what scoring again wins, computed a second time by removing and scoring by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pruning.evaluation import evaluate
from pruning.gating import _GATES
from pruning.importance.context import Setting
from pruning.importance.scoring import score
from pruning.masks import HeadId, Mask
from pruning.means import measure_means
from tests.families import examples_of, model_of
from ui.learn.base import Subject
from ui.learn.experiments.adaptive import CHOICES, Adaptive

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str, rows: int = 12) -> Subject:
    examples = examples_of(name, rows)
    return Subject(model_of(name), "tiny", examples.at(range(6)), examples, Mask())


def test_what_is_won_is_that_of_an_order_made_by_hand() -> None:
    subject = subject_of("bert")
    found = Adaptive("gradient", 2).run(subject, SILENT)
    model, rows = subject.model, subject.calibration
    means = measure_means(model, rows)
    first = score(model, "gradient", rows).ranked()
    half = Mask(frozenset(HeadId(*unit) for unit in first[:4]))
    second = score(model, "gradient", rows, setting=Setting(half, means)).ranked()
    again = first[:4] + [unit for unit in second if unit not in first[:4]]
    count = next(n for n in range(9) if 8 - n <= 8 * (1 - CHOICES["gradient"].shares[-1]) + 1e-9)
    accuracies = [
        evaluate(model, subject.evaluation, Mask(frozenset(HeadId(*u) for u in order[:count]))).metrics["accuracy"]
        for order in (first, again)
    ]
    assert found.cuts[-1].once == accuracies[0]
    assert found.cuts[-1].again == accuracies[1]
    assert found.truth == pytest.approx(100 * (accuracies[1].value - accuracies[0].value))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.truth <= found.high


@pytest.mark.parametrize(("name", "what"), [("vit", "levels"), ("llama-lm", "gradient"), ("t5", "attention")])
def test_it_works_for_every_kind_of_model(name: str, what: str) -> None:
    subject = subject_of(name)
    found = Adaptive(what, 2).run(subject, SILENT)
    assert [cut.share for cut in found.cuts] == list(CHOICES[what].shares)
    assert all(0 <= cut.shared <= 1 for cut in found.cuts)
    assert found.samples == len(subject.evaluation)
    assert _GATES.get() is None


def test_it_gives_the_same_twice() -> None:
    subject = subject_of("bert")
    assert Adaptive().run(subject, SILENT) == Adaptive().run(subject, SILENT)


def test_a_model_with_few_heads_is_refused() -> None:
    subject = subject_of("bert")
    assert Adaptive.refusal(subject) is None
    few = replace(subject, model=subject.model.with_module(subject.model.module))
    few.model.__dict__["anatomy"] = replace(subject.model.anatomy, sites=subject.model.anatomy.sites[:1])
    assert Adaptive.refusal(few) is not None
