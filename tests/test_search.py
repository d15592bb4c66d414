"""Search strategies: every plan meets its budget, and no more than that; removal orders against independent code."""

from __future__ import annotations

import functools
import json
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning import HeadId, LoadedModel, Mask, PruningError, UnsupportedError, evaluate, measure_means, prune, score
from pruning.importance.context import Setting
from pruning.scopes import SCOPES, Scope
from pruning.search import (
    KINDS,
    Budget,
    BudgetError,
    Gauge,
    PlanError,
    RemovalOrder,
    describe_strategy,
    get_strategy,
    make_strategy,
    strategies,
)
from pruning.search.base import mask_of_units
from pruning.search.budget import left
from pruning.search.fisher import FisherSearch, JointFisher, swap
from pruning.search.greedy import Greedy
from pruning.search.guarantee import _most_worse, adjusted_bound, guaranteed, split, upper_bound
from pruning.search.iterative import Iterative
from pruning.search.planning import Planner, Request, plan, plan_below, search
from tests.families import examples_of, model_of

FAMILIES = ("bert", "llama", "swin")
STRATEGIES = tuple(strategies())
BUDGETS = {
    ("heads",): ("heads=0.5", "params=0.95"),
    ("neurons",): ("neurons=0.3", "macs=0.8"),
    ("layers",): ("layers=0.5", "params=0.9"),
    ("heads", "neurons"): ("macs=0.6", "params=0.7"),
}
CASES = [
    (family, strategy, scopes)
    for family in FAMILIES
    for strategy in STRATEGIES
    for scopes in BUDGETS
    if set(scopes) <= set(get_strategy(strategy).scopes)
]
ORDERED = [case for case in CASES if case[1] != "fisher"]


def request_for(strategy: str, scopes: tuple[Scope, ...] = ("heads",), **settings: object) -> Request:
    chosen = Greedy(rows=4, step=1, candidates=3) if strategy == "greedy" else get_strategy(strategy)()
    return Request(criterion="gradient", strategy=chosen, scopes=scopes, **settings)  # type: ignore[arg-type]


@functools.cache
def planner_of(family: str, strategy: str, scopes: tuple[Scope, ...] = ("heads",), **settings: object) -> Planner:
    return search(model_of(family), examples_of(family), request_for(strategy, scopes, **settings))


def restored(mask: Mask) -> list[Mask]:
    """The mask without one of its units, for a few of them of each kind."""
    heads = [mask - Mask(heads=frozenset([head])) for head in sorted(mask.heads)[:4]]
    neurons = [mask - Mask(neurons=frozenset([neuron])) for neuron in sorted(mask.neurons)[:4]]
    return heads + neurons + [mask - Mask(layers=frozenset([layer])) for layer in sorted(mask.layers)]


# Budgets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "strategy", "scopes"), CASES)
def test_a_plan_meets_its_budget_with_nothing_to_spare(family: str, strategy: str, scopes: tuple[Scope, ...]) -> None:
    planner = planner_of(family, strategy, scopes)
    for budget in map(Budget.parse, BUDGETS[scopes]):
        gauge = planner.gauge(budget.kind)
        try:
            found = planner.plan(budget)
        except BudgetError as error:
            budget = Budget.parse(str(error).rpartition("is ")[2])  # the nearest that can be met
            found = planner.plan(budget)
        assert found.predicted.share is not None
        assert found.predicted.share <= budget.share + 1e-9
        if isinstance(planner.found, RemovalOrder):
            steps = planner.found.usual
            count = next(n for n in range(len(steps) + 1) if planner.found.prefix(n) == found.mask)
            assert count == 0 or not gauge.meets(planner.found.prefix(count - 1), budget.share)
        else:
            assert not any(gauge.meets(mask, budget.share) for mask in restored(found.mask))


