"""Lesson 11: the most frequent answer, recall and baseline, counted a second time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from pruning.evaluation import evaluate
from pruning.gating import _GATES, gated
from pruning.importance.scoring import score
from pruning.masks import Mask
from pruning.statistics import Estimate
from pruning.tasks import batches, forward
from tests.families import examples_of, model_of
from ui.learn.base import Experiment, Subject
from ui.learn.charts_failure import spread
from ui.learn.experiments.failure import SHARES, Collapse, Failure, Stage, sentences_of, table_of, title_of
from ui.learn.experiments.recovery import Recovery
from ui.learn.experiments.speed import Speed
from ui.learn.experiments.strategy import Strategy

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str) -> Subject:
    examples = examples_of(name, 18)
    return Subject(model_of(name), "tiny", examples.at(range(8)), examples, Mask())


def masked(subject: Subject, share: int) -> Mask:
    heads = sum(subject.model.anatomy.heads_per_site)
    return score(subject.model, "gradient", subject.calibration).lowest(round(share / 100 * heads))


def test_the_most_frequent_answer_is_that_of_the_predictions() -> None:
    subject = subject_of("bert")
    found = Failure(80).run(subject, SILENT)
    after = evaluate(subject.model, subject.evaluation, masked(subject, 80))
    (top, count) = Counter(after.outcome.predicted.tolist()).most_common(1)[0]
    assert found.truth == pytest.approx(100 * count / 18)
    stage = found.asked_stage
    assert stage.answer == subject.evaluation.class_names[top]
    for name, recall in stage.recalls:
        which = np.flatnonzero(after.targets == subject.evaluation.class_names.index(name))
        assert recall == pytest.approx(np.mean(after.outcome.predicted[which] == after.targets[which]))
    assert found.baseline == pytest.approx(max(Counter(subject.evaluation.targets).values()) / 18)
    assert [one.share for one in found.stages] == list(SHARES)
    assert found == Failure(80).run(subject, SILENT)
    assert len(table_of(found)) == len(SHARES)
    assert sentences_of(found)


def test_a_language_model_is_judged_by_its_most_frequent_token() -> None:
    subject = subject_of("gpt2-lm")
    found = Failure(90).run(subject, SILENT)
    tokens = []
    with gated(subject.model, masked(subject, 90)), torch.inference_mode():
        for batch in batches(subject.evaluation, 1, subject.model.device):
            tokens.append(forward(subject.model.module, batch)[0].argmax(-1).tolist())
    top = Counter(token for row in tokens for token in row).most_common(1)[0][1]
    counts = Counter(token for row in tokens for token in row)
    shares = {
        token: np.mean([row.count(token) / len(row) for row in tokens]) for token, n in counts.items() if n == top
    }
    assert any(found.truth == pytest.approx(100 * share) for share in shares.values())
    assert found.baseline is None
    assert found.asked_stage.recalls == ()
    assert _GATES.get() is None


def stage(share: int, gain: float, change: float) -> Stage:
    def around(value: float) -> Estimate:
        return Estimate(value, value - 0.05, value + 0.05)

    return Stage(
        share,
        around(0.7),
        around(0.6),
        "yes",
        around(0.8),
        0.1,
        (("yes", 1.0), ("no", 0.2)),
        around(gain),
        around(change),
    )


def test_it_says_where_to_roll_back_to_and_where_the_model_is_useless() -> None:
    stages = (stage(0, 0.4, 0.0), stage(30, 0.35, -0.02), stage(60, 0.2, -0.2), stage(90, 0.0, -0.4))
    found = Collapse(60.0, stages=stages, asked=60, baseline=0.5)
    assert (found.last_good, found.useless) == (30, 90)
    assert title_of(found) == "From 90% on, accuracy is no better than always giving one answer"
    assert Collapse(60.0, stages=stages[:3], asked=60, baseline=0.5).useless is None
    assert stages[0].worst == ("no", 0.2)


@pytest.mark.parametrize("experiment", [Speed, Recovery, Failure, Strategy])
def test_where_no_head_can_go_the_lesson_says_why(experiment: type[Experiment]) -> None:
    subject = subject_of("bert")
    assert experiment.refusal(subject) is None
    model = subject.model.with_module(subject.model.module)
    sites = tuple(replace(site, support="none", reason="fixed") for site in model.anatomy.sites)
    model.__dict__["anatomy"] = replace(model.anatomy, sites=sites)
    assert "his model" in str(experiment.refusal(replace(subject, model=model)))


def test_labels_stand_apart_and_inside() -> None:
    places = sorted(spread({"a": 100.0, "b": 100.0, "c": 0.0, "d": 1.0}).values())
    assert all(high - low >= 7 for low, high in pairwise(places))
    assert places[0] >= 0
    assert places[-1] <= 100
