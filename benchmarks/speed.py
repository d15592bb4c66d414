"""Speed of evaluation and scoring on the built-in model, against what a user would write and against our own slow way.

python -m benchmarks.speed --json speed.json
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import common
from benchmarks.plain_ways import (
    BATCH,
    PADDED,
    gradients_one_by_one,
    naive_losses,
    padded,
    reference,
    trainable,
)
from benchmarks.timing import CLOCKS, HEADER, Clock, in_turns, line, ratio, resident, row, watched
from pruning import HeadId, Mask, evaluate, prune, score
from pruning.cost import count_cost
from pruning.evaluation import FIRST_STEP, evaluate_in_steps
from pruning.masks import NeuronId
from pruning.replay import Tapes
from pruning.sweep import Bench, sweep_points

CRITERIA = ("gradient", "fisher", "magnitude", "entropy", "random")
LEFT = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
TAPE_LIMIT = 1 << 30


@dataclass(frozen=True)
class Timing:
    """How much is timed.

    Attributes:
        rows: Examples in the short parts.
        rounds: Of each way.
        clock: Wall or CPU time.
    """

    rows: int
    rounds: int
    clock: Clock


Part = Callable[[Bench, Timing], Iterator[common.Row]]


# The parts -----------------------------------------------------------------------------------------------------------


def evaluation(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """A mask on all rows, and the first estimate of it."""
    ready, mask = padded(bench.evaluation), _mask_of(bench, 0.4)
    slow, quick = reference(bench.model.module, ready), evaluate(bench.model, bench.evaluation, task=bench.task)
    check("evaluation", np.abs(slow.numpy() - quick.outcome.losses).max(), 1e-4)
    seconds = in_turns(
        {
            "reference": lambda: reference(bench.model.module, ready),
            "ours": lambda: evaluate(bench.model, bench.evaluation, mask, task=bench.task),
            "first": lambda: next(evaluate_in_steps(bench.model, bench.evaluation, mask, task=bench.task)),
        },
        timing.rounds,
        timing.clock,
    )
    found = ratio(seconds["reference"], seconds["ours"])
    yield row("full evaluation against the reference", ">= 7", found.value >= 7, found, samples=len(bench.evaluation))
    found = ratio(seconds["ours"], seconds["first"])
    name = f"full evaluation against the first estimate ({FIRST_STEP} rows)"
    yield row(name, ">= 10", found.value >= 10, found, samples=FIRST_STEP)


def toggle(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """One head more or less, over heads of every layer."""
    tapes, mask = Tapes(TAPE_LIMIT), _mask_of(bench, 0.4)

    def live(tapes: Tapes | None) -> np.ndarray:
        (*_, found) = evaluate_in_steps(bench.model, bench.evaluation, mask, task=bench.task, tapes=tapes)
        return found.outcome.losses

    live(tapes)
    rng = np.random.default_rng(0)
    slow: list[float] = []
    quick: list[float] = []
    for number in range(timing.rounds):
        for site in bench.model.anatomy.sites:
            mask = mask ^ Mask(frozenset({HeadId(site.index, int(rng.integers(site.heads)))}))
            seconds = in_turns({"full": lambda: live(None), "replayed": lambda: live(tapes)}, 1, timing.clock)
            slow += seconds["full"]
            quick += seconds["replayed"]
        if number == 0:
            check("toggle", np.abs(live(tapes) - live(None)).max(), 1e-5)
    # the heads of the first layers take longer: a mean over heads is a ratio of sums
    sites = len(bench.model.anatomy.sites)
    sums = [[sum(some[i : i + sites]) for i in range(0, len(some), sites)] for some in (slow, quick)]
    found = ratio(*sums)
    name = "full evaluation against one head toggled, mean over heads"
    yield row(name, ">= 1.8", found.value >= 1.8, found, samples=len(bench.evaluation), tape_bytes=tapes.size)


def leave_one_out(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """The loss without each head in turn."""
    examples = bench.calibration.at(range(min(timing.rows, len(bench.calibration))))
    ready, total = padded(examples), bench.model.anatomy.total_heads
    kept: dict[str, Any] = {}
    site = bench.model.anatomy.sites[len(bench.model.anatomy.sites) // 2]
    one = Mask(frozenset({HeadId(site.index, 0)}))
    seconds = in_turns(
        {
            "reference": lambda: reference(bench.model.module, ready),
            "naive": lambda: naive_losses(bench, examples, one),
            "own": lambda: evaluate(bench.model, examples, one, task=bench.task),
            "ours": lambda: kept.update(found=score(bench.model, "ablation", examples)),
        },
        timing.rounds,
        timing.clock,
    )
    expected = float((naive_losses(bench, examples, one) - naive_losses(bench, examples, Mask())).mean())
    difference = abs(kept["found"].values[site.index][0] - expected)
    check("leave-one-out", difference, 1e-6)
    more = {"samples": len(examples), "difference": difference}
    for name, way, wanted in (
        ("reference for each head against leave-one-out", "reference", 15),
        ("our own loop, all of the model, against leave-one-out", "naive", 2),
        ("our own evaluation for each head against leave-one-out", "own", 0),
    ):
        found = ratio(seconds[way], seconds["ours"], times=total + 1)
        yield row(name, f">= {wanted}" if wanted else "", found.value >= wanted, found, **more)


def gradient(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """The gradient of every head's gate, example by example."""
    examples = bench.calibration.at(range(min(timing.rows, len(bench.calibration))))
    loaded = bench.model.with_module(trainable(bench.model.module))
    kept: dict[str, Any] = {}
    seconds = in_turns(
        {
            "padded": lambda: gradients_one_by_one(loaded, bench, examples, PADDED),
            "loop": lambda: kept.update(slow=gradients_one_by_one(loaded, bench, examples)),
            "frozen": lambda: gradients_one_by_one(bench.model, bench, examples),
            "ours": lambda: kept.update(quick=score(bench.model, "gradient", examples)),
        },
        timing.rounds,
        timing.clock,
    )
    difference = float(np.abs(kept["slow"] - kept["quick"].flat()).max())
    check("gradient", difference, 1e-5)
    for name, way, wanted in (
        ("gradient: loop of batch size 1, padded like the reference, against ours", "padded", 8),
        ("the same without padding", "loop", 0),
        ("the same without padding, weights frozen", "frozen", 0),
    ):
        found = ratio(seconds[way], seconds["ours"])
        target = f">= {wanted}" if wanted else ""
        yield row(name, target, found.value >= wanted, found, samples=len(examples), difference=difference)