@pytest.mark.parametrize(("family", "strategy", "scopes"), [case for case in CASES if case[0] == "bert"])
def test_a_search_is_deterministic(family: str, strategy: str, scopes: tuple[Scope, ...]) -> None:
    first = planner_of(family, strategy, scopes)
    second = search(model_of(family), examples_of(family), request_for(strategy, scopes))
    gauge = first.gauge("macs")
    share = (1 + gauge.share(first.found.most())) / 2
    assert first.found.mask_for(gauge, share) == second.found.mask_for(gauge, share)


@pytest.mark.parametrize(("family", "strategy", "scopes"), ORDERED)
def test_larger_cuts_contain_smaller_ones(family: str, strategy: str, scopes: tuple[Scope, ...]) -> None:
    planner = planner_of(family, strategy, scopes)
    gauge = planner.gauge("macs")
    lowest = gauge.share(planner.found.most())
    masks = [planner.found.mask_for(gauge, share) for share in np.linspace(1, lowest, 9)[:-1]]
    assert all((small - large) == Mask() for small, large in pairwise(masks))
    assert masks[0] == Mask()
    assert masks[-1]


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2", "phi3-lm", "bart", "vit"])
@pytest.mark.parametrize("scopes", [("heads",), ("heads", "neurons"), ("heads", "neurons", "layers")])
def test_predicted_parameters_are_those_of_the_cut(family: str, scopes: tuple[Scope, ...]) -> None:
    model = model_of(family)
    found = plan(model, examples_of(family), "params=0.9", request_for("one-shot", scopes))
    assert prune(model, found.mask).parameters == found.predicted.parameters


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", ["bert", "bart"])
def test_what_is_protected_stays(family: str, strategy: str) -> None:
    scopes = tuple(scope for scope in SCOPES if scope in get_strategy(strategy).scopes)
    protected = Mask(heads=frozenset([HeadId(1, 0), HeadId(1, 2)]), layers=frozenset([0]))
    planner = planner_of(family, strategy, scopes, protected=protected)
    most = planner.found.most()
    layer = model_of(family).anatomy.layers[0]
    assert most
    assert not most.heads & protected.heads
    assert not most.layers & {0, 1}, "layer 1 holds a protected head"
    assert not {head for head in most.heads if head.site in layer.sites}
    assert not {neuron for neuron in most.neurons if neuron.block in layer.blocks}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_last_of_a_kind_goes_only_when_asked(strategy: str) -> None:
    planner = planner_of("bert", strategy)
    assert planner.plan(Budget("heads", 0)).predicted.heads == 0
    assert planner.plan(Budget("heads", 1 / 8)).predicted.heads == 1
    with pytest.raises(BudgetError, match=r"nearest that can is heads=0\.125"):
        planner.plan(Budget("heads", 0.1))
    assert planner.plan(Budget("heads", 0.125)).predicted.heads == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_whole_groups_go_together(strategy: str) -> None:
    model = model_of("llama")
    planner = planner_of("llama", strategy, whole_groups=True)
    mask = planner.plan(Budget("heads", 0.5)).mask
    assert len(mask.heads) == 4
    assert model.anatomy.with_their_groups(mask.heads) == mask.heads


@pytest.mark.parametrize("strategy", ["one-shot", "iterative"])
def test_a_removed_layer_takes_its_heads_along(strategy: str) -> None:
    planner = planner_of("bert", strategy, ("heads", "neurons", "layers"))
    assert isinstance(planner.found, RemovalOrder)
    gone: set[int] = set()
    for unit in chain(*planner.found.steps):
        assert unit.part not in gone, "it went with its layer already"
        if unit.scope == "layers":
            gone.add(unit.part)  # in BERT the layer, its site and its block have one index
    assert min(left(model_of("bert").anatomy, planner.found.most()).values()) == 1, "one of each kind stays"
    heads = planner.gauge("heads")
    assert heads.amount(Mask(heads=frozenset([HeadId(0, 1)]), layers=frozenset([0]))) == 4


