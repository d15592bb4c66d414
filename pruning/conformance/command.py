"""``python -m pruning conformance``: is the engine right about every model type that transformers knows?"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from pruning.conformance.runner import Limits, new_report, prepare, read_report, run_all, write_report
from pruning.conformance.table import to_markdown, totals_of
from pruning.errors import PruningError


@click.command("conformance")
@click.option("--family", "names", multiple=True, metavar="NAME", help="A model type; may be repeated. All otherwise.")
@click.option("--json", "json_file", metavar="FILE", help="Write results as JSON as they come; - for standard output.")
@click.option("--table", "table_file", metavar="FILE.md", help="Write a page with totals and a table.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Model types at once; one for each core otherwise.")
@click.option(
    "--seconds", type=click.FloatRange(1, 1e6), default=120, show_default=True, help="That one type may take."
)
@click.option(
    "--memory", type=click.FloatRange(0.1, 1e6), default=6, show_default=True, metavar="GB", help="And memory."
)
@click.option("--resume", is_flag=True, help="Go on with the results in the JSON file.")
def conformance(
    names: tuple[str, ...],
    json_file: str | None,
    table_file: str | None,
    jobs: int | None,
    seconds: float,
    memory: float,
    resume: bool,
) -> None:
    """Build a tiny random model of every type that transformers knows, mask it, cut it, reload it, and check it all."""
    path = Path(json_file) if json_file and json_file != "-" else None
    if resume and path is None:
        raise click.UsageError("--resume goes on with the file of --json: name one")
    if math.isnan(seconds) or math.isnan(memory):  # which no range keeps out
        raise click.UsageError("--seconds and --memory are numbers")
    examine = prepare()
    chosen = _known(names)
    report = read_report(path) if resume and path and path.exists() else new_report()
    families = report["families"]
    todo = [name for name in chosen if name not in families]
    progress = _Progress(time.monotonic())

    def keep(done: int, total: int, name: str, family: dict[str, Any]) -> None:
        families[name] = family
        report["totals"] = totals_of(families)
        if path:
            write_report(report, path)
        progress(done, total, name, family)

    try:
        run_all(todo, examine, jobs=jobs or os.cpu_count() or 1, limits=Limits(seconds, memory), on_done=keep)
    finally:
        report["families"] = dict(sorted(families.items()))
        report["totals"] = totals_of(families)
        _write(report, path, json_file, table_file)


def _known(names: tuple[str, ...]) -> list[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    known = list(CONFIG_MAPPING_NAMES)
    for name in names:
        if name not in known:
            raise PruningError(f"transformers knows no model type {name!r}")
    return list(dict.fromkeys(names)) or sorted(known)


def _write(report: dict[str, Any], path: Path | None, json_file: str | None, table_file: str | None) -> None:
    if path:
        write_report(report, path)
    if table_file:
        try:
            Path(table_file).write_text(to_markdown(report), encoding="utf-8")
        except OSError as error:
            raise PruningError(f"the table cannot be written to {table_file}: {error.strerror}") from error
    if json_file == "-":
        print(json.dumps(report, ensure_ascii=False))
        return
    totals = report["totals"]
    print(f"{totals['families']} model types, {totals['built']} built, {totals['with_attention']} with attention")
    print(", ".join(f"{count} {word}" for word, count in totals["outcomes"].items() if count))


class _Progress:
    """One line for each model type on standard error."""

    def __init__(self, started: float) -> None:
        self.started = started

    def __call__(self, done: int, total: int, name: str, family: dict[str, Any]) -> None:
        left = (time.monotonic() - self.started) / done * (total - done)
        reason = f": {family['reason']}" if family.get("reason") else ""
        line = f"{done:4} of {total} · {family['seconds']:5.1f} s · {_clock(left)} left · {name} · {family['outcome']}"
        print(f"{line}{reason}"[:300], file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02}"
