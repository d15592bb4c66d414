"""The command line: ``python -m pruning COMMAND …``. See ``--help`` of each command.

Exit status 0 on success, 2 on bad input with one line on standard error. ``HEADROOM_DEBUG=1`` shows tracebacks.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pruning.conformance.command import conformance
from pruning.data import BUILT_IN_DATA, DataSpec
from pruning.errors import DataError, PruningError
from pruning.importance import criteria, describe_criterion, get_criterion
from pruning.masks import Mask
from pruning.models import BUILT_IN, ModelSpec

if TYPE_CHECKING:
    from pruning.card import Story
    from pruning.models import LoadedModel
    from pruning.surgery import PrunedModel

DATA_HELP = f"{', '.join(BUILT_IN_DATA)}, a file, or a hub dataset id."
LONGEST_LINE = 600  # of an error message: an odd file name can be much longer


def main() -> None:
    """Run the command line; every failure is one line."""
    try:
        status = commands(prog_name="python -m pruning", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except click.Abort:
        _fail("stopped", 130)
    except PruningError as error:
        _fail(str(error), 2)
    except Exception as error:  # the contract of the command line: never a traceback
        if os.environ.get("HEADROOM_DEBUG"):
            raise
        _fail(f"{type(error).__name__}: {error} (HEADROOM_DEBUG=1 shows where)", 1)


def _fail(message: str, status: int) -> None:
    line = " ".join(message.split())
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 2 :]}"
    print(f"error: {line}", file=sys.stderr)
    sys.exit(status)


# Options that several commands share ---------------------------------------------------------------------------------

json_option = click.option(
    "--json", "json_file", metavar="FILE", help="Write the result as JSON; - for standard output."
)


def model_options(command: Callable) -> Callable:
    options = [
        click.argument("model"),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True),
        click.option(
            "--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32", show_default=True
        ),
        click.option("--threads", type=click.IntRange(1, 1024), help="Threads of torch; its own default otherwise."),
        click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model."),
        json_option,
    ]
    return _apply(options, command)


def data_options(split: str) -> Callable:
    def decorate(command: Callable) -> Callable:
        options = [
            click.option("--data", required=True, metavar="DATA", help=DATA_HELP),
            click.option("--split", type=click.Choice(["calibration", "evaluation"]), default=split, show_default=True),
            click.option("--samples", type=click.IntRange(1), help="Only the first N examples; all otherwise."),
            click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True),
            click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
            click.option("--task", metavar="NAME", help="Kind of task; the one of the model's architecture otherwise."),
            click.option("--text-column", metavar="C", help="Column with the texts (or image files)."),
            click.option("--label-column", metavar="C", help="Column with the labels."),
        ]
        return _apply(options, command)

    return decorate


def _apply(options: list[Callable], command: Callable) -> Callable:
    for option in reversed(options):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Headroom: which attention heads a transformer needs, and what it loses without the others."""


commands.add_command(conformance)


# Commands ------------------------------------------------------------------------------------------------------------


@commands.command()
@json_option
def models(json_file: str | None) -> None:
    """List the built-in models."""
    rows = [
        {
            "name": model.name,
            "label": model.label,
            "task": model.task,
            "licence": model.licence,
            "package": model.package,
            "base": model.hub_id,
            "present": model.present,
            "install": model.install,
        }
        for model in BUILT_IN.values()
    ]
    lines = [
        f"{row['name']:10} {row['label']} · {row['task']} · {row['licence']} · "
        + ("present" if row["present"] else f"not present: {row['install']}")
        for row in rows
    ]
    _write({"models": rows}, lines, json_file)


@commands.command("criteria")
@json_option
def list_criteria(json_file: str | None) -> None:
    """List the importance criteria."""
    rows = [describe_criterion(criterion) for criterion in criteria().values()]
    lines = [
        f"{row['name']:10} {row['label']} · {row['direction']} is important · {row['cost']} · {row['reference']}"
        for row in rows
    ]
    _write({"criteria": rows}, lines, json_file)


