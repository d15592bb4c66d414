"""The latency table, with a clock that is told how long each model takes: nothing here measures this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pruning import HeadId, Mask
from pruning.latency import Curve, LatencyTable, measure_latency_table
from pruning.masks import NeuronId
from pruning.search import Budget, BudgetError
from pruning.search.planning import Request, plan
from tests.families import examples_of, model_of

TICK = 2.0**-20  # s


class SlowMotion:
    """A clock by which a forward pass takes 2⁻²⁰ s for each parameter of the module that ran: sums stay exact."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.runs = 0.0, 0

        def run(module: Any, inputs: Any) -> None:
            self.runs += 1
            self.now += sum(p.numel() for p in module.parameters()) * TICK

        monkeypatch.setattr("pruning.inputs.run", run)

    def __call__(self) -> float:
        return self.now


def measured(monkeypatch: pytest.MonkeyPatch, family: str = "bert", **options: Any) -> tuple[LatencyTable, SlowMotion]:
    model = model_of(family)
    assert model.anatomy  # found before the clock takes the place of running
    clock = SlowMotion(monkeypatch)
    return measure_latency_table(model, 16, pairs=2, clock=clock, **options), clock


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def heads(*pairs: tuple[int, int]) -> frozenset[HeadId]:
    return frozenset(HeadId(*pair) for pair in pairs)


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_predictions_follow_the_clock(monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    """Time is parameters by this clock, so whatever is cut must be predicted as its parameters say."""
    from pruning.cost import count_cost

    model, costs = model_of(family), count_cost(model_of(family))
    table, _ = measured(monkeypatch, family)
    assert table.predict(Mask()) == table.whole_ms == pytest.approx(model.anatomy.parameters * TICK * 1e3)
    masks = [
        Mask(heads=heads((0, 0), (0, 1))),
        Mask(heads=heads(*((1, head) for head in range(model.anatomy.sites[1].heads)))),
        Mask(neurons=frozenset(NeuronId(1, i) for i in range(20))),
        Mask(heads=heads((0, 0), (0, 1)), neurons=frozenset(NeuronId(0, i) for i in range(7))),
    ]
    masks.append(Mask(layers=frozenset([1])))
    for mask in masks:
        assert table.predict(mask) == pytest.approx(costs.after(mask).parameters * TICK * 1e3, rel=1e-6)


def test_what_is_inside_a_removed_layer_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = measured(monkeypatch)
    layer = Mask(layers=frozenset([0]))
    inside = Mask(heads=heads((0, 0)), neurons=frozenset([NeuronId(0, 3)]))
    assert table.predict(layer | inside) == table.predict(layer)
    assert table.predict(layer) <= table.predict(Mask(heads=heads(*((0, i) for i in range(4)))))


def test_a_table_is_measured_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first, clock = measured(monkeypatch)
    runs = clock.runs
    assert measure_latency_table(model_of("bert"), 16, pairs=2, clock=clock) == first
    assert clock.runs == runs
    assert measure_latency_table(model_of("bert"), 8, pairs=2, clock=clock) != first
    assert clock.runs > runs
    assert len(list((tmp_path / "headroom" / "latency").iterdir())) == 2


@pytest.mark.parametrize("damage", ["{", '{"version": 0}', '{"version": 1}'])
def test_a_damaged_table_is_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: str) -> None:
    first, clock = measured(monkeypatch)
    (path,) = (tmp_path / "headroom" / "latency").iterdir()
    path.write_text(damage)
    runs = clock.runs
    assert measure_latency_table(model_of("bert"), 16, pairs=2, clock=clock).sites == first.sites
    assert clock.runs > runs


def test_nothing_is_kept_when_it_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    measured(monkeypatch, cache=False)
    assert not (tmp_path / "headroom").exists()


def test_a_plan_can_have_a_latency_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    model, examples = model_of("bert"), examples_of("bert")
    request = Request("gradient", "one-shot", ("heads", "neurons"))
    with monkeypatch.context() as patch:
        table, _ = measured(patch)
    found = plan(model, examples, Budget("latency", 0.8), request, latency=table)
    assert found.predicted.latency_ms == pytest.approx(table.predict(found.mask))
    assert found.predicted.share is not None
    assert 0.75 < found.predicted.share <= 0.8
    with pytest.raises(BudgetError, match="nearest that can is latency="):
        plan(model, examples, Budget("latency", 0.01), request, latency=table)


def test_sizes_between_those_measured_are_interpolated() -> None:
    curve = Curve((0, 4, 8), (0.3, 0.2, 0.0))
    assert [curve.at(left) for left in (0, 2, 4, 6, 8)] == pytest.approx([0.3, 0.25, 0.2, 0.1, 0.0])


def test_noise_never_makes_a_smaller_part_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SlowMotion(monkeypatch)
    ticks = iter(range(10**9))

    def noisy() -> float:
        return clock.now + (next(ticks) * 7919 % 13) * 3e-3

    table = measure_latency_table(model_of("bert"), 16, pairs=2, cache=False, clock=noisy)
    for curve in (*table.sites, *table.blocks):
        assert list(curve.saved) == sorted(curve.saved, reverse=True)
        assert min(curve.saved) == 0
