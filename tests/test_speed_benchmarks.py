"""The benchmarks of speed: each part runs on a tiny model, checks that its two ways agree, and says what it found."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks import common, scaling, speed
from benchmarks.timing import in_turns, ratio
from pruning import task_of
from pruning.sweep import Bench
from tests.families import examples_of, model_of


@pytest.fixture
def bench() -> Bench:
    model, examples = model_of("bert"), examples_of("bert", 160)
    return Bench(model, task_of(model), examples.at(range(16)), examples.at(range(16, 160)))


@pytest.mark.parametrize("name", list(speed.PARTS))
def test_every_part_measures(name: str, bench: Bench) -> None:
    rows = list(speed.PARTS[name](bench, speed.Timing(8, 1, time.process_time)))
    assert rows
    for row in rows:
        assert row["low"] <= row["value"] <= row["high"]
        assert "met" in row
        json.dumps(row)


def test_ways_that_differ_are_not_timed() -> None:
    with pytest.raises(AssertionError, match=r"differ by 0\.1"):
        speed.check("anything", 0.1, 1e-5)
    with pytest.raises(AssertionError):
        speed.check("anything", float("nan"), 1e-5)


def test_ratios_of_rounds() -> None:
    found = ratio([2.0, 4.0, 6.0], [1.0, 2.0, 2.0], times=10)
    assert (found.value, found.rounds, found.quick) == (20.0, 3, 2.0)
    assert found.low == 20.0
    assert found.high == 30.0


def test_ways_take_turns() -> None:
    seen: list[str] = []
    ticks = iter(range(100))
    seconds = in_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3, lambda: float(next(ticks)))
    assert "".join(seen) == "abbaab"
    assert seconds == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_scaling_measures_a_cell_and_fits_a_line(tmp_path: Path) -> None:
    rows = [scaling.measure(scaling.Size("rows", rows=count, layers=1, heads=2, tokens=4)) for count in (8, 16)]
    assert [row["value"] for row in rows] == [8, 16]
    assert scaling.exponent([{"value": n, "t": n**2} for n in (1, 2, 4, 8)], "t") == pytest.approx(2)
    assert len(scaling.fits(rows)) == 1
    assert len(scaling.line(rows[0])) == len(scaling.HEADER)


def test_every_row_has_a_cell_for_every_heading(bench: Bench) -> None:
    (row,) = speed.PARTS["memory"](bench, speed.Timing(8, 1, time.process_time))
    assert len(speed.line(row)) == len(speed.HEADER)
    assert common.table(speed.HEADER, [speed.line(row)])
