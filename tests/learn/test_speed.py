"""Lesson 9: the ratio is that of the clock's own readings, and the promise that of counted MACs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pruning.cost import count_cost
from pruning.errors import Cancelled
from pruning.gating import _GATES
from pruning.masks import HeadId, Mask
from pruning.surgery import prune
from tests.families import examples_of, model_of
from ui.learn.base import Subject
from ui.learn.experiments import speed
from ui.learn.experiments.speed import Speed, half_of, table_of, watt_hours

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str, mask: Mask | None = None) -> Subject:
    examples = examples_of(name)
    return Subject(model_of(name), "tiny", examples, examples, mask or Mask())


def ticking(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> None:
    """A clock whose every forward pass takes as long as its number in the round says."""
    monkeypatch.setattr(speed, "_rounds", lambda ways, report: ([seconds(i) for i in range(3)] for _ in range(7)))


def test_the_ratio_is_that_of_the_readings_and_the_promise_that_of_the_macs(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, lambda way: (0.03, 0.031, 0.02)[way])
    subject = subject_of("bert")
    found = Speed(batch=4).run(subject, SILENT)
    mask = Mask(frozenset(HeadId(site, head) for site in range(2) for head in range(2)))
    costs = count_cost(subject.model, round(subject.evaluation.tokens) or 128)
    assert (found.truth, found.samples) == (pytest.approx(1.5), 7)
    assert found.promise == pytest.approx(costs.total.macs / costs.after(mask).macs)
    assert found.parameters == (subject.model.anatomy.parameters, prune(subject.model, mask).parameters)
    assert [one.value for one in found.milliseconds] == pytest.approx([30.0, 31.0, 20.0])
    assert watt_hours(20.0, 4, 90.0) == pytest.approx(90 * 0.02 / 3600 * 1000 / 4)
    assert len(table_of(found, 90.0)) == 3


@pytest.mark.parametrize("name", ["bert", "vit", "swin", "t5", "llama-lm"])
def test_every_kind_of_model_is_cut_and_timed(name: str) -> None:
    subject = subject_of(name)
    found = Speed("both", 2).run(subject, SILENT)
    assert found.truth > 0
    assert found.low <= found.truth <= found.high
    assert found.parameters[1] < found.parameters[0]
    assert found.promise > 1
    assert _GATES.get() is None


def test_grouped_heads_go_in_whole_groups() -> None:
    anatomy = model_of("llama").anatomy
    assert {head for head in half_of(anatomy, "heads").heads if head.site == 0} == {HeadId(0, 0), HeadId(0, 1)}


def test_the_mask_of_the_link_is_cut() -> None:
    mask = Mask(frozenset({HeadId(0, 3)}))
    assert Speed("link").mask(subject_of("bert", mask)) == mask


def test_it_stops_where_nobody_waits_any_more() -> None:
    def cancel(done: int, total: int, step: object) -> None:
        if done > 2:
            raise Cancelled("cancelled")

    with pytest.raises(Cancelled):
        Speed().run(subject_of("bert"), cancel)
    assert _GATES.get() is None
