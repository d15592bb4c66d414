"""The command that cuts: a smaller model in a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pruning.cli.options import load, model_options, read_groups, read_mask, write
from pruning.cli.planning import read_plan, tell_reached
from pruning.cli.recovering import cut_and_recover, read_recovery, recovery_options, recovery_rows, told
from pruning.data import DataSpec
from pruning.errors import PruningError

if TYPE_CHECKING:
    from pruning.card import Story
    from pruning.models import LoadedModel
    from pruning.surgery import PrunedModel


@click.command()
@model_options
@click.option("--mask", "--plan", "mask_file", metavar="FILE", help="A mask or a plan: what is cut out.")
@click.option("--heads", metavar='"S:H,…"', help='Heads to cut out, as site:head, like "0:3,2:5" or "1:0-3".')
@click.option("--groups", metavar='"S:G,…"', help="Key-value groups to cut out with all their heads, as site:group.")
@click.option("--whole-groups", is_flag=True, help="Keep heads whose key-value group is not removed as a whole.")
@click.option("-o", "--output", "folder", required=True, metavar="FOLDER", help="Where the checkpoint goes.")
@click.option("--overwrite", is_flag=True, help="Replace FOLDER if it exists.")
@click.option("--onnx", is_flag=True, help="Write model.onnx, too, and check it with onnxruntime.")
@click.option("--data", metavar="DATA", help="Evaluate before and after on this data, for the model card.")
@click.option("--samples", type=click.IntRange(min=1), help="How many rows of the data; all without it.")
@recovery_options
def prune(json_file: str | None, **options: Any) -> None:
    """Cut heads, neurons and layers out of MODEL, check the result against the mask, write it to FOLDER, reload it."""
    from pruning.card import summary
    from pruning.export import export_checkpoint
    from pruning.masks import whole_groups

    asked = read_mask(options)
    if not asked and not options["groups"]:
        raise click.UsageError("say what to cut out: --heads, --groups, --mask or --plan")
    folder, overwrite = options["folder"], options["overwrite"]
    if Path(folder).expanduser().exists() and not overwrite:
        raise PruningError(f"{folder} exists already: choose another folder, or say --overwrite")
    plan = read_plan(options["mask_file"])
    recovery = read_recovery(options, plan)
    model = load(options)
    if plan:
        plan.fit(model)
    asked = mask = (asked | read_groups(options, model)).check(model.anatomy)
    if options["whole_groups"]:
        mask = whole_groups(asked, model.anatomy)
    rows = recovery_rows(model, recovery.data, options) if recovery.data else None
    pruned, recovered = cut_and_recover(model, mask, rows, recovery)
    story = _story(model, pruned, options)
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


def _story(model: LoadedModel, pruned: PrunedModel, options: dict[str, Any]) -> Story:
    """What the model card tells: the plan, the command, and metrics before and after where data is named."""
    from pruning.card import Story

    plan = None
    if options["mask_file"]:
        read = json.loads(Path(options["mask_file"]).read_text(encoding="utf-8"))
        plan = read if "mask" in read else None
    given = {"--mask": options["mask_file"], "--heads": options["heads"], "--groups": options["groups"]}
    given |= {
        f"--{name.replace('_', '-')}": options[name] for name in ("recover_data", "recover_minutes", "recover_steps")
    }
    given["--recover"] = '" --recover "'.join(options["recover"])
    source = " ".join(f'{name} "{value}"' for name, value in given.items() if value)
    command = f"python -m pruning prune {model.spec.name} {source} -o FOLDER"
    if not options["data"]:
        return Story(plan, command)
    from pruning.data import load_data
    from pruning.evaluation import evaluate as measure
    from pruning.tasks import task_of

    data = load_data(DataSpec(options["data"], samples=options["samples"]))
    smaller = replace(model, module=pruned.module, fingerprint=f"{model.fingerprint}-pruned")
    examples = task_of(model).encode(model, data)
    before, after = (measure(one, examples) for one in (model, smaller))
    return Story(plan, f"{command} --data {options['data']}", options["data"], before, after)
