"""Commands that measure: importance, and the task without some heads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

from pruning.cli.options import (
    Progress,
    check_task,
    count_from,
    data_options,
    list_option,
    load,
    model_options,
    read_groups,
    read_mask,
    single_option,
    write,
)
from pruning.cli.planning import read_plan
from pruning.cli.recovering import preview, preview_options
from pruning.data import DataSpec
from pruning.importance import ImportanceMap, get_criterion
from pruning.importance.normalising import NORMALISATIONS, get_normalisation, normalise
from pruning.scopes import SCOPES, parts_of, units_of

if TYPE_CHECKING:
    import numpy as np

    from pruning.data import Dataset
    from pruning.models import LoadedModel
    from pruning.statistics import Estimate
    from pruning.tasks import Examples, Task


@click.command()
@model_options
@data_options("calibration")
@click.option("--criterion", "names", multiple=True, default=["gradient"], show_default=True, help="May be repeated.")
@click.option("--scope", type=click.Choice(SCOPES), default="heads", show_default=True, help="What is scored.")
@click.option("--label-free", is_flag=True, help="The model's own predictions take the place of the labels.")
@click.option(
    "--normalise",
    "how",
    type=click.Choice(list(NORMALISATIONS)),
    default="none",
    show_default=True,
    help="Rescale the values; they are raw otherwise.",
)
@click.option(
    "--lowest",
    type=count_from(1),
    metavar="K",
    help="Only say which K are missed least by leave-one-out, and stop as soon as that is certain (95%).",
)
@click.option(
    "--screen",
    is_flag=True,
    help="With --lowest: all units in bfloat16 first, and only those that come near again in float32.",
)
def score(names: tuple[str, ...], json_file: str | None, seed: int, batch_size: int, how: str, **options: Any) -> None:
    """Score the importance of every head (neuron, layer) of MODEL, per criterion.

    Values are raw unless --normalise says otherwise. With several criteria, the result says how far they agree:
    Spearman's rank correlation of every two, from the least to the most important.
    """
    from pruning.importance.scoring import score as score_heads

    for name in names:
        get_criterion(name)
    get_normalisation(how, options["scope"])
    if options["lowest"] and (names != ("ablation",) or options["label_free"] or how != "none"):
        raise click.UsageError("--lowest goes with --criterion ablation alone, on its raw values and the data's labels")
    if options["screen"] and not options["lowest"]:
        raise click.UsageError("--screen goes with --lowest")
    model, task, data, examples = _load(options)
    if options["lowest"]:
        found, lines = _lowest(model, task, examples, {**options, "seed": seed, "batch_size": batch_size})
        write({**found, **_rows_json(data)}, lines + _rows_lines(data), json_file)
        return
    maps = {}
    for name in names:
        with Progress(f"scoring {name}") as progress:
            raw = score_heads(
                model,
                name,
                examples,
                task=task,
                batch_size=batch_size,
                seed=seed,
                progress=progress,
                scope=options["scope"],
                label_free=options["label_free"],
            )
            maps[name] = normalise(raw, how)
    value = {
        **_described(maps, how),
        "scope": options["scope"],
        "sites": [part.name for part in parts_of(model.anatomy, options["scope"])],
        "samples": max(found.samples for found in maps.values()),
        "samples_used": {name: found.samples for name, found in maps.items()},
        "seed": seed,
        "seconds": sum(found.seconds for found in maps.values()),
        "model": model.fingerprint,
        "data": examples.fingerprint,
        "truncated": examples.truncated,
        **_rows_json(data),
    }
    write(value, _score_lines(maps, value) + _rows_lines(data), json_file)


def _load(options: dict[str, Any]) -> tuple[LoadedModel, Task, Dataset, Examples]:
    """Model, task, rows and encoded examples; the rows are read first, because they are quick to get wrong."""
    from pruning.data import load_data
    from pruning.tasks import task_of

    check_task(options["task"])
    names = ("split", "samples", "text_column", "label_column")
    data = load_data(DataSpec(options["data"], **{name: options[name] for name in names}))
    model = load(options)
    task = task_of(model, options["task"])
    return model, task, data, task.encode(model, data)


def _interval(estimate: Estimate) -> str:
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return "no interval"
    return f"95% interval {estimate.low:.4f} to {estimate.high:.4f}"


def _rows_json(data: Dataset) -> dict[str, Any]:
    return {"dropped": data.dropped, "split": data.split}


def _rows_lines(data: Dataset) -> list[str]:
    """Which rows of the source were used, and which were not."""
    lines = [f"rows: those of the split {data.split}"] if data.split else []
    if data.dropped:
        missing = "a text or a label" if data.labels else "a text"
        lines.append(f"left out: {data.dropped:,} row{'' if data.dropped == 1 else 's'} without {missing}")
    return lines


def _lowest(model: LoadedModel, task: Task, examples: Examples, options: dict[str, Any]) -> tuple[dict, list[str]]:
    """The least important units by leave-one-out, as JSON and as lines."""
    from pruning.importance.racing import race
    from pruning.importance.screening import Screening, screen

    with Progress("screening" if options["screen"] else "racing") as progress:
        found = (screen if options["screen"] else race)(
            model,
            examples,
            options["lowest"],
            scope=options["scope"],
            task=task,
            batch_size=options["batch_size"],
            seed=options["seed"],
            progress=progress,
        )
    value = {
        "lowest": found.lowest.to_json(),
        "scope": options["scope"],
        "total": found.total,
        "rises": _numbers(found.rises),
        "statement": found.statement,
        "seconds": found.seconds,
        "model": found.model,
        "data": found.data,
    }
    if isinstance(found, Screening):
        value |= {"screened": _numbers(found.screened), "error": found.error}
    else:
        value |= {"samples": found.samples.tolist(), "share": found.share}
    units = sorted(units_of(found.lowest, options["scope"]))
    return value, [", ".join(f"{part}:{unit}" for part, unit in units), found.statement, f"{found.seconds:.1f} s"]


def _numbers(values: np.ndarray) -> list[float | None]:
    """For JSON, which has no NaN."""
    return [float(value) if value == value else None for value in values]


def _described(maps: dict[str, ImportanceMap], how: str) -> dict[str, Any]:
    """The maps for JSON, and how far they agree where there are several; rescaled values have no standard errors."""
    value: dict[str, Any] = {
        "importance": {name: found.values for name, found in maps.items()},
        "standard_errors": {name: found.standard_errors for name, found in maps.items() if found.standard_errors},
        "normalised": how,
    }
    if len(maps) > 1:
        from pruning.importance.agreement import agreement_matrix

        value["agreement"] = agreement_matrix(list(maps.values())).to_dict()
    return value


def _score_lines(maps: dict[str, ImportanceMap], value: dict[str, Any]) -> list[str]:
    lines = []
    for name, found in maps.items():
        lines.append(f"{name} ({found.samples} examples)")
        lines += [f"  {i:3} " + " ".join(f"{v:9.5f}" for v in row[:100]) for i, row in enumerate(found.values)]
    names = list(maps)
    for i, name in enumerate(names):
        lines += [f"{name} and {other} agree {value['agreement'][name][other]:.3f}" for other in names[i + 1 :]]
    return lines


@click.command()
@model_options
@data_options("evaluation")
@single_option("--mask", "mask_file", metavar="FILE", help="A mask or a plan: what is removed.")
@list_option("--heads", metavar='"S:H,…"', help='Heads to remove, as site:head, like "0:3,2:5" or "1:0-3".')
@list_option("--groups", metavar='"S:G,…"', help="Key-value groups to remove with all their heads, as site:group.")
@preview_options
def evaluate(json_file: str | None, seed: int, batch_size: int, **options: Any) -> None:
    """Measure MODEL on DATA, with all its heads or without some."""
    from pruning.evaluation import evaluate as evaluate_mask

    mask, plan = read_mask(options), read_plan(options["mask_file"])
    model, task, data, examples = _load(options)
    mask = (mask | read_groups(options, model)).check(model.anatomy)
    compensation = preview(model, mask, plan, options)
    with Progress("evaluating") as progress:
        found = evaluate_mask(
            model,
            examples,
            mask,
            task=task,
            batch_size=batch_size,
            seed=seed,
            on_progress=progress,
            compensation=compensation,
        )
    lines = [f"{name:18} {e.value:8.4f}   ({_interval(e)})" for name, e in found.metrics.items()]
    parts = {"heads": mask.heads, "neurons": mask.neurons, "layers": mask.layers}
    counts = (f"{len(units):,} {name if len(units) > 1 else name[:-1]}" for name, units in parts.items() if units)
    removed = ", ".join(counts) or "nothing"
    lines.append(f"n = {found.samples:,} · removed: {removed} · {found.seconds:.1f} s")
    lines += [str(compensation.words)] if compensation else []
    used = {"compensation": compensation.method if compensation else "none", **_rows_json(data)}
    write({**found.to_json(numbers=data.rows), **used}, lines + _rows_lines(data), json_file)
