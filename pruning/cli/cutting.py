"""The command that cuts: a smaller model in a folder."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pruning.cli.options import (
    check_task,
    data_options,
    list_option,
    load,
    model_options,
    read_groups,
    read_mask,
    single_option,
    write,
)
from pruning.cli.planning import read_plan, tell_reached
from pruning.cli.recovering import cut_and_recover, measured_spec, read_recovery, recovery_options, recovery_rows, told
from pruning.errors import MaskError

if TYPE_CHECKING:
    from pruning.card import Story
    from pruning.data import Dataset
    from pruning.models import LoadedModel
    from pruning.surgery import PrunedModel
    from pruning.tasks import Task

NOT_TOLD = ("json_file", "folder", "overwrite", "device", "threads")


@click.command()
@model_options
@data_options("evaluation", "Evaluate before and after on this data, for the model card:")
@single_option("--mask", "--plan", "mask_file", metavar="FILE", help="A mask or a plan: what is cut out.")
@list_option("--heads", metavar='"S:H,…"', help='Heads to cut out, as site:head, like "0:3,2:5" or "1:0-3".')
@list_option("--groups", metavar='"S:G,…"', help="Key-value groups to cut out with all their heads, as site:group.")
@click.option("--whole-groups", is_flag=True, help="Keep heads whose key-value group is not removed as a whole.")
@click.option("-o", "--output", "folder", required=True, metavar="FOLDER", help="Where the checkpoint goes.")
@click.option("--overwrite", is_flag=True, help="Replace FOLDER if it is empty or an earlier export.")
@click.option("--onnx", is_flag=True, help="Write model.onnx, too, and check it with onnxruntime.")
@recovery_options
def prune(json_file: str | None, **options: Any) -> None:
    """Cut heads, neurons and layers out of MODEL, check the result against the mask, write it to FOLDER, reload it."""
    from pruning.card import summary
    from pruning.data import load_data
    from pruning.export import export_checkpoint
    from pruning.export_place import check_place
    from pruning.masks import whole_groups
    from pruning.tasks import task_of

    asked = read_mask(options)
    if not asked and not options["groups"]:
        if options["mask_file"]:
            raise MaskError("{file} removes nothing: there is nothing to cut out", file=options["mask_file"])
        raise click.UsageError("say what to cut out: --heads, --groups, --mask or --plan")
    folder, overwrite = options["folder"], options["overwrite"]
    check_place(folder, options["model"], overwrite=overwrite)
    plan = read_plan(options["mask_file"])
    recovery = read_recovery(options, plan)
    check_task(options["task"])
    measured = measured_spec(options)
    data = load_data(measured) if measured else None  # early, because it is quick to get wrong
    model = load(options)
    task = task_of(model, options["task"]) if data or recovery.data else None
    if plan:
        plan.fit(model)
    asked = mask = (asked | read_groups(options, model)).check(model.anatomy)
    if options["whole_groups"]:
        mask = whole_groups(asked, model.anatomy)
    rows = recovery_rows(model, recovery.data, options) if recovery.data else None
    pruned, recovered = cut_and_recover(model, mask, rows, recovery, task)
    story = _story(model, pruned, options, task, data)
    written = export_checkpoint(model, pruned, folder, overwrite=overwrite, onnx=options["onnx"], story=story)
    value, lines = summary(model, written, story)
    if recovered and recovery.data:
        value["training"], more = told(recovered, recovery.data)
        lines += more
    if plan:
        figures, more = tell_reached(plan, model, pruned)
        value |= figures
        lines += more
    kept = sorted(asked.heads - mask.heads)
    if kept:
        value["restored"] = [list(head) for head in kept]
        lines.append(f"{len(kept)} heads stay, because others of their key-value group do: {', '.join(map(str, kept))}")
    write(value, lines, json_file)


def _story(
    model: LoadedModel, pruned: PrunedModel, options: dict[str, Any], task: Task | None, data: Dataset | None
) -> Story:
    """What the model card tells: the plan, the command, and metrics before and after where data is named."""
    from pruning.card import Story

    plan = None
    if options["mask_file"]:
        read = json.loads(Path(options["mask_file"]).read_text(encoding="utf-8"))
        plan = read if "mask" in read else None
    if task is None or data is None:
        return Story(plan, _command())
    from pruning.evaluation import evaluate as measure

    smaller = replace(model, module=pruned.module, fingerprint=f"{model.fingerprint}-pruned")
    examples, how = task.encode(model, data), {name: options[name] for name in ("batch_size", "seed")}
    before, after = (measure(one, examples, task=task, **how) for one in (model, smaller))
    return Story(plan, _command(), options["data"], before, after)


def _command() -> str:
    """The command as it was given, but for where the results go and on what it runs."""
    context, parts = click.get_current_context(), []
    for parameter in context.command.params:
        name, value = str(parameter.name), context.params[str(parameter.name)]
        if name in NOT_TOLD or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        if isinstance(parameter, click.Argument):
            parts.append(shlex.quote(value))
        elif value is True:
            parts.append(parameter.opts[0])
        else:
            values = value if isinstance(value, tuple) else [value]
            parts += [f"{parameter.opts[0]} {shlex.quote(str(one))}" for one in values]
    return " ".join(["python -m pruning prune", *parts, "-o FOLDER"])
