"""The command that sets single weights to zero."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from pruning.cli.options import Progress, data_options, load_examples, model_options, write
from pruning.errors import PruningError
from pruning.unstructured import COMPARISONS, PATTERNS, Sparsity, weight_scores

_METHODS = " ".join(f"{name}: {score.about}" for name, score in weight_scores().items())
_COMPARE = "; ".join(f"{name}: {about}" for name, about in COMPARISONS.items())


@click.command()
@model_options
@data_options("calibration")
@click.option(
    "--method", type=click.Choice(list(weight_scores())), default="magnitude", show_default=True, help=_METHODS
)
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of the weights that go.")
@click.option("--compare", type=click.Choice(list(COMPARISONS)), help=f"Which weights compete. {_COMPARE}.")
@click.option("--pattern", metavar="N:M", default="", help=f"Keep N of every M neighbours, like {', '.join(PATTERNS)}.")
@click.option("--rounds", type=click.IntRange(2), default=15, show_default=True, help="How often each is timed.")
@click.option("-o", "--output", "folder", metavar="FOLDER", help="Write the model with its zeros as a checkpoint.")
@click.option("--overwrite", is_flag=True, help="Replace FOLDER if it exists.")
def sparsify(json_file: str | None, batch_size: int, seed: int, **options: Any) -> None:
    """Set single weights of MODEL to zero, and measure what that is worth: by itself nothing, in size and in speed.

    DATA are the rows that the method looks at; accuracy is measured on them, too.
    """
    from pruning.evaluation import evaluate
    from pruning.export import export_checkpoint
    from pruning.unstructured.measuring import measure_sparse
    from pruning.unstructured.sparsifying import sparsify as set_to_zero

    folder = options["folder"]
    if folder and Path(folder).expanduser().exists() and not options["overwrite"]:
        raise PruningError(f"{folder} exists already: choose another folder, or say --overwrite")
    settings = Sparsity(options["method"], options["share"], options["compare"], options["pattern"])
    model, task, examples = load_examples(options)
    with Progress("scoring") as progress:
        found = set_to_zero(model, examples, settings, task=task, batch_size=batch_size, progress=progress)
    sparse = replace(model, module=found.module, fingerprint=f"{model.fingerprint}-sparse")
    before, after = (evaluate(one, examples, task=task, batch_size=batch_size, seed=seed) for one in (model, sparse))
    figures = measure_sparse(model.module, found.module, found.masks, rounds=options["rounds"])
    value = {
        "method": settings.words,
        "layers": list(found.masks),
        "figures": figures.to_json(),
        "metrics": {
            when: {name: asdict(one) for name, one in e.metrics.items()}
            for when, e in (("before", before), ("after", after))
        },
        "samples": len(examples),
    }
    lines = [f"{settings.words}: {figures.text}"]
    for name, new in after.metrics.items():
        old = before.metrics[name]
        lines.append(f"{name}: {old.value:.4g} before, {new.value:.4g} ({new.low:.4g} to {new.high:.4g}) after")
    lines.append(f"n = {len(examples):,} rows of {options['data']}, the same that the method looked at")
    if folder:
        written = export_checkpoint(model, found.as_pruned(), folder, overwrite=options["overwrite"])
        value |= {"folder": str(written.folder), "reload_difference": written.reload_difference}
        lines.append(f"written to {written.folder} and reloaded: difference {written.reload_difference:.1e}")
    write(value, lines, json_file)
