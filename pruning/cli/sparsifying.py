"""The command that sets single weights to zero."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pruning.builtin import BUILT_IN
from pruning.cli.options import Number, Progress, data_options, load_examples, model_options, write
from pruning.cli.recovering import told
from pruning.data import BUILT_IN_DATA, DataSpec
from pruning.errors import DataError
from pruning.unstructured import COMPARISONS, PATTERNS, Sparsity, weight_scores

if TYPE_CHECKING:
    from pruning.data import Dataset
    from pruning.models import LoadedModel
    from pruning.recovery.training import Recovered
    from pruning.tasks import Examples, Task
    from pruning.unstructured.sparsifying import SparseModel

_METHODS = " ".join(f"{name}: {score.about}" for name, score in weight_scores().items())
_COMPARE = "; ".join(f"{name}: {about}" for name, about in COMPARISONS.items())


@click.command()
@model_options
@data_options("calibration")
@click.option(
    "--method", type=click.Choice(list(weight_scores())), default="magnitude", show_default=True, help=_METHODS
)
@click.option("--share", type=Number(0, 1), default=0.5, show_default=True, help="Of the weights that go.")
@click.option("--compare", type=click.Choice(list(COMPARISONS)), help=f"Which weights compete. {_COMPARE}.")
@click.option("--pattern", metavar="N:M", default="", help=f"Keep N of every M neighbours, like {', '.join(PATTERNS)}.")
@click.option("--gradual", is_flag=True, help="Let the zeros grow while all weights are trained on DATA.")
@click.option("--minutes", type=Number(0, min_open=True), help="Stop training after so long; with --gradual.")
@click.option(
    "--measure",
    metavar="DATA",
    help="Evaluation rows to measure accuracy on. Without it DATA itself; with --gradual a built-in model's own, for "
    "rows that trained must not measure.",
)
@click.option(
    "--rounds", type=click.IntRange(2, 10_000), default=15, show_default=True, help="How often each is timed."
)
@click.option("-o", "--output", "folder", metavar="FOLDER", help="Write the model with its zeros as a checkpoint.")
@click.option("--overwrite", is_flag=True, help="Replace FOLDER if it is empty or an earlier export.")
def sparsify(json_file: str | None, **options: Any) -> None:
    """Set single weights of MODEL to zero, and measure what that is worth: by itself nothing, in size and in speed.

    DATA are the rows that the method looks at. Accuracy is measured on them, too, unless --measure names others or the
    model is trained on them.
    """
    from pruning.evaluation import evaluate
    from pruning.export import export_checkpoint
    from pruning.export_place import check_place
    from pruning.unstructured.measuring import measure_sparse

    if options["minutes"] and not options["gradual"]:
        raise click.UsageError("--minutes needs --gradual")
    folder = options["folder"]
    if folder:
        check_place(folder, options["model"], overwrite=options["overwrite"])
    given = click.get_current_context().get_parameter_source("share") is ParameterSource.COMMANDLINE
    settings = Sparsity(options["method"], options["share"], options["compare"], options["pattern"])
    if settings.pattern and given and settings.share != 1 - settings.kept[0] / settings.kept[1]:
        raise click.UsageError("--pattern says how many weights go: leave out --share")
    others = other_rows(options)
    model, task, examples = load_examples(options)
    found = with_zeros(model, examples, settings, task, options)
    examples = task.encode(model, others) if others else examples
    sparse = replace(model, module=found.module, fingerprint=f"{model.fingerprint}-sparse")
    how = {"task": task, "batch_size": options["batch_size"], "seed": options["seed"]}
    before, after = (evaluate(one, examples, **how) for one in (model, sparse))
    figures = measure_sparse(model.module, found.module, found.masks, rounds=options["rounds"])
    value = {
        "method": settings.words,
        "layers": list(found.masks),
        "figures": figures.to_json(),
        "metrics": {
            when: {name: asdict(one) for name, one in e.metrics.items()}
            for when, e in (("before", before), ("after", after))
        },
        "measured": others.spec.name if others else options["data"],
        "samples": len(examples),
    }
    lines = [f"{settings.words}: {figures.text}"]
    for name, new in after.metrics.items():
        old = before.metrics[name]
        lines.append(f"{name}: {old.value:.4g} before, {new.value:.4g} ({new.low:.4g} to {new.high:.4g}) after")
    which = "not those that the method looked at" if others else "the same that the method looked at"
    lines.append(f"n = {len(examples):,} rows of {value['measured']}, {which}")
    if found.training:
        value["training"], more = told_with_zeros(found, found.training, DataSpec(options["data"]))
        lines += more
    if folder:
        written = export_checkpoint(model, found.as_pruned(), folder, overwrite=options["overwrite"])
        value |= {"folder": str(written.folder), "reload_difference": written.reload_difference}
        lines.append(f"written to {written.folder} and reloaded: difference {written.reload_difference:.1e}")
    write(value, lines, json_file)


def other_rows(options: dict[str, Any]) -> Dataset | None:
    """Rows to measure on that are not those of DATA; ``None`` where those of DATA are meant.

    Raises:
        DataError: DATA trains, and the rows to measure on are the same, or none are named.
    """
    from pruning.data import load_data

    own = BUILT_IN.get(options["model"])
    name = options["measure"] or (own.data if own and options["gradual"] else "")
    if not name:
        if options["gradual"]:
            raise DataError("name the rows to measure on: --measure DATA (not the rows that --data trains on)")
        return None
    columns = {column: options[column] for column in ("text_column", "label_column")}
    found = load_data(DataSpec(name) if name in BUILT_IN_DATA else DataSpec(name, **columns))
    # a part of DATA, by --samples, is in the same rows, too
    if found.fingerprint != load_data(DataSpec(options["data"], options["split"], **columns)).fingerprint:
        return found
    if options["gradual"]:
        raise DataError(f"--measure {name} and --data {options['data']} hold the same rows: measure on others")
    return None


def with_zeros(
    model: LoadedModel, examples: Examples, settings: Sparsity, task: Task, options: dict[str, Any]
) -> SparseModel:
    """The model with its zeros, set at once or while it is trained."""
    from pruning.recovery.settings import Training
    from pruning.unstructured.dynamic import sparsify_gradually
    from pruning.unstructured.sparsifying import sparsify as set_to_zero

    size = options["batch_size"]
    if not options["gradual"]:
        with Progress("scoring") as progress:
            return set_to_zero(model, examples, settings, task=task, batch_size=size, progress=progress)
    training = Training("fine-tune", minutes=options["minutes"], batch_size=size, seed=options["seed"])
    with Progress("training") as progress:
        return sparsify_gradually(
            model,
            examples,
            settings,
            training=training,
            task=task,
            progress=lambda done, total, _: progress(done, total),
        )


def told_with_zeros(found: SparseModel, training: Recovered, spec: DataSpec) -> tuple[dict[str, Any], list[str]]:
    """What training did, as JSON and as lines; held-out figures only where they are of the final zeros."""
    value, lines = told(training, spec)
    value["late_share"] = found.late
    if not found.late:
        return value, lines
    late = (
        f"training ended before all zeros had grown: {found.late:.1%} of the weights became zero after it, and nothing"
    )
    return value, [lines[0], f"{late} made up for them; allow more --minutes"]
