"""The checks of one model type: what was found, and whether masks, cuts, checkpoints and generation are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import nn

from pruning.anatomy import Anatomy
from pruning.conformance.check import Check, Part, guarded, one_line
from pruning.conformance.cuts import check_cut, check_reload, masks_of
from pruning.conformance.gates import check_gates, nothing_missed
from pruning.conformance.generation import check_generation
from pruning.conformance.oracle import Values, difference, example_inputs, values_of
from pruning.conformance.tiny import tiny_model
from pruning.errors import PruningError
from pruning.inputs import dry_run_inputs
from pruning.models import wrap_model
from pruning.surgery import PrunedModel
from pruning.unreached import NO_HEADS

Section = tuple[str, Any]
# Types whose modules only look like attention, by their names or by a softmax: there is no head to find in them.
HEADLESS = {
    "rwkv": "what it calls attention is a recurrence over time, one weight for each channel: it has no heads",
    "patchtsmixer": "what it calls attention is a softmax gate over features, without heads; attention proper is off",
    "mobilevitv2": "its attention sums all positions into one context vector, weighed alike for all channels: no heads",
}


def examine(model_type: str) -> Iterator[Section]:
    """Build a tiny model of a type and check everything; each section of the result as soon as it is known.

    The section ``doing`` says what comes next: when a process is stopped, that is where.
    """
    yield "doing", "building"
    try:
        module = tiny_model(model_type)
    except PruningError as error:
        yield "outcome", "not built"
        yield "reason", one_line(error).removeprefix(f"{model_type}: ")
        return
    yield "class", type(module).__name__
    yield from examine_module(module, model_type)


def examine_module(module: nn.Module, name: str) -> Iterator[Section]:
    """The checks of a model that is built, section by section; the last ones are the outcome and its reason."""
    yield "doing", "describing"
    model = wrap_model(module, name=name)
    anatomy = model.anatomy
    yield "found", what_was_found(anatomy)
    if not anatomy.sites:
        missed = nothing_missed(model, dry_run_inputs(module))
        yield "gate", {"complete": missed.to_json()}
        if name in HEADLESS:
            yield "outcome", "no attention"
            yield "reason", HEADLESS[name]
            return
        is_without = missed.status == "right" and anatomy.reason == NO_HEADS
        yield "outcome", "no attention" if is_without else "partly"
        yield "reason", f"gate complete: {missed.reason}" if missed.reason else str(anatomy.reason)
        return
    yield "doing", "masking"
    inputs = example_inputs(module)
    plain = values_of(module, inputs)
    done: dict[str, Check] = {}
    gates = check_gates(model, inputs)
    done |= {f"gate {what}": check for what, check in gates.items()}
    yield "gate", {what: check.to_json() for what, check in gates.items()}
    cuts: dict[str, Any] = {}
    copies: dict[str, PrunedModel | None] = {}
    for what, mask in masks_of(anatomy).items():
        yield "doing", f"cutting {what}"
        done[f"cut {what}"], copies[what] = check_cut(model, what, mask, inputs)
        cuts[what] = done[f"cut {what}"].to_json()
        yield "cut", cuts
    yield "doing", "saving and reloading"
    done["reload"] = guarded(lambda: check_reload(model, inputs))
    yield "reload", done["reload"].to_json()
    yield "doing", "generating"
    done["generation"] = guarded(lambda: check_generation(model, copies["together"] or copies["heads"]))
    yield "generation", done["generation"].to_json()
    done["untouched"] = guarded(lambda: _untouched(module, inputs, plain))
    yield "untouched", done["untouched"].to_json()
    outcome, reason = sum_up(done)
    yield "outcome", outcome
    yield "reason", reason


def what_was_found(anatomy: Anatomy) -> dict[str, Any]:
    """Counts of everything, the support levels of each kind, and the distinct reasons for what is missing."""
    parts: dict[str, Sequence[Part]] = {"heads": anatomy.sites, "neurons": anatomy.blocks, "layers": anatomy.layers}
    return {
        "sites": len(anatomy.sites),
        "kinds": dict(Counter(site.kind for site in anatomy.sites)),
        "heads": anatomy.total_heads,
        "grouped": any(site.kv_heads != site.heads for site in anatomy.sites),
        "blocks": len(anatomy.blocks),
        "layers": len(anatomy.layers),
        "support": {what: dict(Counter(part.support for part in some)) for what, some in parts.items()},
        "layout": sorted({site.layout for site in anatomy.sites}),
        "reasons": {what: reasons for what, some in parts.items() if (reasons := _reasons(some))},
        "reason": str(anatomy.reason),
    }


def _reasons(parts: Iterable[Part]) -> list[str]:
    return list(dict.fromkeys(str(part.reason) for part in parts if part.reason))


def _untouched(module: nn.Module, inputs: Values, plain: Values) -> Check:
    """After everything, the original must still be what it was."""
    worst = difference(values_of(module, inputs), plain)
    return Check("right" if worst == 0 else "wrong", worst, 1, "the original has changed" * (worst > 0))


def sum_up(checks: dict[str, Check]) -> tuple[str, str]:
    """One word for all checks, and the first reason why it is not ``right``."""
    for word, statuses in (("wrong", ("wrong",)), ("partly", ("unsupported", "partly"))):
        for name, check in checks.items():
            if check.status in statuses:
                return word, f"{name}: {check.reason}"
    return "right", ""
