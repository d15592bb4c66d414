"""Options and helpers that several commands share."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pruning.data import BUILT_IN_DATA, DataSpec
from pruning.errors import DataError, PruningError
from pruning.masks import Mask
from pruning.models import ModelSpec

if TYPE_CHECKING:
    from pruning.models import LoadedModel

MOST_SEED = 2**32 - 1  # numpy's largest
MOST_COUNT = 10**9  # of rows, of a batch, of tokens: more is a slip of the finger
DATA_HELP = f"{', '.join(BUILT_IN_DATA)}, a file, a hub dataset id, or own-… as the page Data and model shows it."


class Number(click.FloatRange):
    """A number within limits, if any; not ``nan``, which no limit keeps out, nor ``inf``."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        found = super().convert(value, parameter, context)
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number.", parameter, context)
        return found


def count_from(least: int) -> click.IntRange:
    return click.IntRange(least, MOST_COUNT)


def once(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The one value of an option that is declared ``multiple``, so that a second one is not lost without a word."""
    if len(values) > 1:
        raise click.UsageError(f"{parameter.opts[0]} is given {len(values)} times ({', '.join(values)}): give it once")
    return values[0] if values else None


def one_list(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> str:
    """The lists of an option that is declared ``multiple``, as one: what every one of them names is meant."""
    return ",".join(values)


single_option = partial(click.option, multiple=True, callback=once)
list_option = partial(click.option, multiple=True, callback=one_list)


def writable(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a file that cannot be written, before any work is done."""
    if not value or value == "-":
        return value
    try:
        path = Path(value).expanduser()
        if not path.parent.is_dir():
            raise PruningError("{file} cannot be written: there is no folder {folder}", file=value, folder=path.parent)
        if path.is_dir():
            raise PruningError("{file} cannot be written: it is a folder", file=value)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PruningError("{file} cannot be written: there is no permission to", file=value)
    except (OSError, RuntimeError) as error:  # too long, or no such user
        raise PruningError("{file} cannot be written: {error}", file=value, error=error) from error
    return value


def a_file(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse ``-``, which would make a file of that name; ``--json -`` is how standard output is asked for."""
    if value == "-":
        raise click.UsageError(f"{parameter.opts[0]} takes the name of a file; for standard output say --json -")
    return str(writable(context, parameter, value))


json_option = click.option(
    "--json",
    "json_file",
    metavar="FILE",
    callback=writable,
    help="Write the result as JSON; - for standard output.",
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


def data_options(split: str, what_for: str = "") -> Callable:
    """``--data`` and what belongs to it.

    Args:
        what_for: Why DATA might be given, where it need not be.
    """

    def decorate(command: Callable) -> Callable:
        options = [
            click.option("--data", required=not what_for, metavar="DATA", help=f"{what_for} {DATA_HELP}".lstrip()),
            click.option("--split", type=click.Choice(["calibration", "evaluation"]), default=split, show_default=True),
            click.option("--samples", type=count_from(1), help="Only the first N examples; all otherwise."),
            click.option("--batch-size", type=count_from(1), default=32, show_default=True),
            click.option("--seed", type=click.IntRange(0, MOST_SEED), default=0, show_default=True),
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


def load(options: dict[str, Any]) -> Any:
    from pruning.models import load_model, set_threads

    set_threads(options["threads"])
    spec = ModelSpec(options["model"], options["device"], options["dtype"], options["trust_remote_code"])
    return load_model(spec)


def read_mask(options: dict[str, Any]) -> Mask:
    if options["mask_file"] and options["heads"]:
        raise click.UsageError("give either --mask or --heads, not both")
    return Mask.read(options["mask_file"]) if options["mask_file"] else Mask.parse_heads(options["heads"] or "")


def read_groups(options: dict[str, Any], model: LoadedModel) -> Mask:
    return model.anatomy.group_mask(Mask.parse_heads(options["groups"] or "").heads)


def data_spec(options: dict[str, Any], name: str, **more: Any) -> DataSpec:
    """Data with the columns that the options name; built-in data know theirs."""
    columns = {} if name in BUILT_IN_DATA else {one: options[one] for one in ("text_column", "label_column")}
    return DataSpec(name, **columns, **more)


def check_task(name: str | None) -> None:
    from pruning.tasks import tasks

    if name and name not in tasks():
        raise DataError("there is no task {name!r}; there are {known}", name=name, known=", ".join(tasks()))


def load_examples(options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Model, task and encoded examples; the data is read first, because that is quick to get wrong."""
    from pruning.data import load_data
    from pruning.tasks import task_of

    check_task(options["task"])
    names = ("split", "samples", "text_column", "label_column")
    data = load_data(DataSpec(options["data"], **{name: options[name] for name in names}))
    model = load(options)
    task = task_of(model, options["task"])
    return model, task, task.encode(model, data)


class Progress:
    """A progress line on standard error, when somebody is looking."""

    def __init__(self, what: str) -> None:
        self.what, self.shown = what, sys.stderr.isatty()

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        if self.shown:
            print(f"\r{self.what}: {done:,} of {total:,}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def write(value: dict[str, Any], lines: list[str], json_file: str | None) -> None:
    if json_file == "-":
        print(json.dumps(_finite(value), ensure_ascii=False))
        return
    if json_file:
        try:
            text = json.dumps(_finite(value), ensure_ascii=False)
            Path(json_file).expanduser().write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise PruningError(
                "the result cannot be written to {file}: {error}", file=json_file, error=error.strerror
            ) from error
    print("\n".join(lines))


def _finite(value: Any) -> Any:
    """JSON has no infinity: an interval without an end, or a value that does not exist, becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
