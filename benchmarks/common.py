"""What the benchmarks share: the model and its rows, the figures of a measurement, tables, files, where all is from."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pruning import DataSpec, PruningError, __version__, load_data, load_model, task_of

if TYPE_CHECKING:
    from pruning.evaluation import Comparison, Evaluation
    from pruning.search.planning import Request
    from pruning.sweep import Bench

PACKAGES = ("torch", "transformers", "peft", "numpy", "torch-pruning")
WHOLE = "whole model"
PRECISION = 6  # decimals of shares: 1 - 0.9 must not be 0.0999…

Row = dict[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Sizes:
    """How many rows are used.

    Attributes:
        samples: Rows that measure; ``None`` for all of them.
        calibration: Rows that choose, and that recovery learns from; ``None`` for all of them.
    """

    samples: int | None = None
    calibration: int | None = None


@cache
def bench_of(sizes: Sizes) -> Bench:
    """The built-in model with its rows, on one thread; loaded once in each process."""
    from pruning.models import set_threads
    from pruning.sweep import Bench

    set_threads(1)
    model = load_model("demo")
    task = task_of(model)
    calibration = load_data(DataSpec("demo", "calibration", samples=sizes.calibration))
    evaluation = load_data(DataSpec("demo", "evaluation", samples=sizes.samples))
    return Bench(model, task, task.encode(model, calibration), task.encode(model, evaluation))


def provenance(bench: Bench) -> dict[str, Any]:
    """Where a file's figures are from; two files are of one run only where these agree."""
    return {
        **surroundings(PACKAGES),
        "threads": 1,
        "model": bench.model.fingerprint,
        "heads": bench.model.anatomy.total_heads,
        "evaluation": {"fingerprint": bench.evaluation.fingerprint, "rows": len(bench.evaluation)},
        "calibration": {"fingerprint": bench.calibration.fingerprint, "rows": len(bench.calibration)},
    }


