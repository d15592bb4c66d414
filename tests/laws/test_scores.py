"""What holds for every criterion on every family: batch size, seed, JSON, shapes, progress, ranking.

Examples of one length share a batch without padding, so a batch changes only how sums are ordered inside a kernel:
1e-6 of the largest value (float32 keeps seven digits), ten times that for gradients, which add up over more steps.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from pruning import Cancelled, ImportanceMap, UnsupportedError, criteria, score
from pruning.importance import get_criterion
from pruning.tasks import Examples
from tests.families import SCORED, examples_of, model_of

CRITERIA = tuple(criteria())
# Attention that does not go through transformers' interface.
NOT_SEEN = {(name, "entropy"): "cannot be seen" for name in ("deberta-v2", "bloom-lm")}
PAIRS = [(name, criterion) for name in SCORED for criterion in CRITERIA if (name, criterion) not in NOT_SEEN]


def examples_for(name: str, criterion: str, count: int = 6) -> Examples | None:
    return examples_of(name, count) if get_criterion(criterion).needs_data else None


def flat(found: ImportanceMap) -> np.ndarray:
    return np.array([value for row in found.values for value in row])


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_scores_have_the_shape_of_the_model(name: str, criterion: str) -> None:
    model, examples = model_of(name), examples_for(name, criterion)
    found = score(model, criterion, examples)
    assert tuple(map(len, found.values)) == model.anatomy.heads_per_site
    assert np.isfinite(flat(found)).all()
    assert len(np.unique(flat(found))) == model.anatomy.total_heads, "scores that tell no heads apart"
    assert found.samples == (len(examples) if examples else 0)
    assert found.criterion == criterion
    assert found.model == model.fingerprint
    assert bool(found.standard_errors) == bool(examples)


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_scores_do_not_depend_on_the_batch_size(name: str, criterion: str) -> None:
    examples = examples_for(name, criterion)
    one, many = (flat(score(model_of(name), criterion, examples, batch_size=size)) for size in (1, 32))
    tolerance = 1e-5 if get_criterion(criterion).needs_gradients else 1e-6
    assert np.abs(one - many).max() <= tolerance * max(1.0, np.abs(one).max())


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_scores_survive_json(name: str, criterion: str) -> None:
    found = score(model_of(name), criterion, examples_for(name, criterion, 3))
    again = ImportanceMap.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert again.ranked() == found.ranked()


@pytest.mark.parametrize(("name", "criterion"), PAIRS)
def test_progress_grows_to_its_end(name: str, criterion: str) -> None:
    seen: list[tuple[int, int]] = []
    score(
        model_of(name), criterion, examples_for(name, criterion), progress=lambda *step: seen.append(step), batch_size=2
    )
    done = [step[0] for step in seen]
    assert done == sorted(done)
    assert not seen or seen[-1][0] == seen[-1][1]
    assert seen or get_criterion(criterion).cost == "nothing"


@pytest.mark.parametrize(("name", "criterion"), NOT_SEEN)
def test_what_cannot_be_scored_says_so(name: str, criterion: str) -> None:
    with pytest.raises(UnsupportedError, match=NOT_SEEN[name, criterion]):
        score(model_of(name), criterion, examples_for(name, criterion))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_lowest_and_the_threshold_follow_the_direction(criterion: str) -> None:
    found = score(model_of("bert"), criterion, examples_for("bert", criterion))
    order = np.argsort(flat(found)) if get_criterion(criterion).direction == "high" else np.argsort(-flat(found))
    worst = [(int(i) // 4, int(i) % 4) for i in order]
    assert [tuple(head) for head in found.ranked()] == worst
    assert found.lowest(3).heads == frozenset(worst[:3])
    middle = float(flat(found)[order[2:4]].mean())
    assert found.below(middle) == found.lowest(3)


@pytest.mark.parametrize("criterion", [name for name in CRITERIA if get_criterion(name).needs_data])
def test_cancelling_a_score_goes_all_the_way_out(criterion: str) -> None:
    def cancel(done: int, total: int) -> None:
        raise Cancelled("no longer wanted")

    with pytest.raises(Cancelled):
        score(model_of("bert"), criterion, examples_of("bert"), progress=cancel)


@pytest.mark.parametrize("criterion", [name for name in CRITERIA if get_criterion(name).needs_data])
def test_criteria_that_need_examples_say_so(criterion: str) -> None:
    with pytest.raises(UnsupportedError, match="needs examples"):
        score(model_of("bert"), criterion)


def test_no_task_no_score() -> None:
    with pytest.raises(UnsupportedError, match="not a classifier"):
        score(model_of("t5-generation"), "gradient", examples_of("t5-generation"))
