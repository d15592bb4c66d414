"""Lesson 7: the largest rise, found by masks one by one, and what is lost without its unit on other rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pruning.evaluation import evaluate
from pruning.gating import _GATES
from pruning.masks import HeadId, Mask
from tests.families import HEADS, LAYERS, examples_of, model_of
from ui.learn.base import Subject
from ui.learn.experiments.sensitivity import LAYERS as WHOLE
from ui.learn.experiments.sensitivity import Sensitivity

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str, mask: Mask | None = None) -> Subject:
    examples = examples_of(name, 18)
    return Subject(model_of(name), "tiny", examples.at(range(6)), examples.at(range(6, 18)), mask or Mask())


def loss_of(subject: Subject, mask: Mask) -> np.ndarray:
    return evaluate(subject.model, subject.calibration, mask).outcome.losses


@pytest.mark.parametrize("part", [WHOLE, 1])
def test_the_loss_is_that_of_the_worst_of_all_masks(part: int) -> None:
    subject = subject_of("bert")
    found = Sensitivity(part).run(subject, SILENT)
    if part == WHOLE:
        masks = [Mask(layers=frozenset({layer})) for layer in range(LAYERS)]
    else:
        masks = [Mask(frozenset({HeadId(part, head)})) for head in range(HEADS)]
    rises = [float((loss_of(subject, mask) - loss_of(subject, Mask())).mean()) for mask in masks]
    assert [one.value for one in found.rises if one is not None] == pytest.approx(rises, abs=1e-5)
    assert found.top == int(np.argmax(rises))
    before, after = (evaluate(subject.model, subject.evaluation, mask) for mask in (Mask(), masks[found.top]))
    lost = before.metrics["accuracy"].value - after.metrics["accuracy"].value
    assert found.truth == pytest.approx(100 * lost)
    assert found.samples == len(subject.evaluation)


def test_it_starts_from_the_mask_of_the_link() -> None:
    gone = HeadId(0, 2)
    subject = subject_of("bert", Mask(frozenset({gone})))
    found = Sensitivity(0).run(subject, SILENT)
    assert found.rises[gone.head] is None
    assert found.tried == HEADS - 1
    assert found.top != gone.head


@pytest.mark.parametrize("name", ["swin", "llama-lm", "t5"])
def test_it_works_for_every_kind_of_model(name: str) -> None:
    subject = subject_of(name)
    found = Sensitivity(1).run(subject, SILENT)
    assert len(found.rises) == subject.model.anatomy.sites[1].heads
    assert found == Sensitivity(1).run(subject, SILENT)
    assert _GATES.get() is None


def test_a_model_with_nothing_to_leave_out_is_refused() -> None:
    subject = subject_of("bert")
    assert Sensitivity.refusal(subject) is None
    bare = replace(subject, model=subject.model.with_module(subject.model.module))
    bare.model.__dict__["anatomy"] = replace(subject.model.anatomy, sites=(), layers=())
    assert Sensitivity.refusal(bare) is not None
