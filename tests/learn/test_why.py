"""Lesson 2: what removing heads costs and saves, computed a second time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from pruning.evaluation import compare, evaluate
from pruning.gating import _GATES
from pruning.importance.scoring import score
from pruning.masks import HeadId, Mask
from pruning.surgery import prune
from tests.families import examples_of, model_of
from ui.learn.base import Outcome, Subject
from ui.learn.experiments.why import ORDERS, Why, WhyOutcome, left_rows

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str, mask: Mask | None = None) -> Subject:
    examples = examples_of(name, 24)
    return Subject(model_of(name), "tiny", examples.at(range(8)), examples, mask or Mask())


@pytest.mark.parametrize("order", ORDERS)
def test_the_fall_is_that_of_the_lowest_heads(order: str) -> None:
    subject = subject_of("bert")
    found = Why(0.5, order).run(subject, SILENT)
    mask = score(subject.model, order, subject.calibration).lowest(4)
    whole, pruned = (evaluate(subject.model, subject.evaluation, one) for one in (None, mask))
    fall = 100 * (whole.metrics["accuracy"].value - pruned.metrics["accuracy"].value)
    assert found.truth == pytest.approx(fall)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.truth <= found.high
    assert (found.removed, found.heads) == (4, 8)
    assert found.after.parameters == sum(p.numel() for p in prune(subject.model, mask).module.parameters())


def test_a_language_model_is_judged_by_its_loss() -> None:
    subject = subject_of("llama-lm")
    found = Why(0.5, "gradient").run(subject, SILENT)
    mask = score(subject.model, "gradient", subject.calibration).lowest(4)
    whole, pruned = (evaluate(subject.model, subject.evaluation, one) for one in (None, mask))
    assert found.truth == pytest.approx(compare(whole, pruned).differences["loss"].value)
    assert "loss" in Why().guess(subject).unit


def test_heads_of_the_link_go_first() -> None:
    given = Mask(frozenset({HeadId(1, 3), HeadId(0, 0), HeadId(1, 1)}))
    subject = subject_of("bert", given)
    assert Why(0.1).run(subject, SILENT).removed == 3
    found = Why(0.5).run(subject, SILENT)
    assert found.removed == 4
    pruned = Why(0.5)._mask(subject, subject.calibration, None)
    assert given.heads < pruned.heads


def test_models_without_heads_are_refused() -> None:
    subject = subject_of("bert")
    anatomy = replace(subject.model.anatomy, support="none", reason="they are glued")
    model = replace(subject.model)
    model.__dict__["anatomy"] = anatomy
    assert "they are glued" in str(Why.refusal(replace(subject, model=model)))
    assert Why.refusal(subject) is None


@pytest.mark.parametrize(("name", "high"), [("bert", 50.0), ("vit", 50.0)])
def test_the_slider_reaches_down_to_guessing(name: str, high: float) -> None:
    asked = Why().guess(subject_of(name))
    assert asked.low < 0 < asked.start < asked.high == high


def test_it_gives_the_same_twice_and_leaves_nothing_behind() -> None:
    subject = subject_of("bert")
    steps: list[tuple[int, int]] = []
    assert Why().run(subject, lambda done, total, step: steps.append((done, total))) == Why().run(subject, SILENT)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert _GATES.get() is None


def drawn(experiment: "Why", subject: "Subject", outcome: "Outcome") -> None:  # noqa: UP037  it runs by itself
    experiment.draw(subject, outcome, "dark")


@pytest.mark.parametrize("name", ["vit", "swin", "llama-lm", "t5"])
def test_it_can_be_drawn(name: str) -> None:
    subject, experiment = subject_of(name), Why(0.3, "random")
    outcome = experiment.run(subject, SILENT)
    assert isinstance(outcome, WhyOutcome)
    script = AppTest.from_function(
        drawn, kwargs={"experiment": experiment, "subject": subject, "outcome": outcome}, default_timeout=30
    ).run()
    assert not script.exception
    assert len(script.dataframe) == 1
    rows = left_rows(outcome, bool(subject.evaluation.class_names))
    parameters = outcome.after.parameters / outcome.before.parameters
    assert [row.share for row in rows[:2]] == pytest.approx([1 - outcome.removed / outcome.heads, parameters])
