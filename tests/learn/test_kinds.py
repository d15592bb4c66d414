"""Lesson 3: what each kind of pruning frees, against models that are really cut."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from pruning.evaluation import evaluate
from pruning.gating import _GATES
from pruning.importance.scoring import score
from pruning.masks import Mask
from pruning.surgery import prune
from pruning.unstructured.measuring import file_sizes
from tests.families import examples_of, model_of
from ui.learn.base import Outcome, Subject
from ui.learn.experiments.kinds import KINDS, WEIGHTS, Kinds, KindsOutcome, Removal, inside

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str) -> Subject:
    examples = examples_of(name, 24)
    return Subject(model_of(name), "tiny", examples.at(range(8)), examples, Mask())


def removal(found: KindsOutcome, kind: str) -> Removal:
    return next(one for one in found.removals if one.kind == kind)


def test_zeros_free_nothing_and_the_file_says_so() -> None:
    from pruning.unstructured import Sparsity
    from pruning.unstructured.sparsifying import linear_paths, sparsify

    subject = subject_of("bert")
    found = Kinds(WEIGHTS, 0.2).run(subject, SILENT)
    assert found.truth == 0
    zeros = removal(found, WEIGHTS)
    assert zeros.parameters == pytest.approx(0.2 * inside(subject.model), abs=1)
    weights = sum(subject.model.module.get_submodule(path).weight.numel() for path in linear_paths(subject.model))
    sparse = sparsify(subject.model, None, Sparsity("magnitude", zeros.parameters / weights))
    assert file_sizes(sparse.module)[0] == file_sizes(subject.model.module)[0]
    after = evaluate(subject.model.with_module(sparse.module), subject.evaluation)
    assert zeros.value == after.metrics["accuracy"]


def test_cut_neurons_free_what_the_smaller_model_lacks() -> None:
    subject = subject_of("bert")
    found = Kinds("neurons", 0.3).run(subject, SILENT)
    count = removal(found, "neurons").units
    mask = score(subject.model, "gradient", subject.calibration, scope="neurons").lowest(count)
    small = prune(subject.model, mask).module
    gone = subject.model.size_bytes - sum(p.numel() * p.element_size() for p in small.parameters())
    assert found.truth == pytest.approx(gone / 1e6)
    assert 0.3 <= removal(found, "neurons").parameters / inside(subject.model) < 0.32
    worse = evaluate(subject.model, subject.evaluation).metrics["accuracy"].value
    worse -= evaluate(subject.model, subject.evaluation, mask).metrics["accuracy"].value
    assert removal(found, "neurons").worse.value == pytest.approx(100 * worse)


@pytest.mark.parametrize("name", ["bert", "vit", "llama-lm", "gpt2", "t5", "swin"])
def test_it_works_for_every_kind_of_model(name: str) -> None:
    subject = subject_of(name)
    assert Kinds.refusal(subject) is None
    found = Kinds(WEIGHTS, 0.1).run(subject, SILENT)
    assert {one.kind for one in found.removals} | {kind for kind, _ in found.refused} <= set(KINDS)
    assert len(found.removals) > 1
    assert all(one.freed_bytes > 0 and one.macs > 0 for one in found.removals if one.kind != WEIGHTS)
    assert found.truth == 0
    asked = Kinds().guess(subject)
    assert asked.low <= asked.start <= asked.high
    assert 1e6 * asked.high >= max(one.freed_bytes for one in found.removals)


def test_a_model_without_layers_is_refused() -> None:
    subject = subject_of("bert")
    model = replace(subject.model)
    model.__dict__["anatomy"] = replace(subject.model.anatomy, layers=())
    assert "no linear layer" in str(Kinds.refusal(replace(subject, model=model)))


def test_it_gives_the_same_twice_and_leaves_nothing_behind() -> None:
    subject = subject_of("bert")
    steps: list[tuple[int, int]] = []
    before = {name: tensor.clone() for name, tensor in subject.model.module.state_dict().items()}
    first = Kinds("heads").run(subject, lambda done, total, step: steps.append((done, total)))
    assert first == Kinds("heads").run(subject, SILENT)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert _GATES.get() is None
    after = subject.model.module.state_dict()
    assert after.keys() == before.keys()
    assert all(bool((after[name] == tensor).all()) for name, tensor in before.items())


def drawn(experiment: "Kinds", subject: "Subject", outcome: "Outcome") -> None:  # noqa: UP037  it runs by itself
    experiment.draw(subject, outcome, "light")


@pytest.mark.parametrize("name", ["vit", "llama-lm"])
def test_it_can_be_drawn(name: str) -> None:
    subject, experiment = subject_of(name), Kinds("layers", 0.1)
    outcome = experiment.run(subject, SILENT)
    script = AppTest.from_function(
        drawn, kwargs={"experiment": experiment, "subject": subject, "outcome": outcome}, default_timeout=30
    ).run()
    assert not script.exception
    assert len(script.dataframe[0].value) == len(outcome.removals)