@given(text=st.text(max_size=12))
def test_a_budget_is_read_or_refused(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except BudgetError:
        return
    assert Budget.parse(str(budget)).kind == budget.kind


@given(kind=st.sampled_from(KINDS), share=st.integers(0, 1000))
def test_a_budget_reads_what_it_prints(kind: str, share: int) -> None:
    budget = Budget(kind, share / 1000)  # type: ignore[arg-type]
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "message"),
    [("heads", "write heads=0.5"), ("heads=1.5", "1.5 is not a share"), ("size=0.5", "there is no budget in 'size'"),
     ("heads=.", "write heads"), ("heads=-1", "write heads")],
)  # fmt: skip
def test_a_wrong_budget_says_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        Budget.parse(text)


def test_budgets_have_aliases_and_percents() -> None:
    assert Budget.parse("parameters=60%") == Budget("params", 0.6)


@given(st.data())
def test_every_prefix_is_the_smallest_that_meets_its_budget(data: st.DataObject) -> None:
    """By trying every prefix in turn, for any order at all."""
    planner = planner_of("bert", "one-shot")
    assert isinstance(planner.found, RemovalOrder)
    steps = data.draw(st.permutations(planner.found.steps))
    kind = data.draw(st.sampled_from(["heads", "params", "macs"]))
    order, gauge = RemovalOrder(tuple(steps)), planner.gauge(kind)
    share = data.draw(st.floats(gauge.share(order.most()), 1))
    expected = next(order.prefix(n) for n in range(len(steps) + 1) if gauge.meets(order.prefix(n), share))
    assert order.mask_for(gauge, share) == expected


# Each strategy against its definition ------------------------------------------------------------------------------


def test_one_shot_is_the_order_of_the_scores() -> None:
    planner = planner_of("bert", "one-shot")
    expected = score(model_of("bert"), "gradient", examples_of("bert")).ranked()
    assert isinstance(planner.found, RemovalOrder)
    assert [unit[1:] for unit in chain(*planner.found.steps)] == [tuple(unit) for unit in expected]


def test_one_shot_weighs_scopes_by_what_they_save() -> None:
    model, examples = model_of("bert"), examples_of("bert")
    planner = planner_of("bert", "one-shot", ("heads", "neurons"))
    costs, values = planner.context.costs, {}
    for scope in ("heads", "neurons"):
        found = score(model, "gradient", examples, scope=scope)
        for part, row in enumerate(found.values):
            for unit, value in enumerate(row):
                one = Mask(**{scope: frozenset([(part, unit)])})
                values[scope, part, unit] = value / costs.saved(one).macs
    assert isinstance(planner.found, RemovalOrder)
    assert [tuple(unit) for unit in chain(*planner.found.steps)] == sorted(values, key=lambda u: (values[u], u))


@pytest.mark.parametrize("replacement", ["zero", "mean"])
def test_iterative_scores_what_is_left(replacement: str) -> None:
    model, examples = model_of("bert"), examples_of("bert")
    found = search(model, examples, Request("gradient", Iterative(3, replacement))).found  # type: ignore[arg-type]
    means = measure_means(model, examples) if replacement == "mean" else None
    mask = Mask()
    expected: list[HeadId] = []
    for _ in range(3):
        ranked = score(model, "gradient", examples, setting=Setting(mask, means)).ranked()
        expected += [HeadId(*unit) for unit in ranked if unit not in mask.heads][:3]
        mask = Mask(heads=frozenset(expected))
    assert isinstance(found, RemovalOrder)
    assert [unit[1:] for unit in chain(*found.steps)] == [tuple(head) for head in expected]