def surroundings(packages: Sequence[str]) -> dict[str, Any]:
    """When, on what and with which versions a benchmark runs."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "headroom": __version__,
        "packages": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def figures(evaluation: Evaluation, comparison: Comparison) -> Row:
    """Accuracy and its paired change against the whole model, 0 to 1, with 95% intervals, and the loss."""
    accuracy, change = evaluation.metrics["accuracy"], comparison.differences["accuracy"]
    return {
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "change": change.value,
        "change_low": change.low,
        "change_high": change.high,
        "loss": evaluation.metrics["loss"].value,
        "samples": evaluation.samples,
    }


def whole(bench: Bench) -> Evaluation:
    """What the whole model does on the rows that measure: a sweep that removes nothing, so that later ones know it."""
    from pruning.search import Budget
    from pruning.search.planning import Request
    from pruning.sweep import sweep_points

    (point,) = sweep_points(bench, [Request("magnitude", "one-shot")], [Budget("heads", 1)])
    return point.evaluation


def whole_row(bench: Bench) -> Row:
    """The row of the whole model."""
    from pruning.evaluation import compare

    dense, anatomy = whole(bench), bench.model.anatomy
    size = {"heads": anatomy.total_heads, "parameters": anatomy.parameters}
    return {
        "method": WHOLE,
        "compensation": "none",
        "seed": 0,
        "sparsity": 0.0,
        **size,
        **figures(dense, compare(dense, dense)),
    }


def name_of(request: Request) -> str:
    """The strategy, the criterion where the strategy takes one, and the settings that are not the default ones."""
    strategy, criterion = request.chosen_strategy, request.chosen_criterion
    own = {f.name: f.default for f in fields(strategy)}  # type: ignore[arg-type]
    changed = [f"{name}={getattr(strategy, name)}" for name in own if getattr(strategy, name) != own[name]]
    return " ".join([*([] if strategy.measure else [criterion.name]), strategy.name, *changed])


# Files -----------------------------------------------------------------------------------------------------------


def check_file(path: Path | None, resume: bool) -> None:
    """Refuse to write over an earlier run.

    Raises:
        PruningError: The file exists and is not to be resumed, there is none to resume, or it has no folder to be in.
    """
    if path and not path.parent.is_dir():
        raise PruningError(f"{path.parent} is not a folder: make it first")
    if resume and path is None:
        raise PruningError("--resume needs --json: the file to go on with")
    if path and path.exists() and not resume:
        raise PruningError(f"{path} exists: add --resume to go on with it, or name another file")


def read_rows(path: Path | None, bench: Bench) -> list[Row]:
    """The rows that an earlier run left in a file; none where there is no file.

    Raises:
        PruningError: The file cannot be read, or its rows were measured on another model, other data or other versions.
    """
    if path is None or not path.exists():
        return []
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        before, rows = value["provenance"], value["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PruningError(f"{path} is not a file that this benchmark wrote: {error}") from error
    now = provenance(bench)
    for name in ("packages", "model", "evaluation", "calibration"):
        if before.get(name) != now[name]:
            raise PruningError(f"{path} cannot be resumed: its {name} are {before.get(name)}, now {now[name]}")
    return rows


def write_rows(path: Path | None, bench: Bench, rows: Sequence[Row], **more: Any) -> None:
    """Write everything so far: to a neighbour first, so that an interruption leaves the file before it whole."""
    if path is None:
        return
    neighbour = path.with_name(path.name + ".part")
    value = {"provenance": provenance(bench), **more, "rows": list(rows)}
    neighbour.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    neighbour.replace(path)


# Printing --------------------------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of even width."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def points(value: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * value:+.1f}"


def spelled(row: Row) -> list[str]:
    """Accuracy and its change, with their intervals."""
    return [
        f"{percent(row['accuracy'])} [{percent(row['accuracy_low'])}, {percent(row['accuracy_high'])}]",
        f"{points(row['change'])} [{points(row['change_low'])}, {points(row['change_high'])}]",
    ]


def verdict(drop: float, allowed: float) -> str:
    """Whether a drop is within a target; both in points."""
    return "met" if drop <= allowed + 1e-9 else "missed"


def introduction(bench: Bench, dense: Row) -> str:
    """The first lines of every report."""
    rows = f"{len(bench.evaluation)} evaluation rows measure, {len(bench.calibration)} calibration rows choose."
    return f"Accuracy of the whole model: {spelled(dense)[0]}%. {rows}\n"


# Options ---------------------------------------------------------------------------------------------------------


def sized(command: Command) -> Command:
    """Add the options that say how many rows are used, and where the figures go."""
    count = click.IntRange(min=2)
    options = [
        click.option("--samples", type=count, help="Evaluation rows, the first so many; all by default."),
        click.option("--calibration", type=count, help="Calibration rows, the first so many; all by default."),
        click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all here."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def names(text: str, allowed: Sequence[str], what: str) -> list[str]:
    """Names separated by commas; ``all`` for every one, ``none`` for none, unless that is the name of one.

    Raises:
        PruningError: One of them is unknown; the message lists those there are.
    """
    if text == "none" and text not in allowed:
        return []
    chosen = list(allowed) if text == "all" else [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in allowed:
            raise PruningError(f"there is no {what} {name!r}; there are {', '.join(allowed)}")
    return chosen


def shares(text: str) -> list[float]:
    """Percentages separated by commas as shares, ascending.

    Raises:
        PruningError: One is not a number above 0 and below 100.
    """
    try:
        found = sorted({round(float(part) / 100, PRECISION) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or not all(0 < share < 1 for share in found):
        raise PruningError(f"{text!r} are not percentages above 0 and below 100, separated by commas")
    return found


def run(command: click.Command) -> None:
    """Run a command; what is wrong with the input is one line."""
    try:
        command()
    except PruningError as error:
        sys.exit(f"error: {error}")
