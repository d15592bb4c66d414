"""What the Prune page is made of, without a page: masks in words, files, wishes, replacements, searches."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pruning.errors import PruningError
from pruning.importance import criteria
from pruning.importance.scoring import score
from pruning.masks import HeadId, Mask, NeuronId
from pruning.plan import Plan
from pruning.recovery.reconstruction import compensate
from pruning.search import Budget, BudgetError, get_strategy, strategies
from tests.families import examples_of, model_of
from ui import files, neurons, removed, state
from ui.jobs import Job
from ui.replacing import Replacements
from ui.state import Session, url_parameters
from ui.store import Store, evaluation_key
from ui.wishes import SCOPE_CHOICES, Wish, budget_kinds, fitted, request_of, scope_choices

HEAD, NEURONS, LAYER = Mask.parse_heads("1:2"), Mask(neurons=frozenset({NeuronId(0, 3)})), Mask(layers=frozenset({0}))
BERT = model_of("bert")
ANATOMY = BERT.anatomy
WHOLE = ANATOMY.heads_per_site


# Masks in words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (Mask(), "Removed 0 of 8 heads"),
        (HEAD, "Removed 1 of 8 heads"),
        (HEAD | NEURONS, "Removed 1 of 8 heads, 1 of 128 neurons"),
        (HEAD | NEURONS | LAYER, "Removed 5 of 8 heads, 64 of 128 neurons, 1 of 2 layers"),
        (Mask.parse_heads("0:1") | LAYER, "Removed 4 of 8 heads, 64 of 128 neurons, 1 of 2 layers"),
    ],
)
def test_the_summary_counts_what_goes_with_a_layer_once(mask: Mask, words: str) -> None:
    assert removed.summary(mask, WHOLE, ANATOMY) == words


def test_before_the_model_is_there_the_summary_says_what_the_mask_says() -> None:
    assert removed.summary(HEAD | NEURONS | LAYER, WHOLE, None) == "Removed 1 of 8 heads, 1 neuron, 1 layer"


def test_the_heads_of_a_removed_layer_are_crossed_out_and_locked() -> None:
    row = frozenset(HeadId(0, head) for head in range(4))
    assert removed.locked_heads(HEAD | LAYER, ANATOMY) == row
    assert removed.shown_mask(HEAD | LAYER, ANATOMY).heads == row | HEAD.heads
    assert removed.shown_mask(HEAD | LAYER, None) == HEAD | LAYER
    assert removed.layer_of(1, ANATOMY) == 1
    assert removed.layer_of(1, None) is None


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (HEAD | NEURONS | LAYER, ""),
        (Mask.parse_heads("0:9"), "the model has no head 0:9"),
        (Mask(neurons=frozenset({NeuronId(0, 64)})), "neuron 0:64 does not exist in this model"),
        (Mask(layers=frozenset({2})), "layer 2 does not exist: the model has 2 layers (0 to 1)"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(mask: Mask, problem: str) -> None:
    assert removed.misfit(mask, WHOLE, ANATOMY).partition(":")[0] == problem.partition(":")[0]
    assert bool(removed.misfit(mask, WHOLE, None)) == bool(mask.heads - HEAD.heads)


def test_the_strip_shows_every_block_and_a_restore_leaves_the_others() -> None:
    both = NEURONS | Mask(neurons=frozenset({NeuronId(1, 0), NeuronId(1, 5)}))
    assert removed.neurons_removed(both | HEAD, ANATOMY) == [(1, 64), (2, 64)]
    assert removed.neurons_removed(LAYER, ANATOMY) == [(64, 64), (0, 64)]
    drawn = neurons.strip([(1, 64), (32, 64)])
    assert "width:50.0%" in drawn
    assert "32 of 64" in drawn
    assert neurons.without_neurons(both | HEAD, {1}) == NEURONS | HEAD


def test_the_lowest_neurons_of_one_block_leave_the_rest_alone() -> None:
    importance = score(BERT, "magnitude", None, scope="neurons")
    start = HEAD | Mask(neurons=frozenset({NeuronId(0, 3), NeuronId(1, 0)}))
    found = neurons.lowest_neurons(start, importance, 1, 5)
    chosen = {neuron for block, neuron in found.neurons if block == 1}
    assert found - Mask(neurons=frozenset(NeuronId(1, i) for i in chosen)) == NEURONS | HEAD
    assert chosen == set(sorted(range(64), key=lambda i: importance.values[1][i])[:5])


# The link ---------------------------------------------------------------------------------------------------------


def test_a_mask_too_long_for_a_link_stays_out_of_it() -> None:
    scattered = Mask(neurons=frozenset(NeuronId(block, i) for block in range(40) for i in range(0, 3000, 7)))
    assert not state.fits_a_link(scattered)
    assert state.fits_a_link(HEAD | NEURONS | LAYER)
    session = Session(history=state.History(scattered), compensation="mean")
    assert url_parameters(session) == {"keep": "mean"}


def test_nothing_stands_in_for_nothing() -> None:
    assert Session(compensation="mean").replacement == "none"
    assert Session(compensation="mean", history=state.History(HEAD)).replacement == "mean"


# Files ------------------------------------------------------------------------------------------------------------


def plan_of(mask: Mask, **changes: Any) -> Plan:
    from pruning.search.planning import Request, search

    planner = search(BERT, None, Request(criterion="magnitude", strategy="one-shot"))
    return replace(planner.plan_of(mask, Budget("heads", 0.9)), **changes)


def test_a_mask_and_a_plan_come_back_from_their_files() -> None:
    mask, plan = HEAD | NEURONS | LAYER, plan_of(HEAD)
    assert files.read_file(json.dumps(mask.to_json()).encode(), BERT) == (mask, None, ())
    assert files.read_file(json.dumps(plan.to_json()).encode(), BERT) == (HEAD, plan, ())
    assert files.read_file(json.dumps(plan.to_json()).encode(), None)[1] == plan


def test_a_plan_for_other_weights_comes_with_a_remark() -> None:
    _, _, remarks = files.read_file(json.dumps(plan_of(HEAD, model="another").to_json()).encode(), BERT)
    assert "other weights" in str(remarks[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "this is no JSON file"),
        (b"\xff\xfe", "this is no JSON file"),
        (b"[1]", 'a mask is an object with "heads"'),
        (json.dumps(Mask.parse_heads("9:9").to_json()).encode(), "does not fit this model: the model has no head 9:9"),
        (b" " * (files.LARGEST_FILE + 1), "masks and plans have no more"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises(PruningError, match=message):
        files.read_file(content, BERT)


@pytest.mark.parametrize(
    ("session", "planned", "words"),
    [
        (Session(), False, "demo --mask mask.json"),
        (Session("my models/one", "rows.csv"), False, "'my models/one' --mask mask.json"),
        (Session(compensation="mean", data="tweets"), False, "demo --mask mask.json --recover mean"),
        (
            Session(compensation="mean", data="a.csv"),
            False,
            "demo --mask mask.json --recover mean --recover-data a.csv",
        ),
        (Session(compensation="reconstruct"), True, "demo --plan plan.json"),
        (Session("digits", "digits", compensation="reconstruct"), True, "digits --plan plan.json"),
        (Session(data="a.csv", compensation="mean"), True, "demo --plan plan.json --recover-data a.csv"),
    ],
)
def test_the_command_cuts_what_the_preview_shows(session: Session, planned: bool, words: str) -> None:
    found = files.command(session, plan_of(HEAD) if planned else None)
    assert found == f"python -m pruning prune {words} -o smaller"


# Wishes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", strategies())
@pytest.mark.parametrize("criterion", criteria())
def test_whatever_the_form_offers_goes_together(strategy: str, criterion: str) -> None:
    choices = scope_choices(ANATOMY, strategy, criterion)
    assert choices
    for scopes in choices:
        wish = Wish(strategy=strategy, scopes=scopes, kind=budget_kinds(scopes)[0])
        assert fitted(wish, ANATOMY, criterion) == wish
        assert request_of(wish, criterion, whole_groups=False).scopes == scopes
    for scopes in set(SCOPE_CHOICES) - set(choices):
        changed = fitted(Wish(strategy=strategy, scopes=scopes, kind="neurons", layers=(0, 9)), ANATOMY, criterion)
        assert changed.scopes in choices
        assert changed.kind in budget_kinds(changed.scopes)
        assert changed.layers == (0,)


def test_what_must_stay_is_read_as_it_was_typed() -> None:
    protected = request_of(Wish(heads="0:1-2", layers=(1,)), "gradient", whole_groups=False).protected
    assert protected == Mask.parse_heads("0:1,0:2") | Mask(layers=frozenset({1}))
    with pytest.raises(PruningError, match="'x' is not a head"):
        request_of(Wish(heads="x"), "gradient", whole_groups=False)


def test_a_strategy_with_a_measure_of_its_own_is_one_search_whatever_the_criterion() -> None:
    assert get_strategy("fisher").measure
    assert request_of(Wish("fisher"), "random", False) == request_of(Wish("fisher"), "gradient", False)


# The worker's part ------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(Store, "examples", lambda *_: examples_of("bert", 8))
    return Store()


def done(job: Job) -> Any:
    assert job.finished.wait(60)
    assert job.error is None
    assert job.state == "done"
    return job.result


@pytest.mark.parametrize("method", ["mean", "reconstruct"])
def test_a_replacement_is_measured_as_it_will_be_cut(shared: Store, method: str) -> None:
    from pruning.evaluation import evaluate

    mask = HEAD | NEURONS
    found = done(shared.evaluate("one", BERT, "rows", mask, method)).after
    examples = examples_of("bert", 8)
    expected = evaluate(BERT, examples, mask, compensation=compensate(BERT, mask, examples, method))
    assert found.metrics["loss"].value == pytest.approx(expected.metrics["loss"].value, abs=1e-6)
    zero = done(shared.evaluate("one", BERT, "rows", mask)).after
    assert zero.metrics["loss"].value != pytest.approx(found.metrics["loss"].value, abs=1e-4)
    assert evaluation_key(BERT, "rows", mask, method) != evaluation_key(BERT, "rows", mask)
    assert done(shared.evaluate("two", BERT, "rows", mask, method)).after is found, "it was measured again"


def test_a_replacement_is_made_once_and_a_cancelled_one_never() -> None:
    asked: list[str] = []

    def examples(_: object, data: str) -> Any:
        asked.append(data)
        return examples_of("bert", 8)

    replacements = Replacements(examples)
    job = Job(("one", "evaluate"), "x", lambda job: None)
    for method in ("mean", "reconstruct"):
        assert replacements.known(BERT, "rows", HEAD, method) is None
        made = replacements.make(job, BERT, "rows", HEAD, method)
        assert made is not None
        assert replacements.make(job, BERT, "rows", HEAD, method) is not None
        assert replacements.known(BERT, "rows", HEAD, method) is not None
    assert replacements.make(job, BERT, "rows", NEURONS, "mean") is not None
    assert asked == ["rows", "rows"], "the means are those of the whole model, whatever the mask"
    assert replacements.make(job, BERT, "rows", Mask(), "mean") is None
    job.cancelled.set()
    with pytest.raises(PruningError, match="cancelled"):
        replacements.make(job, BERT, "rows", NEURONS, "reconstruct")
    assert replacements.known(BERT, "rows", NEURONS, "reconstruct") is None


def test_one_search_answers_every_budget(shared: Store) -> None:
    request = request_of(Wish("one-shot", ("heads", "neurons"), layers=(0,)), "gradient", whole_groups=False)
    assert shared.plans.planner(BERT, "rows", request) is None
    planner = done(shared.plans.search("one", BERT, "rows", request, timed=False))
    known = shared.plans.planner(BERT, "rows", request)
    assert known is not None
    assert known.found is planner.found
    few, many = (known.plan(Budget("macs", share)).mask for share in (0.9, 0.7))
    assert few.heads < many.heads or few.neurons < many.neurons
    assert not {site for site, _ in many.heads} & {0}
    with pytest.raises(BudgetError, match="the nearest that can"):
        known.plan(Budget("macs", 0.01))


def test_times_are_measured_for_latency_and_shown_from_then_on(shared: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from pruning import latency

    measure: Callable[..., Any] = latency.measure_latency_table
    monkeypatch.setattr(latency, "measure_latency_table", lambda *a, **k: measure(*a, **k, pairs=1, cache=False))
    request = request_of(Wish("one-shot"), "gradient", whole_groups=False)
    planner = done(shared.plans.search("one", BERT, "rows", request, timed=True))
    assert planner.plan(Budget("heads", 0.5)).predicted.latency_ms > 0
    assert shared.plans.table(BERT) is planner.latency


def test_a_guarantee_comes_with_its_sentence_or_with_the_reason_why_not(shared: Store) -> None:
    request = request_of(Wish("one-shot"), "gradient", whole_groups=False)
    plan = done(shared.plans.guarantee("one", BERT, "rows", request, 2.0))
    assert plan.guarantee.message
    assert not plan.guarantee.confirmed, "three examples cannot confirm anything"
