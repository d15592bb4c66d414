"""Commands that look: built-in models, criteria, and what a model is made of."""

from __future__ import annotations

from typing import Any

import click

from pruning.cli.options import json_option, load, model_options, write
from pruning.importance import criteria, describe_criterion
from pruning.models import BUILT_IN


@click.command()
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
    write({"models": rows}, lines, json_file)


@click.command("criteria")
@json_option
def list_criteria(json_file: str | None) -> None:
    """List the importance criteria."""
    rows = [describe_criterion(criterion) for criterion in criteria().values()]
    lines = [
        f"{row['name']:10} {row['label']} · {row['direction']} is important · {row['cost']} · {row['reference']}"
        for row in rows
    ]
    write({"criteria": rows}, lines, json_file)


@click.command()
@model_options
def describe(json_file: str | None, **options: Any) -> None:
    """Find every attention site, feed-forward block and layer of MODEL, and test what can be done with each."""
    anatomy = load(options).anatomy
    lines = [
        f"{site.index:3} {site.name} · {site.kind} · {site.heads} heads · {site.support} {site.reason}".rstrip()
        for site in anatomy.sites
    ]
    lines.append(
        f"{anatomy.total_heads} heads, {anatomy.parameters:,} parameters, {anatomy.macs:,} MACs ({anatomy.macs_input})"
    )
    lines.append(f"support: {anatomy.support}" + (f" ({anatomy.reason})" if anatomy.reason else ""))
    write(anatomy.to_json(), lines, json_file)