def test_uniform_takes_the_same_share_everywhere() -> None:
    planner = planner_of("swin", "uniform", ("heads", "neurons"))
    assert isinstance(planner.found, RemovalOrder)
    mask = planner.plan(Budget("neurons", 0.5)).mask
    anatomy = model_of("swin").anatomy
    for block in anatomy.blocks:
        gone = sum(neuron.block == block.index for neuron in mask.neurons)
        assert abs(gone - block.neurons / 2) <= 1
    for site in anatomy.sites:
        assert abs(sum(head.site == site.index for head in mask.heads) - site.heads / 2) <= 1


def test_layer_adaptive_is_the_published_score() -> None:
    values = score(model_of("bert"), "gradient", examples_of("bert")).values
    adapted = {
        (site, head): value**2 / sum(other**2 for other in row if other >= value)
        for site, row in enumerate(values)
        for head, value in enumerate(row)
    }
    planner = planner_of("bert", "layer-adaptive")
    assert isinstance(planner.found, RemovalOrder)
    order = [unit[1:] for unit in chain(*planner.found.steps)]
    assert order[:-2] == sorted(adapted, key=lambda unit: (adapted[unit], values[unit[0]][unit[1]]))[:-2]
    assert {unit[0] for unit in order[-2:]} == {0, 1}, "no site is emptied before the others have one head left"


@pytest.mark.parametrize("family", ["bert", "gpt2-lm", "vit"])
def test_greedy_removes_what_is_missed_least(family: str) -> None:
    """All candidates, all rows: against evaluating each mask by itself."""
    model, examples = model_of(family), examples_of(family)
    found = search(model, examples, Request(strategy=Greedy(rows=0, step=1, candidates=0))).found
    assert isinstance(found, RemovalOrder)
    order = [HeadId(part, head) for _, part, head in chain(*found.steps)]
    for count in range(3):
        gone = frozenset(order[:count])
        losses = {
            head: evaluate(model, examples, Mask(heads=gone | {head})).metrics["loss"].value
            for head in model.anatomy.head_ids()
            if head not in gone
        }
        assert losses[order[count]] <= min(losses.values()) + 1e-6


def test_fisher_finds_the_best_split() -> None:
    """Against trying every number of heads and of neurons."""
    planner = search(
        model_of("bert"), examples_of("bert"), Request(strategy=JointFisher(False), scopes=("heads", "neurons"))
    )
    found, gauge = planner.found, planner.gauge("macs")
    assert isinstance(found, FisherSearch)
    heads, neurons = (found.orders[scope].usual for scope in ("heads", "neurons"))
    for share in (0.9, 0.6, 0.4):
        splits = [
            (sum(found.loss[step] for step in (*heads[:h], *neurons[:n])), h, n)
            for h in range(len(heads) + 1)
            for n in range(len(neurons) + 1)
            if gauge.meets(mask_of_units(chain(*heads[:h], *neurons[:n])), share)
        ]
        best = min(splits)
        assert found.mask_for(gauge, share) == mask_of_units(chain(*heads[: best[1]], *neurons[: best[2]]))


def test_swapping_lowers_the_loss_and_keeps_the_number() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        gradients = random.normal(size=(12, 9)) + random.normal(size=(12, 1))
        removed = np.isin(np.arange(9), random.permutation(9)[:4])
        swapped = swap(gradients, removed)
        fisher = gradients.T @ gradients / 12
        before, after = (mask @ fisher @ mask for mask in (removed.astype(float), swapped.astype(float)))
        assert swapped.sum() == 4
        assert after <= before + 1e-12
        for out in np.flatnonzero(swapped):  # no single exchange is left that would help
            for back in np.flatnonzero(~swapped):
                other = swapped.astype(float)
                other[[out, back]] = 0, 1
                assert other @ fisher @ other >= after - 1e-9


