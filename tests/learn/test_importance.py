"""Lesson 4: what two criteria have in common, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import transformers as tf
from scipy.stats import spearmanr
from streamlit.testing.v1 import AppTest

from pruning.errors import UnsupportedError
from pruning.gating import _GATES
from pruning.importance import criteria
from pruning.importance.scoring import score
from pruning.masks import Mask
from pruning.models import wrap_model
from tests.families import IDS, SEP, TINY, examples_of, model_of
from ui.learn.base import Outcome, Subject
from ui.learn.experiments.importance import CRITERIA, LOOKS_AT, Importance, ends_of, lowest_of

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str) -> Subject:
    examples = examples_of(name, 12)
    return Subject(model_of(name), "tiny", examples, examples, Mask())


@pytest.mark.parametrize(("name", "one", "other"), [("bart", "gradient", "entropy"), ("bert", "wanda", "magnitude")])
def test_the_heads_in_common_are_counted(name: str, one: str, other: str) -> None:
    subject = subject_of(name)
    found = Importance(one, other).run(subject, SILENT)
    maps = [score(subject.model, criterion, subject.calibration) for criterion in (one, other)]
    keep = [list(importance.keep_values.values()) for importance in maps]
    k = subject.model.anatomy.total_heads // 5
    lowest = [set(np.argsort(values, kind="stable")[:k]) for values in keep]
    assert found.truth == len(lowest[0] & lowest[1])
    assert found.lowest == k == Importance().guess(subject).high
    assert found.rank.value == pytest.approx(spearmanr(*keep).statistic)
    if found.low is not None and found.high is not None:
        assert found.low <= found.truth <= found.high
    assert (found.low is None) == all(importance.scores is None for importance in maps)


def test_there_are_eight_quick_criteria() -> None:
    assert len(CRITERIA) == 8 == len(set(CRITERIA))
    assert all(criteria()[name].quick for name in CRITERIA)
    assert set(LOOKS_AT) == set(CRITERIA)


def test_criteria_that_a_model_does_not_allow_are_left_out() -> None:
    """Longformer's attention is banded: no weights of token by token are made anywhere."""
    settings = {**TINY, **IDS, "sep_token_id": SEP, "attention_window": [4, 4]}
    module = tf.LongformerForSequenceClassification(tf.LongformerConfig(**settings))
    subject = replace(subject_of("bert"), model=wrap_model(module.eval(), name="longformer"))
    found = Importance("gradient", "magnitude").run(subject, SILENT)
    assert {*found.refused} == {"entropy", "confidence"}
    with pytest.raises(UnsupportedError):
        Importance("gradient", "entropy").run(subject, SILENT)


def test_too_few_heads_are_refused() -> None:
    subject = subject_of("bert")
    assert Importance.refusal(subject) is None
    model = replace(subject.model)
    model.__dict__["anatomy"] = replace(subject.model.anatomy, sites=subject.model.anatomy.sites[:1])
    assert "too few" in str(Importance.refusal(replace(subject, model=model)))
    assert lowest_of(subject) == 1


def test_it_gives_the_same_twice_and_leaves_nothing_behind() -> None:
    subject = subject_of("bert")
    steps: list[tuple[int, int]] = []
    first = Importance().run(subject, lambda done, total, step: steps.append((done, total)))
    second = Importance().run(subject, SILENT)
    assert [one.values for one in first.maps] == [one.values for one in second.maps]
    assert (first.truth, first.low, first.high) == (second.truth, second.low, second.high)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert _GATES.get() is None


def drawn(experiment: "Importance", subject: "Subject", outcome: "Outcome") -> None:  # noqa: UP037  it runs by itself
    experiment.draw(subject, outcome, "dark")


@pytest.mark.parametrize("name", ["vit", "swin", "llama-lm", "t5"])
def test_it_can_be_drawn(name: str) -> None:
    subject, experiment = subject_of(name), Importance("gradient", "output-norm")
    outcome = experiment.run(subject, SILENT)
    script = AppTest.from_function(
        drawn, kwargs={"experiment": experiment, "subject": subject, "outcome": outcome}, default_timeout=30
    ).run()
    assert not script.exception
    assert len(script.dataframe) == 2
    assert "Furthest apart" in ends_of(outcome)[1]
