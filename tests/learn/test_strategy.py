"""Lesson 12: the plan keeps to its limits as counted anew, and the loss is that of two evaluations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pruning.cost import count_cost
from pruning.evaluation import compare, evaluate
from pruning.gating import _GATES
from pruning.masks import Mask
from pruning.search.planning import Request, plan
from pruning.statistics import Estimate
from tests.families import examples_of, model_of
from ui.learn.base import Subject
from ui.learn.experiments.strategy import (
    DEPLOYMENTS,
    Strategy,
    checks_of,
    limits_text,
    sentences_of,
    table_of,
    title_of,
)

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str) -> Subject:
    examples = examples_of(name, 24)
    return Subject(model_of(name), "tiny", examples, examples, Mask())


def test_the_plan_and_its_loss_are_those_of_the_engine() -> None:
    subject = subject_of("bert")
    found = Strategy("speech").run(subject, SILENT)
    request = Request(strategy="fisher", scopes=("heads", "neurons"), whole_groups=True)
    mask = plan(subject.model, subject.calibration, "macs=0.5", request).mask
    change = compare(*(evaluate(subject.model, subject.evaluation, one) for one in (Mask(), mask)))
    assert found.truth == pytest.approx(-100 * change.differences["accuracy"].value)
    assert dict(found.removed) == {"heads": len(mask.heads), "neurons": len(mask.neurons)}
    costs = count_cost(subject.model)
    assert found.checks[0].found.value == pytest.approx(costs.after(mask).macs / costs.total.macs)
    assert found.checks[0].state == "met"
    assert found == Strategy("speech").run(subject, SILENT)
    assert _GATES.get() is None


@pytest.mark.parametrize("name", ["vit", "llama-lm", "t5", "gpt2"])
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_every_deployment_has_an_answer_for_every_kind_of_model(name: str, deployment: str) -> None:
    subject, wanted = subject_of(name), DEPLOYMENTS[deployment]
    if wanted.confirmed and not subject.evaluation.class_names:
        pytest.skip("a language model is not offered a guarantee")
    found = Strategy(deployment).run(subject, SILENT)
    assert found.low <= found.truth <= found.high
    assert [one.name for one in found.checks] == [
        *(["size"] if wanted.size < 1 else []), *(["macs"] if wanted.macs < 1 else []), "loss",
    ]  # fmt: skip
    assert title_of(found)
    assert sentences_of(found)
    assert len(table_of(found)) == len(found.checks)
    assert limits_text(wanted, found.classes).startswith("Limits: ")


def test_a_loss_is_met_only_where_its_whole_interval_is() -> None:
    wanted = replace(DEPLOYMENTS["server"], loss=2.0)
    states = [
        checks_of(wanted, 1.0, 0.9, Estimate(*loss), True)[-1].state
        for loss in ((1.0, 0.2, 1.8), (1.0, -1.0, 3.0), (2.5, 1.0, 4.0))
    ]
    assert states == ["met", "open", "missed"]
    assert checks_of(wanted, 1.0, 0.9, Estimate(0, 0, 0), True)[0].state == "missed"
