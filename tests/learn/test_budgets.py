"""Lesson 5: the distance between three ways to spend one budget, computed a second time without the experiment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pruning.evaluation import evaluate
from pruning.gating import _GATES
from pruning.importance.scoring import score
from pruning.masks import HeadId, Mask
from tests.families import LAYERS, examples_of, model_of
from ui.learn.base import Subject
from ui.learn.experiments.budgets import WAYS, Budgets

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str, rows: int = 24) -> Subject:
    examples = examples_of(name, rows)
    return Subject(model_of(name), "tiny", examples.at(range(6)), examples, Mask())


def lowest_by_norm(name: str, count: int) -> Mask:
    return score(model_of(name), "magnitude").lowest(count)


def test_the_distance_is_that_of_masks_made_by_hand() -> None:
    subject = subject_of("bert")
    found = Budgets(0.5, "magnitude").run(subject, SILENT)
    keep = score(subject.model, "magnitude").values
    even = {HeadId(site, int(head)) for site, row in enumerate(keep) for head in np.argsort(row)[: len(row) // 2]}
    adapted = []
    for site, row in enumerate(keep):
        order = np.sort(row)[::-1] ** 2
        lamp = {value: value**2 / order[: rank + 1].sum() for rank, value in enumerate(np.sort(row)[::-1])}
        adapted += [(lamp[value], HeadId(site, head)) for head, value in enumerate(row)]
    masks = [lowest_by_norm("bert", 4), Mask(frozenset(even)), Mask(frozenset(h for _, h in sorted(adapted)[:4]))]
    accuracies = [evaluate(subject.model, subject.evaluation, mask).metrics["accuracy"].value for mask in masks]
    assert [way.value.value for way in found.ways] == pytest.approx(accuracies)
    assert found.truth == pytest.approx(100 * (max(accuracies) - min(accuracies)))
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.truth <= found.high


@pytest.mark.parametrize(
    ("name", "score_name"), [("vit", "magnitude"), ("llama-lm", "gradient"), ("t5", "fused"), ("swin", "magnitude")]
)
def test_every_way_removes_the_same_number(name: str, score_name: str) -> None:
    subject = subject_of(name)
    found = Budgets(0.5, score_name).run(subject, SILENT)
    heads = sum(subject.model.anatomy.heads_per_site)
    assert [sum(way.removed) for way in found.ways] == [heads // 2] * len(WAYS)
    even = found.ways[list(WAYS).index("uniform")].removed
    assert all(abs(gone - size / 2) <= 1 for gone, size in zip(even, subject.model.anatomy.heads_per_site, strict=True))
    assert found.samples == len(subject.evaluation)
    assert found.truth >= 0


def test_it_gives_the_same_twice_and_leaves_nothing_behind() -> None:
    subject = subject_of("bert")
    steps: list[tuple[int, int]] = []
    first = Budgets(0.4, "fused").run(subject, lambda done, total, step: steps.append((done, total)))
    assert first == Budgets(0.4, "fused").run(subject, SILENT)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert _GATES.get() is None


def test_a_model_with_one_layer_is_refused() -> None:
    subject = subject_of("bert")
    assert Budgets.refusal(subject) is None
    anatomy = subject.model.anatomy
    assert len(anatomy.sites) == LAYERS
    lone = replace(subject, model=subject.model.with_module(subject.model.module))
    lone.model.__dict__["anatomy"] = replace(anatomy, sites=anatomy.sites[:1])
    assert Budgets.refusal(lone) is not None