@commands.command()
@model_options
def describe(json_file: str | None, **options: Any) -> None:
    """Find every attention site, feed-forward block and layer of MODEL, and test what can be done with each."""
    anatomy = _load(options).anatomy
    lines = [
        f"{site.index:3} {site.name} · {site.kind} · {site.heads} heads · {site.support} {site.reason}".rstrip()
        for site in anatomy.sites
    ]
    lines.append(
        f"{anatomy.total_heads} heads, {anatomy.parameters:,} parameters, {anatomy.macs:,} MACs ({anatomy.macs_input})"
    )
    lines.append(f"support: {anatomy.support}" + (f" ({anatomy.reason})" if anatomy.reason else ""))
    _write(anatomy.to_json(), lines, json_file)


@commands.command()
@model_options
@data_options("calibration")
@click.option("--criterion", "names", multiple=True, default=["gradient"], show_default=True, help="May be repeated.")
def score(names: tuple[str, ...], json_file: str | None, seed: int, batch_size: int, **options: Any) -> None:
    """Score the importance of every head of MODEL, raw and per criterion."""
    from pruning.importance.scoring import score as score_heads

    for name in names:
        get_criterion(name)
    model, task, examples = _load_examples(options)
    maps = {}
    for name in names:
        with _Progress(f"scoring {name}") as progress:
            maps[name] = score_heads(
                model, name, examples, task=task, batch_size=batch_size, seed=seed, progress=progress
            )
    value = {
        "importance": {name: found.values for name, found in maps.items()},
        "standard_errors": {name: found.standard_errors for name, found in maps.items() if found.standard_errors},
        "sites": [site.name for site in model.anatomy.sites],
        "samples": len(examples),
        "seed": seed,
        "seconds": sum(found.seconds for found in maps.values()),
        "model": model.fingerprint,
        "data": examples.fingerprint,
        "truncated": examples.truncated,
    }
    lines = []
    for name, found in maps.items():
        lines.append(f"{name} ({found.samples} examples)")
        lines += [f"  {i:3} " + " ".join(f"{v:9.5f}" for v in row) for i, row in enumerate(found.values)]
    _write(value, lines, json_file)


@commands.command()
@model_options
@data_options("evaluation")
@click.option("--mask", "mask_file", metavar="FILE", help="A mask or a plan: what is removed.")
@click.option("--heads", "heads", metavar='"S:H,…"', help='Heads to remove, as site:head, like "0:3,2:5" or "1:0-3".')
@click.option("--groups", metavar='"S:G,…"', help="Key-value groups to remove with all their heads, as site:group.")
def evaluate(json_file: str | None, seed: int, batch_size: int, **options: Any) -> None:
    """Measure MODEL on DATA, with all its heads or without some."""
    from pruning.evaluation import evaluate as evaluate_mask

    mask = _mask_of(options)
    model, task, examples = _load_examples(options)
    mask = (mask | _groups_of(options, model)).check(model.anatomy)
    with _Progress("evaluating") as progress:
        found = evaluate_mask(
            model,
            examples,
            mask,
            task=task,
            batch_size=batch_size,
            seed=seed,
            on_progress=progress,
        )
    lines = [
        f"{name:18} {e.value:8.4f}   (95% interval {e.low:.4f} to {e.high:.4f})" for name, e in found.metrics.items()
    ]
    parts = {"heads": mask.heads, "neurons": mask.neurons, "layers": mask.layers}
    removed = ", ".join(f"{len(units):,} {name}" for name, units in parts.items() if units) or "nothing"
    lines.append(f"n = {found.samples:,} · removed: {removed} · {found.seconds:.1f} s")
    _write(found.to_json(), lines, json_file)


