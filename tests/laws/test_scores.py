"""What holds for every criterion on every family, and every scope: batch size, JSON, shapes, progress, ranking.

Examples of one length share a batch without padding, so a batch changes only how sums are ordered inside a kernel:
1e-6 of the largest value (float32 keeps seven digits), ten times that for gradients, which add up over more steps.
"""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

from pruning import Cancelled, ImportanceMap, UnsupportedError, criteria, score
from pruning.importance import Criterion, get_criterion
from pruning.importance.integrated_gradients import IntegratedGradients
from pruning.importance.learned_gates import LearnedGates
from pruning.importance.shapley import Shapley
from pruning.scopes import Scope, sizes_of
from pruning.tasks import Examples
from tests.families import SCORED, examples_of, model_of

CRITERIA = tuple(criteria())
# Criteria with settings that make them dear: the laws hold for any.
SMALL = {small.name: small for small in (IntegratedGradients(3), Shapley(2, rows=2), LearnedGates(steps=4, rows=4))}
TIED = ("fusion", "similarity")  # means of a few whole ranks may be equal, and of two heads each is as like the other
PAIRS = [(name, criterion) for name in SCORED for criterion in CRITERIA]
ONE_BY_ONE = ("ablation", "mean-ablation")  # a pass for every neuron: one family says enough
# An encoder; a causal model with shared keys and gated neurons; stages of different size; encoder and decoder.
SCOPED = [
    (name, criterion, scope)
    for name in ("bert", "llama-lm", "swin", "t5")
    for criterion in CRITERIA
    for scope in get_criterion(criterion).scopes
    if scope != "heads"  # which all families have above
    if name == "bert" or scope == "layers" or criterion not in ONE_BY_ONE
]


def made(criterion: str) -> Criterion:
    return SMALL.get(criterion) or get_criterion(criterion)()


def examples_for(name: str, criterion: str, count: int = 6) -> Examples | None:
    return examples_of(name, count) if get_criterion(criterion).needs_data else None


@functools.cache
def scored(name: str, criterion: str, batch_size: int = 32) -> ImportanceMap:
    """Heads of a family, scored once for all tests that look at the same map."""
    return score(model_of(name), made(criterion), examples_for(name, criterion), batch_size=batch_size)


def near(criterion: str, one: ImportanceMap, many: ImportanceMap) -> bool:
    tolerance = 1e-5 if get_criterion(criterion).needs_gradients else 1e-6
    return bool(np.abs(one.flat() - many.flat()).max() <= tolerance * max(1.0, np.abs(one.flat()).max()))


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_scores_have_the_shape_of_the_model(name: str, criterion: str) -> None:
    model, found = model_of(name), scored(name, criterion)
    assert tuple(map(len, found.values)) == model.anatomy.heads_per_site
    assert np.isfinite(found.flat()).all()
    least = 2 if criterion in TIED else model.anatomy.total_heads
    assert len(np.unique(found.flat())) >= least, "scores that tell no heads apart"
    assert found.samples == (0 if not get_criterion(criterion).needs_data else 2 if criterion == "shapley" else 6)
    assert found.criterion == criterion
    assert found.model == model.fingerprint


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_mean_over_examples_has_a_standard_error(criterion: str) -> None:
    found, kind = scored("bert", criterion), get_criterion(criterion)
    each = kind.needs_data and kind.per_example
    assert (found.scores is not None) == each
    assert found.standard_errors or not each
    shape = tuple(map(len, found.standard_errors))
    assert shape in ((), tuple(map(len, found.values)))
    assert all(np.isfinite(row).all() for row in found.standard_errors)


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_scores_do_not_depend_on_the_batch_size(name: str, criterion: str) -> None:
    assert near(criterion, scored(name, criterion, 1), scored(name, criterion))


@pytest.mark.parametrize(("name", "criterion", "scope"), SCOPED)
def test_neurons_and_layers_are_scored_like_heads(name: str, criterion: str, scope: Scope) -> None:
    model, examples = model_of(name), examples_for(name, criterion, 2)
    one, many = (score(model, made(criterion), examples, batch_size=size, scope=scope) for size in (1, 32))
    assert tuple(map(len, many.values)) == sizes_of(model.anatomy, scope)
    assert many.scope == scope
    assert np.isfinite(many.flat()).all()
    assert len(np.unique(many.flat())) > 1, f"scores that tell no {scope} apart"
    assert near(criterion, one, many)


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_scores_survive_json(name: str, criterion: str) -> None:
    found = scored(name, criterion)
    again = ImportanceMap.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.ranked() == found.ranked()


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_progress_grows_to_its_end(name: str, criterion: str) -> None:
    seen: list[tuple[int, int]] = []
    examples = examples_for(name, criterion, 3)
    score(model_of(name), made(criterion), examples, progress=lambda *step: seen.append(step), batch_size=2)
    done = [step[0] for step in seen]
    assert done == sorted(done)
    assert not seen or seen[-1][0] == seen[-1][1]
    assert seen or get_criterion(criterion).cost == "nothing"


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_lowest_and_the_threshold_follow_the_direction(criterion: str) -> None:
    found = scored("bert", criterion)
    values = found.flat()
    order = np.argsort(values if get_criterion(criterion).direction == "high" else -values, kind="stable")
    worst = [(int(i) // 4, int(i) % 4) for i in order]
    assert [tuple(head) for head in found.ranked()] == worst
    assert found.lowest(3).heads == frozenset(worst[:3])
    middle = float(values[order[2:4]].mean())
    assert found.below(middle) == found.lowest(3)


@pytest.mark.parametrize("criterion", [name for name in CRITERIA if get_criterion(name).needs_data])
def test_cancelling_a_score_goes_all_the_way_out(criterion: str) -> None:
    def cancel(done: int, total: int) -> None:
        raise Cancelled("no longer wanted")

    with pytest.raises(Cancelled):
        score(model_of("bert"), made(criterion), examples_of("bert"), progress=cancel)


@pytest.mark.parametrize("criterion", [name for name in CRITERIA if get_criterion(name).needs_data])
def test_criteria_that_need_examples_say_so(criterion: str) -> None:
    with pytest.raises(UnsupportedError, match="needs examples"):
        score(model_of("bert"), criterion)


def test_no_task_no_score() -> None:
    with pytest.raises(UnsupportedError, match="not a classifier"):
        score(model_of("t5-generation"), "gradient", examples_of("t5-generation"))