def test_swapping_sees_that_two_units_stand_in_for_each_other() -> None:
    gradients = np.array([[1.0, 1.0, 1.1], [1.0, 1.0, -1.1]])  # by themselves, the first two matter less
    assert swap(gradients, np.array([True, True, False])).tolist() != [True, True, False]


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(strategy="uniform", scopes=("layers",)), "does not choose among layers"),
        (Request(criterion="entropy", scopes=("neurons",)), "entropy is not defined for neurons"),
        (Request(strategy="layer-adaptive", criterion="entropy"), "high values"),
        (Request(strategy="best"), "there is no strategy 'best'"),
        (Request(scopes=()), "at least one scope"),
        (Request(compensation="magic"), "there is no compensation"),
        (Request(protected=Mask(heads=frozenset([HeadId(9, 0)]))), "does not exist"),
        (Request(protected=Mask(layers=frozenset([0, 1]))), "everything is protected"),
    ],
)
def test_what_does_not_go_together_is_refused(request_: Request, message: str) -> None:
    with pytest.raises(PruningError, match=message):
        plan(model_of("bert"), examples_of("bert"), "heads=0.5", request_)


def test_strategies_need_examples_and_say_so() -> None:
    with pytest.raises(UnsupportedError, match="needs examples"):
        plan(model_of("bert"), None, "heads=0.5", Request(strategy="greedy"))


def test_a_criterion_off_the_loss_is_noted() -> None:
    found = plan(model_of("bert"), None, "macs=0.8", Request("random", "one-shot", ("heads", "neurons")))
    assert "not in units of the loss" in str(found.notes[0])