@commands.command()
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
def prune(json_file: str | None, **options: Any) -> None:
    """Cut heads, neurons and layers out of MODEL, check the result against the mask, write it to FOLDER, reload it."""
    from pruning.export import export_checkpoint, summary
    from pruning.masks import whole_groups
    from pruning.surgery import prune as cut

    asked = _mask_of(options)
    if not asked and not options["groups"]:
        raise click.UsageError("say what to cut out: --heads, --groups, --mask or --plan")
    folder, overwrite = options["folder"], options["overwrite"]
    if Path(folder).expanduser().exists() and not overwrite:
        raise PruningError(f"{folder} exists already: choose another folder, or say --overwrite")
    model = _load(options)
    asked = mask = (asked | _groups_of(options, model)).check(model.anatomy)
    if options["whole_groups"]:
        mask = whole_groups(asked, model.anatomy)
    pruned = cut(model, mask)
    story = _story(model, pruned, options)
    written = export_checkpoint(model, pruned, folder, overwrite=overwrite, onnx=options["onnx"], story=story)
    value, lines = summary(model, written, story)
    kept = sorted(asked.heads - mask.heads)
    if kept:
        value["restored"] = [list(head) for head in kept]
        lines.append(f"{len(kept)} heads stay, because others of their key-value group do: {', '.join(map(str, kept))}")
    _write(value, lines, json_file)


def _story(model: LoadedModel, pruned: PrunedModel, options: dict[str, Any]) -> Story:
    """What the model card tells: the plan, the command, and metrics before and after where data is named."""
    from pruning.card import Story

    plan = None
    if options["mask_file"]:
        read = json.loads(Path(options["mask_file"]).read_text(encoding="utf-8"))
        plan = read if "mask" in read else None
    given = {"--mask": options["mask_file"], "--heads": options["heads"], "--groups": options["groups"]}
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


# What the commands share ---------------------------------------------------------------------------------------------


def _load(options: dict[str, Any]) -> Any:
    from pruning.models import load_model, set_threads

    set_threads(options["threads"])
    spec = ModelSpec(options["model"], options["device"], options["dtype"], options["trust_remote_code"])
    return load_model(spec)


def _mask_of(options: dict[str, Any]) -> Mask:
    if options["mask_file"] and options["heads"]:
        raise click.UsageError("give either --mask or --heads, not both")
    return Mask.read(options["mask_file"]) if options["mask_file"] else Mask.parse_heads(options["heads"] or "")


def _groups_of(options: dict[str, Any], model: LoadedModel) -> Mask:
    return model.anatomy.group_mask(Mask.parse_heads(options["groups"] or "").heads)


def _load_examples(options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Model, task and encoded examples; the data is read first, because that is quick to get wrong."""
    from pruning.data import load_data
    from pruning.tasks import task_of, tasks

    if options["task"] and options["task"] not in tasks():
        raise DataError(f"there is no task {options['task']!r}; there are {', '.join(tasks())}")
    names = ("split", "samples", "text_column", "label_column")
    data = load_data(DataSpec(options["data"], **{name: options[name] for name in names}))
    model = _load(options)
    task = task_of(model, options["task"])
    return model, task, task.encode(model, data)


class _Progress:
    """A progress line on standard error, when somebody is looking."""

    def __init__(self, what: str) -> None:
        self.what, self.shown = what, sys.stderr.isatty()

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        if self.shown:
            print(f"\r{self.what}: {done:,} of {total:,}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _write(value: dict[str, Any], lines: list[str], json_file: str | None) -> None:
    if json_file == "-":
        print(json.dumps(_finite(value), ensure_ascii=False))
        return
    if json_file:
        try:
            Path(json_file).write_text(json.dumps(_finite(value), ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise PruningError(f"the result cannot be written to {json_file}: {error.strerror}") from error
    print("\n".join(lines))


def _finite(value: Any) -> Any:
    """JSON has no infinity: an interval without an end, or a value that does not exist, becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
