"""Timing ways to do the same in turns, so that what else the machine does slows all of them; and their memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Row

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """How many times as long one way takes as another.

    Attributes:
        value: Median of the rounds' ratios.
        low, high: 95% bootstrap interval of that median.
        rounds: How often each way was timed.
        slow, quick: Median seconds of the two.
    """

    value: float
    low: float
    high: float
    rounds: int
    slow: float
    quick: float


def in_turns(ways: Mapping[str, Callable[[], Any]], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of each way in each round; every other round goes backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        names = list(ways) if number % 2 == 0 else list(reversed(ways))
        for name in names:
            started = clock()
            ways[name]()
            seconds[name].append(clock() - started)
    return seconds


def ratio(slow: list[float], quick: list[float], *, times: float = 1.0) -> Ratio:
    """How many times as long ``slow`` takes, each round with its own partner.

    Args:
        times: What the slow way has to be done for, where only one of many equal parts of it was timed.
    """
    ratios = times * np.asarray(slow) / np.asarray(quick)
    drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return Ratio(
        float(np.median(ratios)),
        float(low),
        float(high),
        len(ratios),
        times * float(np.median(slow)),
        float(np.median(quick)),
    )


@contextmanager
def watched() -> Iterator[list[int]]:
    """The most bytes that the process has meanwhile, in a list of one."""
    highest, done = [resident()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            highest[0] = max(highest[0], resident())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield highest
    finally:
        done.set()
        thread.join()


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def row(name: str, target: str, met: bool, found: Ratio, **more: Any) -> Row:
    """A row of the table: a figure beside its target."""
    return {"name": name, "target": target, "met": met, **asdict(found), **more}


def line(found: Row) -> list[str]:
    """A row as cells."""
    value = f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
    seconds = f"{found['slow']:.3g} / {found['quick']:.3g} s"
    return [found["name"], found["target"], value, str(found["rounds"]), seconds, "met" if found["met"] else "missed"]


HEADER = ["what", "target", "measured [95%]", "rounds", "median times", ""]