def test_settings_are_read_by_their_types() -> None:
    assert make_strategy("iterative", {"step": "4", "replacement": "mean"}) == Iterative(4, "mean")
    assert make_strategy("fisher", {"rearrange": "false"}) == JointFisher(False)
    with pytest.raises(PlanError, match="settings and defaults: step=0"):
        make_strategy("iterative", {"steps": "4"})
    with pytest.raises(PlanError, match="step=0"):
        make_strategy("iterative", {"step": "four"})
    with pytest.raises(PlanError, match="step is 0 or more"):
        Iterative(step=-1)
    with pytest.raises(PlanError, match="step is 1 or more"):
        Greedy(step=0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_registry_describes_itself(name: str) -> None:
    row = describe_strategy(get_strategy(name))
    assert json.loads(json.dumps(row))["name"] == name
    assert all(row[key] for key in ("label", "cost", "about", "reference", "scopes"))


# Thresholds and guarantees -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["gradient", "entropy"])
def test_a_threshold_removes_what_is_below_it(criterion: str) -> None:
    found = score(model_of("bert"), criterion, examples_of("bert"))
    threshold = found.threshold_for(3)
    assert threshold is not None
    made = plan_below(model_of("bert"), examples_of("bert"), threshold, Request(criterion))
    assert made.mask == found.below(threshold)
    assert (made.threshold, made.budget, made.strategy) == (threshold, None, "threshold")


@pytest.mark.parametrize("threshold", [-1.0, 1e9])
def test_a_threshold_that_removes_all_or_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(PlanError, match="values of gradient are"):
        plan_below(model_of("bert"), examples_of("bert"), threshold)


@given(count=st.integers(5, 60), seed=st.integers(0, 99))
def test_confirming_examples_are_kept_apart(count: int, seed: int) -> None:
    examples = examples_of("vit", 60)
    some = examples.at(range(count))
    first, second = split(some, seed)
    assert not set(first.texts) & set(second.texts)
    assert set(first.texts) | set(second.texts) == set(some.texts)
    assert len(second) == round(0.4 * count)


def test_the_bound_covers_the_loss() -> None:
    """Exactly, over a grid of true rates: the bound is too low in at most 5% of samples."""
    from scipy.stats import multinomial

    count = 16
    outcomes = [(w, b) for w in range(count + 1) for b in range(count + 1 - w)]
    bounds = np.array([upper_bound(w, b, count) for w, b in outcomes])
    counts = np.array([(w, b, count - w - b) for w, b in outcomes])
    for loss in (0.02, 0.1, 0.2, 0.35, 0.6):
        for better in np.linspace(0, (1 - loss) / 2, 6):
            chances = multinomial.pmf(counts, count, [loss + better, better, 1 - loss - 2 * better])
            assert chances[bounds < loss].sum() <= 0.05 + 1e-3  # between the rates at which the bound is computed


def test_the_bound_is_the_rule_of_three_where_nothing_flips() -> None:
    assert upper_bound(0, 0, 200) == pytest.approx(1 - 0.05 ** (1 / 200), abs=2e-5)
    assert upper_bound(5, 0, 200) > upper_bound(5, 3, 200) > upper_bound(4, 3, 200)


def test_limits_are_those_of_trying_all() -> None:
    count = 30
    better = np.arange(count + 1)
    bound = adjusted_bound(4, 2, count)
    expected = [
        max([w for w in range(count - b + 1) if adjusted_bound(w, b, count) <= bound], default=-1) for b in better
    ]
    assert _most_worse(bound, better, count).tolist() == expected


def test_too_few_rows_support_no_claim() -> None:
    found = guaranteed(model_of("bert"), examples_of("bert", 20), 1.0, request_for("one-shot"))
    assert found.guarantee is not None
    assert (found.mask, found.guarantee.confirmed, found.guarantee.samples) == (Mask(), False, 8)
    assert found.guarantee.bound > 1
    assert "cannot support" in found.guarantee.message


def test_a_confirmed_plan_keeps_its_promise() -> None:
    model, examples = model_of("bert"), examples_of("bert", 40)
    seen: list[tuple[int, int]] = []
    request = request_for("one-shot")
    found = guaranteed(model, examples, 60.0, request, progress=lambda *now: seen.append(now))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    assert len({total for _, total in seen}) == 1
    assert found.guarantee is not None
    assert found.guarantee.confirmed
    assert found.mask
    _, confirm = split(examples, 0)
    before, after = (evaluate(model, confirm, mask).metrics["accuracy"].value for mask in (None, found.mask))
    assert found.guarantee.lost == pytest.approx(100 * (before - after))
    assert found.guarantee.lost <= found.guarantee.bound <= 60


@pytest.mark.parametrize("points", [0, 100, -3])
def test_points_out_of_range_are_refused(points: float) -> None:
    with pytest.raises(PlanError, match="more than 0 and less than 100"):
        guaranteed(model_of("bert"), examples_of("bert"), points)


def test_a_language_model_has_no_accuracy_in_points() -> None:
    with pytest.raises(UnsupportedError, match="classes"):
        guaranteed(model_of("gpt2-lm"), examples_of("gpt2-lm"), 1.0)


def gauge_of(model: LoadedModel, kind: str) -> Gauge:
    return Gauge(kind, model.anatomy, planner_of("bert", "one-shot").context.costs)  # type: ignore[arg-type]


def test_a_latency_gauge_needs_a_table() -> None:
    with pytest.raises(BudgetError, match="latency table"):
        gauge_of(model_of("bert"), "latency").amount(Mask())


@pytest.mark.parametrize("strategy", ["iterative", "uniform"])
@pytest.mark.parametrize("criterion", ["gradient", "output-norm"])
def test_heads_that_cannot_be_gated_are_refused(strategy: str, criterion: str) -> None:
    """JetMoE's experts take the place of an output projection."""
    from pruning import wrap_model
    from pruning.conformance.tiny import tiny_model
    from pruning.tasks import Examples

    model = wrap_model(tiny_model("jetmoe", head="causal-lm"), name="jetmoe")
    rows = tuple({"input_ids": [5 + row, 7, 9, 6], "attention_mask": [1] * 4} for row in range(4))
    examples = Examples(rows, (), (4,) * 4, ("text",) * 4, (), "these examples")
    with pytest.raises(UnsupportedError, match="no linear layer takes the heads as its input"):
        plan(model, examples, "heads=0.5", Request(criterion, strategy))