def cut(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """Half of the heads and half of the neurons really cut out, at batch 32."""
    anatomy = bench.model.anatomy
    heads = frozenset(HeadId(site.index, head) for site in anatomy.sites for head in range(site.heads // 2))
    neurons = frozenset(NeuronId(b.index, n) for b in anatomy.blocks for n in range(b.neurons // 2))
    mask = Mask(heads, neurons)
    smaller = prune(bench.model, mask).module
    costs = count_cost(bench.model, PADDED)
    saved = costs.after(Mask()).macs / costs.after(mask).macs
    words = bench.model.module.get_input_embeddings().weight.shape[0]
    inputs = {"input_ids": torch.randint(words, (BATCH, PADDED))}
    with torch.inference_mode():
        seconds = in_turns(
            {"whole": lambda: bench.model.module(**inputs), "cut": lambda: smaller(**inputs)},
            10 * timing.rounds,
            timing.clock,
        )
    found = ratio(seconds["whole"], seconds["cut"])
    met = found.value >= 0.95 * saved
    yield row("whole model against half of heads and neurons cut", f">= {0.95 * saved:.2f}", met, found, macs=saved)


def sweep(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """Five criteria at eight budgets, against each of its distinct pieces of work done once."""
    from pruning.search import Budget
    from pruning.search.planning import Request, search

    examples = bench.evaluation.at(range(min(timing.rows, len(bench.evaluation))))
    chosen = bench.calibration.at(range(min(timing.rows, len(bench.calibration)) // 2))
    requests = [Request(name, "one-shot") for name in CRITERIA]
    budgets = [Budget("heads", share) for share in LEFT]
    kept: dict[str, list[Any]] = {}

    def whole() -> None:
        kept["points"] = list(sweep_points(Bench(bench.model, bench.task, chosen, examples), requests, budgets))

    def pieces() -> None:
        for request in requests:
            search(bench.model, chosen, request, task=bench.task)
        for mask in {Mask(), *(point.plan.mask for point in kept["points"])}:
            evaluate(bench.model, examples, mask, task=bench.task)

    whole()
    seconds = in_turns({"sweep": whole, "pieces": pieces}, timing.rounds, timing.clock)
    found = ratio(seconds["sweep"], seconds["pieces"])
    distinct = len({point.plan.mask for point in kept["points"]})
    name = f"sweep of {len(kept['points'])} points against its {distinct + 1} evaluations and {len(requests)} scorings"
    yield row(name, "<= 1.2", found.value <= 1.2, found, samples=len(examples))


def arithmetic(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """The evaluation against the bare matrix products of its linear layers."""
    shapes: list[tuple[int, nn.Linear]] = []
    linears = [part for part in bench.model.module.modules() if isinstance(part, nn.Linear)]

    def note(part: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        shapes.append((args[0].numel() // args[0].shape[-1], part))  # type: ignore[arg-type]

    handles = [part.register_forward_hook(note) for part in linears]
    naive_losses(bench, bench.evaluation, Mask())
    for handle in handles:
        handle.remove()
    inputs = {(rows, part.in_features): torch.randn(rows, part.in_features) for rows, part in shapes}

    def bare() -> None:
        with torch.inference_mode():
            for rows, part in shapes:
                nn.functional.linear(inputs[rows, part.in_features], part.weight, part.bias)

    seconds = in_turns(
        {"bare": bare, "naive": lambda: naive_losses(bench, bench.evaluation, Mask())}, timing.rounds, timing.clock
    )
    found = ratio(seconds["bare"], seconds["naive"])
    name = "bare products of all linear layers against running all of the model"
    yield row(name, ">= 0.8", found.value >= 0.8, found, samples=len(bench.evaluation))


def memory(bench: Bench, timing: Timing) -> Iterator[common.Row]:
    """What a cache of states adds to the process, beyond what an evaluation without one takes."""
    limit, masks = TAPE_LIMIT // 8, (Mask(), _mask_of(bench, 0.4))
    tapes, before = Tapes(limit), resident()

    def peak(tapes: Tapes | None) -> int:
        with watched() as highest:
            for mask in masks:
                list(evaluate_in_steps(bench.model, bench.evaluation, mask, task=bench.task, tapes=tapes))
        return highest[0]

    plain, cached = peak(None), peak(tapes)
    share = max(0, cached - plain) / limit
    name = (
        f"memory of a cache limited to {limit >> 20} MiB, as a share of it (evaluating alone: {plain - before >> 20})"
    )
    yield {
        "name": name, "target": "<= 1.1", "met": share <= 1.1 and tapes.size <= limit, "value": share, "low": share,
        "high": share, "rounds": 1, "slow": 0.0, "quick": 0.0, "tape_bytes": tapes.size, "limit": limit,
        "before": before, "plain": plain, "cached": cached,
    }  # fmt: skip


PARTS: dict[str, Part] = {
    "memory": memory,
    "evaluation": evaluation,
    "toggle": toggle,
    "leave-one-out": leave_one_out,
    "gradient": gradient,
    "cut": cut,
    "sweep": sweep,
    "arithmetic": arithmetic,
}


def _mask_of(bench: Bench, share: float) -> Mask:
    """Random heads."""
    heads = list(bench.model.anatomy.head_ids())
    drawn = np.random.default_rng(1).choice(len(heads), round(share * len(heads)), replace=False)
    return Mask(frozenset(heads[i] for i in drawn))


def check(what: str, difference: float, allowed: float) -> None:
    """Refuse to time something that is wrong."""
    if not difference <= allowed:
        raise AssertionError(f"{what}: the two ways differ by {difference:g}, more than {allowed:g}")


@click.command(help="Speed on the built-in model; every figure is a ratio of ways timed in turns.")
@common.sized
@click.option("--parts", default="all", show_default=True, help=f"Of {', '.join(PARTS)}; or all.")
@click.option("--rows", default=512, show_default=True, type=click.IntRange(min=2), help="In the parts that repeat.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1), help="Of each way.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="Of torch.")
@click.option("--clock", default="wall", show_default=True, type=click.Choice(list(CLOCKS)))
def main(
    samples: int | None,
    calibration: int | None,
    json_file: Path | None,
    parts: str,
    rows: int,
    rounds: int,
    threads: int,
    clock: str,
) -> None:
    common.check_file(json_file, resume=False)
    chosen = common.names(parts, list(PARTS), "part")
    bench = common.bench_of(common.Sizes(samples, calibration))
    torch.set_num_threads(threads)
    timing, found = Timing(rows, rounds, CLOCKS[clock]), []
    for name in chosen:
        for one in PARTS[name](bench, timing):
            found.append(one)
            common.write_rows(json_file, bench, found, threads=threads, clock=clock)
            click.echo(" | ".join(line(one)), err=True)
    click.echo(f"{threads} threads, {clock} time, {len(bench.evaluation)} evaluation rows\n")
    click.echo(common.table(HEADER, [line(one) for one in found]))


if __name__ == "__main__":
    common.run(main)
