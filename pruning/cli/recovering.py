"""The options that recover a pruned model before it is written: compensation with the cut, training after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from pruning.builtin import BUILT_IN
from pruning.cli.options import Number, Progress, data_spec
from pruning.data import DataSpec
from pruning.errors import DataError
from pruning.recovery.methods import get_method, recovery_methods
from pruning.recovery.settings import Training, by_cut

if TYPE_CHECKING:
    from pruning.masks import Mask
    from pruning.models import LoadedModel
    from pruning.plan import Plan
    from pruning.recovery.compensation import Compensation
    from pruning.recovery.training import Recovered
    from pruning.surgery import PrunedModel
    from pruning.tasks import Examples, Task

_ABOUT = " ".join(f"{method.name}: {method.about}" for method in recovery_methods().values())


def recovery_options(command: Callable) -> Callable:
    """``--recover`` and what belongs to it."""
    for option in (
        click.option(
            "--recover-data", metavar="DATA", help="What to recover with; a built-in model's own calibration rows."
        ),
        click.option(
            "--recover-steps",
            type=click.IntRange(2, 20),
            metavar="N",
            help="Cut and train in turn, in so many steps, the least important first; each trains for its share of the "
            "minutes. Not with means or reconstruction.",
        ),
        click.option("--recover-minutes", type=Number(0, min_open=True), help="Stop training after so long."),
        click.option(
            "--recover",
            multiple=True,
            type=click.Choice(list(recovery_methods())),
            help=f"Recover what is lost; may be given for one without and one with training. {_ABOUT}",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Recovery:
    """What the options ask for.

    Attributes:
        compensation: ``none``, ``mean`` or ``reconstruct``.
        training: A method that trains, or ``None``.
        data: Whose calibration rows are used.
        steps: In how many cuts; 1 for all at once. The minutes of the training are for all of them.
    """

    compensation: str
    training: Training | None
    data: DataSpec | None
    steps: int = 1


def preview_options(command: Callable) -> Callable:
    """``--recover`` for a mask: what is exact without cutting, that is, without training."""
    names = ["none", *(name for name, method in recovery_methods().items() if not method.trains)]
    for option in (
        click.option("--recover-data", metavar="DATA", help="What to recover with; the model's own calibration rows."),
        click.option("--recover", type=click.Choice(names), help="What stands in for what is removed; a plan says it."),
    ):
        command = option(command)
    return command


def preview(model: LoadedModel, mask: Mask, plan: Plan | None, options: dict[str, Any]) -> Compensation | None:
    """The compensation that the options or the plan ask for.

    Raises:
        DataError: It needs rows, and none are named, or they are those that are measured.
    """
    method = options["recover"] or (plan.compensation if plan else "none")
    if method == "none":
        return None
    return compensated(model, mask, recovery_rows(model, recovery_data(options), options), method)


def read_recovery(options: dict[str, Any], plan: Plan | None) -> Recovery:
    """How to recover, by the options and the plan.

    Raises:
        DataError: No data is named, and the model has none of its own.
    """
    chosen = [get_method(name) for name in dict.fromkeys(options["recover"])]
    plain, training = ([m for m in chosen if m.trains == trains] for trains in (False, True))
    for kind in (plain, training):
        if len(kind) > 1:
            raise click.UsageError(f"--recover {kind[0].name} and --recover {kind[1].name} exclude each other")
    for name in ("recover_minutes", "recover_steps"):
        if options[name] and not training:
            names = "|".join(name for name, method in recovery_methods().items() if method.trains)
            raise click.UsageError(f"--{name.replace('_', '-')} needs --recover {names}")
    compensation = plain[0].name if plain else plan.compensation if plan else "none"
    if options["recover_steps"] and compensation != "none":
        whose = "--recover" if plain else "the plan's compensation"
        raise click.UsageError(
            f"--recover-steps and {whose} {compensation} exclude each other: the steps start from the whole model, "
            "whose projections are not refitted"
        )
    needed = bool(training) or compensation != "none"
    if options["recover_data"] and not needed:
        raise click.UsageError(f"--recover-data needs --recover {'|'.join(recovery_methods())}")
    data = recovery_data(options) if needed else None
    settings = training[0].settings if training else None
    if settings:
        how = {name: options[name] for name in ("batch_size", "seed")}
        settings = replace(settings, minutes=options["recover_minutes"], **how)
    return Recovery(compensation, settings, data, options["recover_steps"] or 1)


def recovery_data(options: dict[str, Any]) -> DataSpec:
    """The calibration rows that are named, or the built-in model's own.

    Raises:
        DataError: No data is named, and the model has none of its own.
    """
    own = BUILT_IN.get(options["model"])
    name = options["recover_data"] or (own.data if own else "")
    if not name:
        raise DataError("name the rows to recover with: --recover-data FILE (not the rows that --data measures)")
    return data_spec(options, name, split="calibration")


def recovery_rows(model: LoadedModel, spec: DataSpec, options: dict[str, Any]) -> Examples:
    """The encoded rows to recover with.

    Raises:
        DataError: They are the rows that the result is measured on.
    """
    from pruning.data import load_data
    from pruning.tasks import task_of

    data = load_data(spec)
    measured = measured_spec(options)
    if measured and load_data(measured).fingerprint == data.fingerprint:
        raise DataError(
            f"--recover-data {spec.name} and --data {options['data']} hold the same rows: recover with others"
        )
    return task_of(model, options["task"]).encode(model, data)


def measured_spec(options: dict[str, Any]) -> DataSpec | None:
    """The rows that measure; ``None`` where no data is named."""
    name = options["data"]
    return data_spec(options, name, split=options["split"], samples=options["samples"]) if name else None


def compensated(model: LoadedModel, mask: Mask, examples: Examples, method: str) -> Compensation | None:
    """The other numbers for the projections that the cut is to have."""
    from pruning.recovery.reconstruction import compensate

    with Progress("fitting projections") as progress:
        return compensate(model, mask, examples, method, progress=progress)


def cut_and_recover(
    model: LoadedModel, mask: Mask, examples: Examples | None, recovery: Recovery, task: Task | None = None
) -> tuple[PrunedModel, Recovered | None]:
    """The smaller model, and its training where the options ask for one."""
    from pruning.recovery.training import recover
    from pruning.surgery import prune

    training = recovery.training
    if examples and training and recovery.steps > 1:
        found = _train_in_steps(model, mask, examples, training, recovery.steps, task)
        return found.pruned, found
    compensation = compensated(model, mask, examples, recovery.compensation) if examples else None
    pruned = prune(model, mask, compensation=compensation)
    if not (examples and training):
        return pruned, None
    with Progress("training") as progress:
        found = recover(
            model,
            pruned,
            examples,
            settings=training,
            task=task,
            progress=lambda done, total, _: progress(done, total),
        )
    return found.pruned, found


def _train_in_steps(
    model: LoadedModel, mask: Mask, examples: Examples, settings: Training, steps: int, task: Task | None
) -> Recovered:
    from pruning.recovery.gradual import gradual, in_steps

    with Progress("scoring") as progress:
        size = settings.batch_size
        masks = in_steps(model, mask, examples, steps, task=task, batch_size=size, progress=progress)
    share = replace(settings, minutes=settings.minutes and settings.minutes / len(masks))
    with Progress("training") as progress:
        return gradual(
            model, masks, examples, settings=share, task=task, progress=lambda done, total, _: progress(done, total)
        )


def told(found: Recovered, spec: DataSpec) -> tuple[dict[str, Any], list[str]]:
    """What training did, as JSON and as lines to read."""
    cuts, best, (trained, held) = by_cut(found.history), found.best, found.rows
    first, count = cuts[-1][0], f" in {len(cuts)} cuts" if len(cuts) > 1 else ""
    last = " of the last cut" if count else ""
    value = {
        "method": found.settings.method,
        "data": spec.name,
        "masks": len(cuts),
        "rows": {"trained": trained, "held_out": held},
        "steps": found.steps,
        "best_step": best.step,
        "seconds": found.seconds,
        "reason": found.reason,
        "history": [asdict(row) for row in found.history],
    }
    lines = [
        f"{found.settings.words}{count}: {found.steps:,} steps on {trained:,} rows of {spec.name} in "
        f"{found.seconds:.0f} s, ended by {found.reason}; kept the state after step {best.step:,}{last}"
    ]
    if held:
        where = f"on {held:,} rows held out{', under the last mask' if count else ''}"
        lines.append(
            f"{where}: loss {first.held_out_loss:.4g} before, {best.held_out_loss:.4g} after; "
            f"accuracy {first.held_out_accuracy:.4g} before, {best.held_out_accuracy:.4g} after"
        )
    return value, lines
