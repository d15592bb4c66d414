"""Both models side by side: what they hold and compute, counted, and how long a request takes, in turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.presenting.prices import TOKENS
from pruning.statistics import Estimate

if TYPE_CHECKING:
    from torch import nn

    from pruning.models import LoadedModel

RUNS, LEAST_RUNS, MOST_SECONDS = 40, 12, 20.0  # pairs of runs; slow models get fewer
Clock = Callable[[], float]  # seconds


@dataclass(frozen=True)
class Size:
    """What one model holds and computes, counted.

    Attributes:
        disk_bytes: Of its weights, as a file holds them.
        macs: Multiply-accumulates of one request.
        memory_bytes: Its weights, and the most that one request needs on top; ``None`` where torch does not say.
    """

    parameters: int
    disk_bytes: int
    macs: int
    memory_bytes: int | None


@dataclass(frozen=True)
class Timing:
    """Times of two models on one computer, taken in turns.

    Attributes:
        before, after: Median milliseconds of one request with a 95% interval.
        ratio: Median of after / before over neighbours in time, which share what else the computer does.
        runs: Of each model.
        tokens: Of the request; 0 where it is no text.
        machine: What the times hold for, in words.
    """

    before: Estimate
    after: Estimate
    ratio: Estimate
    runs: int
    tokens: int
    threads: int
    machine: str


def measure_size(module: nn.Module, tokens: int = TOKENS) -> Size:
    """Count one model.

    Args:
        tokens: Length of the request.
    """
    from pruning.macs import count_macs

    parameters = list(module.parameters())
    weights = {tensor.data_ptr(): tensor for tensor in module.state_dict().values()}  # what is shared is kept once
    disk = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    working = _working_bytes(module, tokens)
    held = sum(t.numel() * t.element_size() for t in (*parameters, *module.buffers()))
    memory = None if working is None else held + working
    return Size(sum(p.numel() for p in parameters), disk, count_macs(module, tokens)[0], memory)


def _working_bytes(module: nn.Module, tokens: int) -> int | None:
    """The peak of what a forward pass has allocated at once, by torch's profiler."""
    import torch

    from pruning.inputs import run
    from pruning.macs import counted_inputs

    inputs = counted_inputs(module, tokens)
    if next(module.parameters()).device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        with torch.inference_mode():
            run(module, inputs)
        return torch.cuda.max_memory_allocated() - before
    with torch.autograd.profiler.profile(profile_memory=True) as watched, torch.inference_mode():
        run(module, inputs)
    found = watched.kineto_results
    events = found.events() if found is not None else []
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    held = peak = 0
    for _, size in changes:
        held += size
        peak = max(peak, held)
    return peak or None


# Time ------------------------------------------------------------------------------------------------------------


def time_in_turns(
    model: LoadedModel, cut: nn.Module, tokens: int = TOKENS, runs: int = RUNS, clock: Clock = time.perf_counter
) -> Iterator[list[tuple[float, float]]]:
    """Run the whole and the cut model in turns on one request; after every pair, all pairs so far in milliseconds.

    Args:
        runs: Pairs at most; there are fewer where they would take longer than `MOST_SECONDS`.
    """
    from pruning.macs import counted_inputs

    inputs, whole = counted_inputs(model.module, tokens), model.module
    for module in (whole, cut):
        _time(module, inputs, clock)  # the first run of a shape is slower
    pairs: list[tuple[float, float]] = []
    started = clock()
    while len(pairs) < runs and (len(pairs) < LEAST_RUNS or clock() - started < MOST_SECONDS):
        swapped = len(pairs) % 2 == 1  # neither always comes first
        first, second = (_time(module, inputs, clock) for module in ((cut, whole) if swapped else (whole, cut)))
        pairs.append((second, first) if swapped else (first, second))
        yield pairs


def _time(module: nn.Module, inputs: dict[str, Any], clock: Clock) -> float:
    import torch

    from pruning.inputs import run

    started = clock()
    with torch.inference_mode():
        run(module, inputs)
    if torch.cuda.is_available() and next(module.parameters()).is_cuda:
        torch.cuda.synchronize()
    return (clock() - started) * 1e3


def timing_of(model: LoadedModel, pairs: Sequence[tuple[float, float]], tokens: int = TOKENS) -> Timing:
    """What the pairs say."""
    import torch

    from pruning.latency import _machine
    from pruning.macs import counted_inputs

    ids = counted_inputs(model.module, tokens).get("input_ids")
    return Timing(
        before=median([whole for whole, _ in pairs]),
        after=median([cut for _, cut in pairs]),
        ratio=median([cut / whole for whole, cut in pairs]),
        runs=len(pairs),
        tokens=0 if ids is None else ids.shape[1],
        threads=torch.get_num_threads(),
        machine=_machine(model),
    )


def median(values: Sequence[float]) -> Estimate:
    """The median with its interval from order statistics, whatever the distribution (Conover 1999, section 3.2).

    >>> median([3.0, 1.0, 2.0])
    Estimate(value=2.0, low=-inf, high=inf)
    """
    from statistics import median as middle

    from scipy.stats import binom

    ordered, count = sorted(values), len(values)
    place = int(binom.ppf(0.025, count, 0.5))
    if binom.cdf(place - 1, count, 0.5) > 0.025 or place < 1:
        return Estimate(middle(ordered), -math.inf, math.inf)  # too few for 95%
    return Estimate(middle(ordered), ordered[place - 1], ordered[count - place])
