"""The command that measures many plans: one table for a chart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pruning.cli.options import MOST_SEED, Progress, count_from, data_options, list_option, load, model_options, write
from pruning.data import DataSpec
from pruning.errors import PruningError
from pruning.importance import get_criterion
from pruning.importance.normalising import NORMALISATIONS
from pruning.plan import COMPENSATIONS
from pruning.scopes import get_scope
from pruning.search import DEFAULT_CRITERION, DEFAULT_NORMALISE, DEFAULT_STRATEGY, Budget, get_strategy

if TYPE_CHECKING:
    from pruning.search.planning import Request
    from pruning.sweep import Bench

BUDGETS = "heads=0.8,heads=0.6,heads=0.5,heads=0.4,heads=0.3,heads=0.2"
WRITERS = {".csv": "to_csv", ".parquet": "to_parquet"}


@click.command()
@model_options
@data_options("evaluation")
@list_option("--criteria", default=[DEFAULT_CRITERION], show_default=True, metavar="A,B", help="Separated by commas.")
@list_option("--strategies", default=[DEFAULT_STRATEGY], show_default=True, metavar="A,B", help="Separated by commas.")
@list_option("--budgets", default=[BUDGETS], show_default=True, metavar="K=SHARE,…", help="What may remain, at most.")
@list_option("--seeds", metavar="N,M", help="Each is a sweep of its own; --seed alone otherwise.")
@list_option("--scope", "scopes", default=["heads"], show_default=True, metavar="A,B", help="heads, neurons, layers.")
@click.option("--normalise", type=click.Choice(list(NORMALISATIONS)), default=DEFAULT_NORMALISE, show_default=True)
@click.option("--compensate", type=click.Choice(COMPENSATIONS), default="none", show_default=True)
@click.option("--calibration-samples", type=count_from(1), help="Only the first N rows choose; all otherwise.")
@click.option("-o", "--output", required=True, metavar="FILE", help="The table, as .csv or .parquet.")
def sweep(json_file: str | None, output: str, **options: Any) -> None:
    """Measure MODEL on DATA at many budgets: a row for each criterion, strategy, seed and budget.

    The calibration rows of DATA choose, the evaluation rows measure. A file without a split column is divided.
    """
    from pruning.sweep import sweep as sweep_plans

    if Path(output).suffix.lower() not in WRITERS:
        raise PruningError(f"{output} is not a table that can be written: use {' or '.join(WRITERS)}")
    if not Path(output).expanduser().parent.is_dir():
        raise PruningError(f"there is no folder {Path(output).parent} to write to")
    requests, budgets = _requests(options), [Budget.parse(text) for text in _listed(options["budgets"])]
    bench = _bench(options, any(budget.kind == "latency" for budget in budgets))
    with Progress("sweeping") as progress:
        table = sweep_plans(bench, requests, budgets, lambda done, total, what: progress(done, total))
    target = Path(output).expanduser()
    try:
        getattr(table, WRITERS[target.suffix.lower()])(target, index=False)
    except OSError as error:
        raise PruningError(f"the table cannot be written to {output}: {error.strerror}") from error
    shown = ["strategy", "criterion", "seed", "budget", "share", "heads", "parameters", "macs", "accuracy", "loss"]
    lines = [table[[name for name in shown if name in table]].to_string(index=False), f"{len(table)} rows in {output}"]
    write({"rows": table.to_dict("records"), "file": output}, lines, json_file)


def _listed(text: str) -> list[str]:
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise click.UsageError("a list is empty: separate its entries by commas")
    return list(dict.fromkeys(found))


def _requests(options: dict[str, Any]) -> list[Request]:
    from pruning.search.planning import Request

    if options["split"] != "evaluation":
        raise click.UsageError("a sweep chooses on calibration rows and measures on evaluation rows: leave --split out")
    if options["seeds"] and options["seed"]:
        raise click.UsageError("give either --seed or --seeds, not both")
    try:
        seeds = [int(seed) for seed in _listed(options["seeds"] or str(options["seed"]))]
    except ValueError:
        raise click.UsageError(f"{options['seeds']!r} are not seeds: write whole numbers, like 0,1,2") from None
    if min(seeds) < 0 or max(seeds) > MOST_SEED:
        raise click.UsageError(f"seeds are whole numbers from 0 to {MOST_SEED}")
    criteria, strategies = _listed(options["criteria"]), _listed(options["strategies"])
    for name in criteria:
        get_criterion(name)
    scopes = tuple(get_scope(name) for name in _listed(options["scopes"]))
    found = []
    for strategy in strategies:
        own = get_strategy(strategy).measure  # then the criteria play no part, and one row is enough
        for criterion in criteria[:1] if own else criteria:
            for seed in seeds:
                request = Request(criterion, strategy, scopes, normalise=options["normalise"], seed=seed)
                found.append(replace(request, compensation=options["compensate"]).check())
    return found


def _bench(options: dict[str, Any], needs_latency: bool) -> Bench:
    from pruning.dividing import choosing_and_measuring
    from pruning.latency import measure_latency_table
    from pruning.sweep import Bench
    from pruning.tasks import task_of

    columns = {name: options[name] for name in ("text_column", "label_column")}
    choosing, measuring = choosing_and_measuring(DataSpec(options["data"], **columns))
    model = load(options)
    task = task_of(model, options["task"])
    calibration = task.encode(model, choosing.first(options["calibration_samples"] or len(choosing)))
    evaluation = task.encode(model, measuring.first(options["samples"] or len(measuring)))
    latency = measure_latency_table(model) if needs_latency else None
    return Bench(model, task, calibration, evaluation, options["batch_size"], latency)
