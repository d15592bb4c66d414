"""Evaluating masked models, while it runs and when it is done, and comparing two evaluations."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from pruning import (
    Cancelled,
    Evaluation,
    LoadedModel,
    Mask,
    MaskError,
    PruningError,
    UnsupportedError,
    compare,
    evaluate,
    wrap_model,
)
from pruning.evaluation import FIRST_STEP, STEP, evaluate_in_steps, random_steps
from pruning.statistics import mcnemar, paired_proportion
from pruning.tasks import Examples, Outcome
from tests.families import FAMILIES, LM, NAMES, SCORED, examples_of, inputs_of, logits_of, model_of
from tests.reference import head_columns, loss_of, zero_columns

MASK = Mask.parse_heads("0:0-2,1:1")
COUNT = 150


@pytest.fixture(scope="module")
def before() -> Evaluation:
    return evaluate(model_of("bert"), examples_of("bert", COUNT))


@pytest.fixture(scope="module")
def after() -> Evaluation:
    return evaluate(model_of("bert"), examples_of("bert", COUNT), MASK)


def values(evaluation: Evaluation) -> dict[str, float]:
    return {name: estimate.value for name, estimate in evaluation.metrics.items()}


def without(evaluation: Evaluation, count: int) -> Evaluation:
    """The same evaluation as if only its last examples had been seen."""
    parts = dataclasses.asdict(evaluation.outcome)
    outcome = type(evaluation.outcome)(**{name: part[count:] for name, part in parts.items()})
    rest = {"positions": evaluation.positions[count:], "targets": evaluation.targets[count:], "outcome": outcome}
    return dataclasses.replace(evaluation, samples=evaluation.samples - count, **rest)


@pytest.mark.parametrize("name", SCORED)
def test_losses_are_those_of_each_example_alone(name: str) -> None:
    """Under a mask, against a copy with zeroed weights and batches of one; 1e-5 for float32 through all layers."""
    examples, anatomy, copy = examples_of(name, 9), model_of(name).anatomy, FAMILIES[name].build()
    heads = [site.heads - 1 for site in anatomy.sites]
    for site, head in zip(anatomy.sites, heads, strict=True):
        zero_columns(copy.get_submodule(site.projection), head_columns(head, site.head_dim))
    found = evaluate(model_of(name), examples, Mask(frozenset(enumerate(heads))), batch_size=4)  # type: ignore[arg-type]
    targets = examples.targets or (None,) * len(examples)
    with torch.no_grad():
        expected = [float(loss_of(copy, *pair)) for pair in zip(examples.features, targets, strict=True)]
    np.testing.assert_allclose(found.outcome.losses, expected, atol=1e-5)
    assert found.metrics["loss"].value == pytest.approx(np.mean(expected), abs=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3"])
def test_decoders_without_a_padding_token_classify_in_batches(name: str) -> None:
    """They look for the last token that is not padding, and refuse batches if nothing is."""
    examples, copy = examples_of(name, 9), FAMILIES[name].build(pad_token_id=None)
    with torch.no_grad():
        expected = [float(loss_of(copy, *pair)) for pair in zip(examples.features, examples.targets, strict=True)]
    found = evaluate(wrap_model(FAMILIES[name].build(pad_token_id=None)), examples, batch_size=4)
    np.testing.assert_allclose(found.outcome.losses, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["bert", "gpt2-lm", "vit"])
def test_results_do_not_depend_on_the_batch_size(name: str) -> None:
    examples = examples_of(name, 20)
    one, many = (evaluate(model_of(name), examples, MASK, batch_size=size) for size in (1, 32))
    assert values(one) == pytest.approx(values(many), abs=1e-6)
    assert list(one.positions) == list(many.positions) == list(range(20))


def test_an_empty_mask_is_no_mask(before: Evaluation) -> None:
    again = evaluate(model_of("bert"), examples_of("bert", COUNT), Mask())
    assert again.metrics == before.metrics
    assert np.array_equal(again.outcome.losses, before.outcome.losses)


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(MaskError, match=r"head 0:4 does not exist: site 0 \(.*\) has 4 heads \(0 to 3\)"):
        evaluate(model_of("bert"), examples_of("bert"), Mask.parse_heads("0:4"))


def test_predictions_have_a_row_for_each_example(before: Evaluation) -> None:
    rows = json.loads(json.dumps(before.to_json()))["predictions"]
    assert [row["row"] for row in rows] == list(range(COUNT))
    assert [row["text"] for row in rows] == [f"text {i}" for i in range(COUNT)]
    right = np.mean([row["label"] == row["predicted"] for row in rows])
    assert right == pytest.approx(before.metrics["accuracy"].value)
    assert np.mean([row["loss"] for row in rows]) == pytest.approx(before.to_json()["loss"])


# While it runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, FIRST_STEP - 1, FIRST_STEP, FIRST_STEP + 1, 1500])
def test_steps_hold_every_position_once_in_an_order_of_the_seed(count: int) -> None:
    steps = random_steps(count, seed=2)
    assert sorted(i for step in steps for i in step) == list(range(count))
    assert len(steps[0]) == min(count, FIRST_STEP)
    assert all(0 < len(step) <= STEP for step in steps)
    assert random_steps(count, seed=2) == steps
    assert count == 1 or random_steps(count, seed=3) != steps


def test_the_last_step_is_the_plain_evaluation(after: Evaluation) -> None:
    *_, found = evaluate_in_steps(model_of("bert"), examples_of("bert", COUNT), MASK)
    assert found.complete
    assert list(found.positions) == list(range(COUNT))
    np.testing.assert_allclose(found.outcome.losses, after.outcome.losses, atol=1e-6)
    assert values(found) == pytest.approx(values(after), abs=1e-6)


def test_a_step_says_how_far_it_is_and_is_a_fair_sample(after: Evaluation) -> None:
    first, last = evaluate_in_steps(model_of("bert"), examples_of("bert", COUNT), MASK)
    assert (first.samples, first.total, first.complete) == (FIRST_STEP, COUNT, False)
    assert (last.samples, last.total, last.complete) == (COUNT, COUNT, True)
    assert 0 < first.seconds < last.seconds
    assert len(np.unique(first.positions)) == FIRST_STEP
    assert max(first.positions) > FIRST_STEP, "a sample of all examples, not their beginning"
    np.testing.assert_allclose(first.outcome.losses, after.outcome.losses[first.positions], atol=1e-6)


def test_no_mask_is_set_between_two_steps() -> None:
    model, inputs = model_of("bert"), inputs_of("bert")
    original = logits_of(model.module, inputs)
    for _ in evaluate_in_steps(model, examples_of("bert", COUNT), MASK):
        assert torch.equal(logits_of(model.module, inputs), original)


def test_progress_counts_examples() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(model_of("bert"), examples_of("bert", 20), batch_size=8, on_progress=lambda *step: seen.append(step))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (20, 20)


def test_cancelling_goes_all_the_way_out_and_leaves_the_model_alone() -> None:
    def cancel(done: int, total: int) -> None:
        raise Cancelled("a newer click")

    model, inputs, examples = model_of("bert"), inputs_of("bert"), examples_of("bert", 20)
    original = logits_of(model.module, inputs)
    with pytest.raises(Cancelled, match="a newer click"):
        evaluate(model, examples, MASK, on_progress=cancel)
    with pytest.raises(Cancelled, match="a newer click"):
        next(evaluate_in_steps(model, examples, MASK, on_progress=cancel))
    assert torch.equal(logits_of(model.module, inputs), original)


# Comparison --------------------------------------------------------------------------------------------------------


def test_differences_are_after_minus_before(before: Evaluation, after: Evaluation) -> None:
    found = compare(before, after)
    assert found.samples == COUNT
    expected = {name: values(after)[name] - values(before)[name] for name in values(before)}
    assert {name: e.value for name, e in found.differences.items()} == pytest.approx(expected)
    assert all(e.low <= e.value <= e.high for e in found.differences.values())


def test_flips_are_the_changed_predictions(before: Evaluation, after: Evaluation) -> None:
    found = compare(before, after)
    changed = np.flatnonzero(before.outcome.predicted != after.outcome.predicted)
    assert sorted(flip.position for flip in found.flips) == list(changed)
    assert len(changed) > 5, "a mask that flips nothing tests nothing"
    for flip in found.flips:
        row, then = before.predictions()[flip.position], after.predictions()[flip.position]
        assert (flip.text, flip.label) == (row["text"], row["label"])
        assert (flip.before, flip.after) == (row["predicted"], then["predicted"])
        assert (flip.confidence_before, flip.confidence_after) == (row["confidence"], then["confidence"])
        assert flip.kind == ("worse" if flip.before == flip.label else "better")
    kinds = [flip.kind for flip in found.flips]
    assert kinds == sorted(kinds, key=["worse", "better", "other"].index)


def test_accuracy_has_its_paired_interval_and_mcnemar(before: Evaluation, after: Evaluation) -> None:
    found = compare(before, after)
    better, worse = found.count("better"), found.count("worse")
    assert better + worse == len(found.flips), "with two classes every flip is one or the other"
    assert found.p_value == mcnemar(better, worse)
    assert found.differences["accuracy"] == paired_proportion(better, worse, COUNT)


def test_a_model_does_not_differ_from_itself(before: Evaluation) -> None:
    found = compare(before, before)
    assert found.flips == ()
    assert found.p_value == 1
    assert {e.value for e in found.differences.values()} == {0.0}
    assert found.differences["loss"].low == found.differences["loss"].high == 0


def test_the_order_of_the_examples_does_not_matter(before: Evaluation, after: Evaluation) -> None:
    order = np.random.default_rng(3).permutation(COUNT)

    def moved(one: Evaluation) -> Evaluation:
        arrays = (getattr(one.outcome, name)[order] for name in ("losses", "predicted", "confidences", "hits"))
        return dataclasses.replace(one, outcome=Outcome(*arrays), targets=one.targets[order])

    found, other = compare(before, after).differences, compare(moved(before), moved(after)).differences
    for name, estimate in found.items():
        ends = (other[name].low, other[name].value, other[name].high)
        assert ends == pytest.approx((estimate.low, estimate.value, estimate.high), abs=1e-12)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_model_that_gives_no_numbers_is_not_measured(value: float) -> None:
    """In memory; a folder with such weights does not load."""
    module = FAMILIES["bert"].build()
    module.classifier.weight[0, 0] = value
    with pytest.raises(UnsupportedError, match=r"broken gives NaN or infinity for . of 9 examples, so nothing is"):
        evaluate(wrap_model(module, name="broken"), examples_of("bert", 9))


def test_few_common_examples_give_a_bootstrap_no_interval(before: Evaluation, after: Evaluation) -> None:
    found = compare(before, without(after, COUNT - 5)).differences
    assert not math.isfinite(found["f1"].low)
    assert not math.isfinite(found["calibration_error"].high)
    assert math.isfinite(found["accuracy"].low)
    assert -1 <= found["confidence"].low <= found["confidence"].high <= 1


def test_paired_intervals_are_narrower_than_unpaired_ones(before: Evaluation) -> None:
    one_head = evaluate(model_of("bert"), examples_of("bert", COUNT), Mask.parse_heads("0:1"))
    paired, single = compare(before, one_head).differences["loss"], before.metrics["loss"]
    assert paired.high - paired.low < single.high - single.low


def test_only_common_examples_are_compared(before: Evaluation, after: Evaluation) -> None:
    found = compare(before, without(after, 100))
    assert found.samples == COUNT - 100
    difference = (after.outcome.losses - before.outcome.losses)[100:].mean()
    assert found.differences["loss"].value == pytest.approx(difference)
    assert min(flip.position for flip in found.flips) >= 100


def test_what_cannot_be_compared_says_why(before: Evaluation) -> None:
    with pytest.raises(PruningError, match="different data"):
        compare(before, dataclasses.replace(before, data="something else"))
    with pytest.raises(PruningError, match="no example in common"):
        compare(before, without(before, COUNT))


def test_language_models_are_compared_without_classes() -> None:
    model, examples = model_of("gpt2-lm"), examples_of("gpt2-lm", 12)
    first, second = evaluate(model, examples), evaluate(model, examples, MASK)
    found = compare(first, second)
    assert found.p_value is None
    assert found.flips == ()
    assert found.differences["loss"].value == pytest.approx(values(second)["loss"] - values(first)["loss"])
    assert math.isfinite(found.differences["accuracy"].low)


def test_every_family_with_a_head_has_a_task() -> None:
    from pruning import UnsupportedError, task_of

    assert {name: task_of(model_of(name)).name for name in SCORED} == {name: FAMILIES[name].task for name in SCORED}
    assert LM in {FAMILIES[name].task for name in SCORED}
    for name in set(NAMES) - set(SCORED):
        with pytest.raises(UnsupportedError, match="not a classifier or language model"):
            task_of(model_of(name))


def test_the_demo_answers_and_a_broken_one_answers_worse(demo: LoadedModel, calibration: Examples) -> None:
    whole = evaluate(demo, calibration)
    broken = evaluate(demo, calibration, Mask(frozenset(demo.anatomy.head_ids())))
    assert whole.metrics["accuracy"].low > 0.75
    assert compare(whole, broken).differences["accuracy"].high < 0
