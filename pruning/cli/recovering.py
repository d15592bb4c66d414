"""The options that recover a pruned model before it is written: compensation with the cut, training after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from pruning.builtin import BUILT_IN
from pruning.cli.options import Progress
from pruning.data import DataSpec
from pruning.errors import DataError
from pruning.recovery.methods import RecoveryMethod, get_method, recovery_methods

if TYPE_CHECKING:
    from pruning.masks import Mask
    from pruning.models import LoadedModel
    from pruning.plan import Plan
    from pruning.recovery.compensation import Compensation
    from pruning.recovery.training import Recovered
    from pruning.surgery import PrunedModel
    from pruning.tasks import Examples

_ABOUT = " ".join(f"{method.name}: {method.about}" for method in recovery_methods().values())


def recovery_options(command: Callable) -> Callable:
    """``--recover`` and what belongs to it."""
    for option in (
        click.option(
            "--recover-data", metavar="DATA", help="What to recover with; a built-in model's own calibration rows."
        ),
        click.option("--recover-minutes", type=click.FloatRange(0, min_open=True), help="Stop training after so long."),
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
    """

    compensation: str
    training: RecoveryMethod | None
    data: DataSpec | None


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
    if options["recover_minutes"] and not training:
        names = "|".join(name for name, method in recovery_methods().items() if method.trains)
        raise click.UsageError(f"--recover-minutes needs --recover {names}")
    compensation = plain[0].name if plain else plan.compensation if plan else "none"
    needed = bool(training) or compensation != "none"
    if options["recover_data"] and not needed:
        raise click.UsageError(f"--recover-data needs --recover {'|'.join(recovery_methods())}")
    return Recovery(compensation, training[0] if training else None, recovery_data(options) if needed else None)


def recovery_data(options: dict[str, Any]) -> DataSpec:
    """The calibration rows that are named, or the built-in model's own.

    Raises:
        DataError: No data is named, and the model has none of its own.
    """
    own = BUILT_IN.get(options["model"])
    name = options["recover_data"] or (own.data if own else "")
    if not name:
        raise DataError("name the rows to recover with: --recover-data FILE (not the rows that --data measures)")
    return DataSpec(name, split="calibration")


def recovery_rows(model: LoadedModel, spec: DataSpec, options: dict[str, Any]) -> Examples:
    """The encoded rows to recover with.

    Raises:
        DataError: They are the rows that the result is measured on.
    """
    from pruning.data import load_data
    from pruning.tasks import task_of

    data = load_data(spec)
    measured = load_data(DataSpec(options["data"], samples=options["samples"])) if options["data"] else None
    if measured and measured.fingerprint == data.fingerprint:
        raise DataError(
            f"--recover-data {spec.name} and --data {options['data']} hold the same rows: recover with others"
        )
    return task_of(model).encode(model, data)


def compensated(model: LoadedModel, mask: Mask, examples: Examples, method: str) -> Compensation | None:
    """The other numbers for the projections that the cut is to have."""
    from pruning.recovery.reconstruction import compensate

    with Progress("fitting projections") as progress:
        return compensate(model, mask, examples, method, progress=progress)


def train(
    model: LoadedModel, pruned: PrunedModel, examples: Examples, method: RecoveryMethod, minutes: float | None
) -> Recovered:
    """Train a pruned model as the options say."""
    from pruning.recovery.training import recover

    settings = method.settings
    with Progress("training") as progress:
        return recover(
            model,
            pruned,
            examples,
            settings=settings and replace(settings, minutes=minutes),
            progress=lambda done, total, history: progress(done, total),
        )


def told(found: Recovered, spec: DataSpec) -> tuple[dict[str, Any], list[str]]:
    """What training did, as JSON and as lines to read."""
    first, best, (trained, held) = found.history[0], found.best, found.rows
    value = {
        "method": found.settings.method,
        "data": spec.name,
        "rows": {"trained": trained, "held_out": held},
        "steps": found.steps,
        "best_step": best.step,
        "seconds": found.seconds,
        "reason": found.reason,
        "history": [asdict(row) for row in found.history],
    }
    lines = [
        f"{found.settings.words}: {found.steps:,} steps on {trained:,} rows of {spec.name} in {found.seconds:.0f} s, "
        f"ended by {found.reason}; kept the state after step {best.step:,}"
    ]
    if held:
        lines.append(
            f"on {held:,} rows held out: loss {first.held_out_loss:.4g} before, {best.held_out_loss:.4g} after; "
            f"accuracy {first.held_out_accuracy:.4g} before, {best.held_out_accuracy:.4g} after"
        )
    return value, lines
