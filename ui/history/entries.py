"""Finished work as records. No streamlit here, and no torch: all is counted already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pruning.anatomy import Anatomy
from pruning.history.records import Record
from pruning.masks import Mask
from pruning.scopes import SCOPES
from pruning.search.budget import left
from pruning.statistics import Estimate
from ui.removed import counts

if TYPE_CHECKING:
    from pruning.evaluation import Comparison, Evaluation
    from pruning.models import LoadedModel
    from ui.measuring import Live
    from ui.recovery_values import Outcome, Rows, Trained
    from ui.sweeps import Swept

CHOSEN_ON = "chosen_on"  # a number of a sweep: fingerprint of the rows that chose
CHANGE = " change"  # after the name of a metric: its paired difference with the unpruned model


def entry(
    kind: str,
    session: str,
    model: LoadedModel,
    data: str,
    mask: Mask,
    *,
    settings: Mapping[str, Any],
    numbers: Mapping[str, Any],
    seconds: float,
    data_fingerprint: str = "",
    name: str = "",
    points: tuple[dict[str, Any], ...] = (),
) -> Record:
    """A record of one session; what the mask removes of the model is counted and noted with the numbers."""
    counted = {"removed": removed(model.anatomy, mask), "heads_per_site": list(model.anatomy.heads_per_site)}
    return Record(
        kind, session, model.spec.name, model.fingerprint, data, data_fingerprint, mask, dict(settings),
        counted | dict(numbers), seconds, name, points=points,
    )  # fmt: skip


def removed(anatomy: Anatomy, mask: Mask) -> dict[str, list[int]]:
    """What is gone of how many, by scope; what lies in a removed layer counts."""
    stay, whole = left(anatomy, mask), counts(anatomy)
    return {scope: [whole[scope] - stay[scope], whole[scope]] for scope in SCOPES if whole[scope]}


def estimates(evaluation: Evaluation, change: Comparison | None = None) -> dict[str, Any]:
    """All metrics with their intervals, and how they differ from the unpruned model."""
    found: dict[str, Any] = {name: one.to_json() for name, one in evaluation.metrics.items()}
    if change is not None:
        found |= {name + CHANGE: one.to_json() for name, one in change.differences.items()}
    return found | {"samples": evaluation.samples}


def of_evaluation(session: str, model: LoadedModel, data: str, mask: Mask, method: str, live: Live) -> Record:
    """A mask on all evaluation rows."""
    return entry(
        "evaluation", session, model, data, mask, settings={"compensation": method if mask else "none"},
        numbers=estimates(live.after, live.comparison if mask else None), seconds=live.after.seconds,
        data_fingerprint=live.after.data,
    )  # fmt: skip


# Sweeps ----------------------------------------------------------------------------------------------------------


def of_sweep(session: str, model: LoadedModel, data: str, swept: Swept, seconds: float) -> Record:
    """A finished sweep: the smallest plan without a clear loss stands for it."""
    settings = asdict(swept.settings) if swept.settings is not None else {}
    row = smallest(swept.rows)
    numbers: dict[str, Any] = {"points": len(swept.rows)}
    mask = Mask.from_code(str(row["mask"]))
    numbers |= {name: one.to_json() for name, one in estimates_of(row).items()} | {"samples": int(row["samples"])}
    settings |= {"chosen": {name: row[name] for name in ("criterion", "strategy", "compensation")}}
    settings["compensation"] = row["compensation"]
    numbers |= {CHOSEN_ON: swept.chosen_on} if swept.chosen_on else {}
    return entry(
        "sweep", session, model, data, mask, settings=settings, numbers=numbers, seconds=seconds,
        data_fingerprint=str(row["data"]), points=swept.rows,
    )  # fmt: skip


def smallest(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The row with the fewest operations whose loss is not clearly above the unpruned model's.

    The whole model is one of the rows, so that there always is one; where it is not, it is the first row.
    """
    unclear = [row for row in rows if row.get("loss_change_low", 0.0) <= 0]
    return min(unclear or rows[:1], key=lambda row: row["macs"])


def estimates_of(row: Mapping[str, Any]) -> dict[str, Estimate]:
    """The metrics of a row of a sweep, and their changes."""
    found = {}
    for name in row:
        ends = (name, f"{name}_low", f"{name}_high")
        if all(isinstance(row.get(end), int | float) for end in ends):
            found[name.replace("_change", CHANGE)] = Estimate(*(float(row[end]) for end in ends))
    return found


# Recovery --------------------------------------------------------------------------------------------------------


def of_training(session: str, model: LoadedModel, trained: Trained, rows: Rows) -> Record:
    """A training that has ended; its measurement comes later and is noted in the same record."""
    asked, found = trained.asked, trained.recovered
    settings = {"recovery": asked.method, "compensation": asked.compensation, "cuts": asked.cuts}
    settings |= asdict(asked.settings)
    numbers = {"steps": found.steps, "training rows": found.rows[0], "held-out loss": found.best.held_out_loss}
    return entry(
        "recovery", session, model, trained.data, asked.mask, settings=settings, numbers=numbers,
        seconds=found.seconds, data_fingerprint=rows.measure.fingerprint,
    )  # fmt: skip


def of_recovery(session: str, model: LoadedModel, trained: Trained, rows: Rows, outcome: Outcome) -> Record:
    """The same training, measured."""
    record, pruned = of_training(session, model, trained, rows), outcome.pruned.evaluation
    record.numbers.update(estimates(outcome.recovered.evaluation, outcome.recovered.change))
    record.numbers.update({f"{name} before training": one.to_json() for name, one in pruned.metrics.items()})
    return record
