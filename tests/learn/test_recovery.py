"""Lesson 10: what comes back, computed a second time from predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pruning.errors import PruningError
from pruning.evaluation import evaluate
from pruning.gating import _GATES, _REFITS
from pruning.importance.scoring import score
from pruning.masks import HeadId, Mask
from pruning.means import measure_means
from pruning.recovery.reconstruction import compensate_means, reconstruct
from tests.families import examples_of, model_of
from ui.learn.base import Subject
from ui.learn.experiments.recovery import LINK, Recovery, table_of

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str, mask: Mask | None = None) -> Subject:
    examples = examples_of(name, 32)
    return Subject(model_of(name), "tiny", examples.at(range(16)), examples, mask or Mask())


def test_the_share_is_that_of_three_evaluations_of_a_language_model() -> None:
    subject = subject_of("gpt2-lm")
    found = Recovery(50).run(subject, SILENT)
    model, rows = subject.model, subject.evaluation
    mask = score(model, "random", seed=0).lowest(4)
    means = compensate_means(model, mask, measure_means(model, subject.calibration))
    fitted = reconstruct(model, mask, subject.calibration, touched=True)
    whole, cut, *mended = (
        evaluate(model, rows, m, compensation=c).metrics["loss"].value
        for m, c in ((Mask(), None), (mask, None), (mask, means), (mask, fitted))
    )
    assert [one.value for one in found.back] == pytest.approx([100 * (cut - one) / (cut - whole) for one in mended])
    assert found.truth == found.back[1].value
    assert found.low <= found.truth <= found.high
    assert [one.value for one in found.losses] == pytest.approx([0, cut - whole, *(one - whole for one in mended)])
    assert (found.removed, found.heads, found.classes) == (4, 8, False)
    assert _GATES.get() is None
    assert _REFITS.get() is None


def classes_that_the_model_knows(name: str) -> Subject:
    """Rows whose labels are the whole model's own answers, so that a cut can only lose."""
    subject = subject_of(name)
    predicted = evaluate(subject.model, subject.evaluation).outcome.predicted
    rows = replace(subject.evaluation, targets=tuple(int(one) for one in predicted))
    return replace(subject, evaluation=rows)


def test_it_is_the_same_again_and_has_a_table_in_points() -> None:
    subject = classes_that_the_model_knows("vit")
    first, second = (Recovery(70).run(subject, SILENT) for _ in range(2))
    assert first == second
    hits = evaluate(subject.model, subject.evaluation, score(subject.model, "random", seed=0).lowest(6)).outcome.hits
    assert first.losses[1].value == pytest.approx(100 * (1 - np.mean(hits)))
    assert len(table_of(first)) == 4


def test_the_mask_of_the_link_is_what_is_cut() -> None:
    found = Recovery(LINK).run(subject_of("llama-lm", Mask(frozenset({HeadId(0, 0), HeadId(1, 2)}))), SILENT)
    assert found.removed == 2


def test_where_nothing_is_lost_nothing_can_come_back() -> None:
    with pytest.raises(PruningError, match="remove more"):
        Recovery(LINK).run(subject_of("bert", Mask()), SILENT)
