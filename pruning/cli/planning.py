"""The command that plans: what to remove so that a budget is met."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from pruning.cli.options import (
    Number,
    Progress,
    a_file,
    count_from,
    data_options,
    list_option,
    load_examples,
    model_options,
    single_option,
    write,
)
from pruning.importance import criteria
from pruning.importance.normalising import NORMALISATIONS
from pruning.masks import Mask
from pruning.plan import COMPENSATIONS, Plan, is_plan
from pruning.scopes import Scope, get_scope
from pruning.search import (
    DEFAULT_CRITERION,
    DEFAULT_NORMALISE,
    DEFAULT_STRATEGY,
    KINDS,
    Budget,
    PlanError,
    make_strategy,
    strategies,
)

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.search.planning import Request
    from pruning.surgery import PrunedModel


@click.command()
@model_options
@data_options("calibration")
@click.option("--criterion", metavar="NAME", default=DEFAULT_CRITERION, show_default=True, help=", ".join(criteria()))
@click.option("--strategy", metavar="NAME", default=DEFAULT_STRATEGY, show_default=True, help=", ".join(strategies()))
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="A setting of the strategy.")
@click.option("--normalise", type=click.Choice(list(NORMALISATIONS)), default=DEFAULT_NORMALISE, show_default=True)
@list_option("--scope", metavar="A,B", default=["heads"], show_default=True, help="What may go: heads,neurons,layers.")
@single_option("--budget", metavar="KIND=SHARE", help=f"What may remain, at most: {'|'.join(KINDS)}, like heads=0.5.")
@click.option("--threshold", type=Number(), help="Instead: remove all units less important than this raw value.")
@click.option(
    "--guarantee",
    type=Number(0, 100, min_open=True, max_open=True),
    metavar="POINTS",
    help="Instead: lose no more accuracy, with 95% confidence.",
)
@list_option("--protect-heads", metavar='"S:H,…"', help='Heads that stay, like "0:3,1:0-2".')
@list_option("--protect-layers", metavar='"L,…"', help='Layers that stay with all in them, like "0,5".')
@click.option("--whole-groups", is_flag=True, help="Remove only whole key-value groups.")
@click.option("--compensate", type=click.Choice(COMPENSATIONS), default="none", show_default=True, help="When cutting.")
@click.option("--tokens", type=count_from(1), default=128, show_default=True, help="For MACs and latency.")
@click.option("-o", "--output", required=True, metavar="PLAN", callback=a_file, help="Where the plan goes.")
def plan(json_file: str | None, **options: Any) -> None:
    """Plan which heads, neurons and layers of MODEL to remove, and write PLAN for prune and evaluate."""
    ways = [name for name in ("budget", "threshold", "guarantee") if options[name] is not None]
    if len(ways) != 1:
        raise click.UsageError("give one of --budget (like heads=0.5), --threshold and --guarantee")
    budget = Budget.parse(options["budget"]) if options["budget"] is not None else None
    request = _request(options)
    model, task, examples = load_examples(options)
    with Progress("searching") as progress:
        shared: dict[str, Any] = {"task": task, "progress": progress}
        if budget:
            from pruning.search.planning import plan as make

            found = make(model, examples, budget, request, **shared)
        elif options["threshold"] is not None:
            from pruning.search.planning import plan_below

            found = plan_below(model, examples, options["threshold"], request, **shared)
        else:
            from pruning.search.guarantee import guaranteed

            found = guaranteed(model, examples, options["guarantee"], request, **shared)
    found.write(options["output"])
    write(found.to_json(), [*_lines(found, model), f"written to {options['output']}"], json_file)


def _request(options: dict[str, Any]) -> Request:
    from pruning.importance import get_criterion
    from pruning.search.planning import Request

    get_criterion(options["criterion"])
    pairs = [text.partition("=") for text in options["settings"]]
    wrong = next((name for name, equals, _ in pairs if not equals), None)
    if wrong is not None:
        raise PlanError(f"--set {wrong} is not a setting: write NAME=VALUE")
    return Request(
        criterion=options["criterion"],
        strategy=make_strategy(options["strategy"], {name: value for name, _, value in pairs}),
        scopes=tuple(dict.fromkeys(_scope(name) for name in options["scope"].split(","))),
        protected=replace(Mask.parse_heads(options["protect_heads"]), layers=_layers(options["protect_layers"])),
        whole_groups=options["whole_groups"],
        normalise=options["normalise"],
        compensation=options["compensate"],
        batch_size=options["batch_size"],
        seed=options["seed"],
        tokens=options["tokens"],
    ).check()


def _scope(name: str) -> Scope:
    return get_scope(name.strip())


def _layers(text: str) -> frozenset[int]:
    parts = text.replace(",", " ").split()
    wrong = next((part for part in parts if not part.isdecimal()), None)
    if wrong is not None:
        raise PlanError(f'{wrong!r} is not a layer: write their numbers from 0, like "0,5"')
    return frozenset(map(int, parts))


def _lines(plan: Plan, model: LoadedModel) -> list[str]:
    anatomy, after = model.anatomy, plan.predicted
    wholes = {"heads": anatomy.total_heads, "neurons": sum(block.neurons for block in anatomy.blocks)}
    wholes["layers"] = len(anatomy.layers)
    lines = [f"{scope:10} {getattr(after, scope):,} of {wholes[scope]:,} stay" for scope in plan.scopes]
    lines.append(f"predicted  {_figures(after.parameters, after.macs, after.tokens)}")
    if after.latency_ms is not None:
        lines.append(f"latency    {after.latency_ms:.2f} ms for one input, by the table of this machine")
    if plan.budget and after.share is not None:
        lines.append(f"budget     {plan.budget}: {after.share:.1%} of the {plan.budget.kind} would be left")
    if plan.guarantee:
        lines.append(plan.guarantee.message)
    how = "" if plan.strategy == plan.criterion else f" by {plan.criterion}"
    lines.append(f"{plan.strategy}{how} · {plan.samples:,} examples · {plan.seconds:.1f} s")
    return [*lines, *map(str, plan.notes)]


def _figures(parameters: int, macs: int, tokens: int) -> str:
    return f"{parameters:,} parameters, {macs:,} MACs" + (f" for {tokens} tokens" if tokens else "")


def read_plan(path: str | None) -> Plan | None:
    """The plan in a file that is known to hold a mask; ``None`` where it holds no more than that."""
    import json
    from pathlib import Path

    if path is None:
        return None
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    return Plan.from_json(value) if is_plan(value) else None


def tell_reached(plan: Plan, model: LoadedModel, pruned: PrunedModel) -> tuple[dict[str, Any], list[str]]:
    """What the plan predicted and what the cut model really has, as JSON and in lines."""
    from dataclasses import asdict

    from pruning.plan import reached

    done = reached(plan, model, pruned)
    assert done.reached is not None
    lines = [
        f"predicted by the plan: {_figures(done.predicted.parameters, done.predicted.macs, done.predicted.tokens)}",
        f"reached by the cut: {_figures(done.reached.parameters, done.reached.macs, done.reached.tokens)}",
        *map(str, plan.fit(model)),
    ]
    return {"predicted": asdict(done.predicted), "reached": asdict(done.reached)}, lines
