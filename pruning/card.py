"""What is told of an export: the model card (what was removed and how, how to load it), and a summary to read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.language import speaking
from pruning.wording import english

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.export import Exported
    from pruning.models import LoadedModel
    from pruning.surgery import PrunedModel


@dataclass(frozen=True)
class Story:
    """What the card tells besides the cut itself.

    Attributes:
        plan: The plan file that the mask came from, as read.
        command: The command that makes the folder again.
        data: What was evaluated on, in words.
        before: Evaluation of the original.
        after: Evaluation of the pruned model.
    """

    plan: dict[str, Any] | None = None
    command: str = ""
    data: str = ""
    before: Evaluation | None = None
    after: Evaluation | None = None


@speaking("en")  # it belongs to the checkpoint, whoever made it
def model_card(model: LoadedModel, pruned: PrunedModel, story: Story, classes: tuple[str, ...], ordinary: bool) -> str:
    """The card in Markdown."""
    own = usual_class(classes)
    before = model.anatomy.parameters
    share = 100 * (before - pruned.parameters) / before
    parts = [
        f"# {Path(model.spec.name).name}, {what_was_removed(model, pruned)} removed",
        f"{before:,} parameters before, {pruned.parameters:,} after ({share:.1f}% fewer). {_equals(pruned)} that of "
        f"the original with these parts masked (largest difference {pruned.difference:.1e}, on inputs made from the "
        "configuration).",
        _loading(own, ordinary),
        _origin(story),
        _metrics(story),
        _table(model, pruned),
        *(f"Note: {note}." for note in pruned.notes),
    ]
    if story.command:
        parts.append(f"Made again by:\n\n```sh\n{story.command}\n```")
    return "\n\n".join(part for part in parts if part) + "\n"


def summary(model: LoadedModel, written: Exported, story: Story) -> tuple[dict[str, Any], list[str]]:
    """What was done, as JSON and as lines to read."""
    before, pruned = model.anatomy.parameters, written.pruned
    value: dict[str, Any] = {
        "folder": str(written.folder),
        "difference": pruned.difference,
        "reload_difference": written.reload_difference,
        "layout": pruned.layout,
        "notes": list(map(english, pruned.notes)),
        "compensation": pruned.compensation.method if pruned.compensation else "none",
        "recovery": pruned.recovery,
        "parameters": {"before": before, "after": pruned.parameters},
        "size_bytes": written.size_bytes,
        "auto_classes": list(written.auto_classes),
        "ordinary": written.ordinary,
        "mask": pruned.mask.to_json(),
        "restored": [],
    }
    trust = "" if written.ordinary else ", trust_remote_code=True"
    lines = [
        f"{what_was_removed(model, pruned)} cut out: {before:,} parameters before, {pruned.parameters:,} after",
        f"masked against pruned: largest difference {pruned.difference:.1e}",
        f"written to {written.folder} and reloaded: difference {written.reload_difference:.1e}",
        f"load it with {usual_class(written.auto_classes)}.from_pretrained(...{trust})",
        *(f"note: {note}" for note in pruned.notes),
    ]
    if story.before is not None and story.after is not None:
        pairs = {"before": story.before.metrics, "after": story.after.metrics}
        value["metrics"] = {when: {n: asdict(m) for n, m in metrics.items()} for when, metrics in pairs.items()}
        for name, new in story.after.metrics.items():
            old = story.before.metrics[name]
            lines.append(f"{name}: {old.value:.4g} before, {new.value:.4g} ({new.low:.4g} to {new.high:.4g}) after")
    if written.onnx:
        shape = english(written.onnx.checked_shape)
        value["onnx"] = asdict(written.onnx) | {"path": str(written.onnx.path), "checked_shape": shape}
        lines.append(
            f"{written.onnx.path.name}: onnxruntime against torch, largest difference {written.onnx.difference:.1e} "
            f"({shape})"
        )
    return value, lines


def usual_class(classes: tuple[str, ...]) -> str:
    """The Auto class that people would take: for a task rather than for pre-training or none."""
    rare = ("AutoModel", "AutoModelForPreTraining")
    return next((name for name in classes if name not in rare), classes[-1])


def what_was_removed(model: LoadedModel, pruned: PrunedModel) -> str:
    """``3 of 72 attention heads, 12 of 9,216 neurons``."""
    anatomy, mask = model.anatomy, pruned.mask
    counts = (
        (len(mask.heads), anatomy.total_heads, "attention heads"),
        (len(mask.neurons), sum(block.neurons for block in anatomy.blocks), "neurons"),
        (len(mask.layers), len(anatomy.layers), "layers"),
    )
    return ", ".join(f"{gone:,} of {total:,} {noun}" for gone, total, noun in counts if gone) or "nothing"


def _equals(pruned: PrunedModel) -> str:
    return (
        f"It was changed after the cut: {pruned.recovery}. Before that, its output was"
        if pruned.recovery
        else "The output equals"
    )


def _loading(auto: str, ordinary: bool) -> str:
    trust = "" if ordinary else ", trust_remote_code=True"
    code = f'```python\nfrom transformers import {auto}\n\nmodel = {auto}.from_pretrained("this folder"{trust})\n```'
    if ordinary:
        return f"{code}\n\nIt is an ordinary checkpoint and needs no code of its own."
    return f"{code}\n\nThe code that is trusted is `modeling_headroom.py`, which gives the layers their new shapes."


def _origin(story: Story) -> str:
    plan = story.plan or {}
    told = {name: plan[name] for name in ("criterion", "strategy", "data", "budget", "seed") if plan.get(name)}
    if not told:
        return "The parts were chosen by hand, or by a mask file that does not say how."
    return "How the parts were chosen: " + ", ".join(f"{name} `{value}`" for name, value in told.items()) + "."


def _metrics(story: Story) -> str:
    if story.before is None or story.after is None:
        return "It was not evaluated on data."
    rows = [
        f"| {name} | {_interval(old)} | {_interval(story.after.metrics[name])} |"
        for name, old in story.before.metrics.items()
        if name in story.after.metrics
    ]
    head = f"Measured on {story.data}, {story.after.samples:,} examples; 95% intervals in brackets."
    return "\n".join([head, "", "| metric | before | after |", "|---|---|---|", *rows])


def _interval(metric: Any) -> str:
    known = math.isfinite(metric.low) and math.isfinite(metric.high)
    interval = f"{metric.low:.4g} to {metric.high:.4g}" if known else "no interval"
    return f"{metric.value:.4g} ({interval})"


def _table(model: LoadedModel, pruned: PrunedModel) -> str:
    """What each part lost; parts that lost nothing are left out."""
    mask, anatomy = pruned.mask, model.anatomy
    rows = [f"| layer {i} | `{anatomy.layers[i].name}` | all of it |" for i in sorted(mask.layers)]
    for kind, parts, gone, size in (
        ("heads", anatomy.sites, mask.heads, lambda site: site.heads),
        ("neurons", anatomy.blocks, mask.neurons, lambda block: block.neurons),
    ):
        rows += _rows(kind, parts, gone, size)
    return "\n".join(["| part | module | removed |", "|---|---|---|", *rows])


def _rows(kind: str, parts: Any, gone: Any, size: Callable[[Any], int]) -> list[str]:
    rows = []
    for part in parts:
        lost = sorted(unit for index, unit in gone if index == part.index)
        if lost:
            named = ", ".join(map(str, lost)) if len(lost) <= 16 else "see `mask.json`"
            rows.append(f"| {kind} {part.index} | `{part.name}` | {len(lost)} of {size(part)}: {named} |")
    return rows
