"""Is cutting right? Uneven masks, the masked original against the cut copy, in every way in which the model can run."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pruning.anatomy import Anatomy
from pruning.conformance.check import Check, Part, guarded, one_line, reason_of, short_of
from pruning.conformance.oracle import (
    Values,
    attending_with,
    difference,
    has_nan,
    padded_inputs,
    real_tokens,
    values_of,
    without_recorded,
)
from pruning.export import export_checkpoint
from pruning.gating import gated
from pruning.masks import HeadId, Mask, NeuronId
from pruning.models import LoadedModel
from pruning.surgery import PrunedModel, prune

TOLERANCE = 1e-5  # the same sums in another order, of the largest output where that is above one


# Masks ------------------------------------------------------------------------------------------------------------


def masks_of(anatomy: Anatomy) -> dict[str, Mask]:
    """What is cut: heads, neurons, one layer, and all three together; only what the engine says that it can cut."""
    heads, neurons, layers = heads_mask(anatomy), neurons_mask(anatomy), layers_mask(anatomy)
    return {"heads": heads, "neurons": neurons, "layers": layers, "together": heads | neurons | layers}


def heads_mask(anatomy: Anatomy) -> Mask:
    """Whole key-value groups, another number of them in each site; all of a site only where that is one group."""
    chosen: set[HeadId] = set()
    for order, site in enumerate(site for site in anatomy.sites if site.support == "prune"):
        count = 1 + order % max(1, site.kv_heads - 1)
        for group in random.Random(site.index).sample(site.groups, count):
            chosen |= {HeadId(site.index, head) for head in group}
    return Mask(frozenset(chosen))


def neurons_mask(anatomy: Anatomy) -> Mask:
    """Another share of the neurons in each block: a half, a third, a quarter."""
    chosen: set[NeuronId] = set()
    for order, block in enumerate(block for block in anatomy.blocks if block.support == "prune"):
        picked = random.Random(block.index).sample(range(block.neurons), block.neurons // (2 + order % 3))
        chosen |= {NeuronId(block.index, neuron) for neuron in picked}
    return Mask(neurons=frozenset(chosen))


def layers_mask(anatomy: Anatomy) -> Mask:
    """The last layer that can go and is not the only one of its stack."""
    stacks = Counter(layer.name.rpartition(".")[0] for layer in anatomy.layers)
    able = [layer for layer in anatomy.layers if layer.support == "prune" and stacks[layer.name.rpartition(".")[0]] > 1]
    return Mask(layers=frozenset(layer.index for layer in able[-1:]))


# Cutting ----------------------------------------------------------------------------------------------------------


def check_cut(model: LoadedModel, what: str, mask: Mask, inputs: Values) -> tuple[Check, PrunedModel | None]:
    """Cut a mask out and compare.

    Args:
        what: A name of `masks_of`.
    """
    anatomy = model.anatomy
    groups: dict[str, tuple[Part, ...]] = {"heads": anatomy.sites, "neurons": anatomy.blocks, "layers": anatomy.layers}
    parts = groups.get(what, anatomy.sites)
    if short := short_of(parts, "prune", what):
        return short, None
    if not mask:
        return Check("skipped", reason="each stack has one layer only"), None
    try:
        pruned = prune(model, mask)
    except Exception as error:
        return Check("wrong", reason=one_line(error)), None
    check = guarded(lambda: compare(model, pruned, inputs))
    if check.status == "right" and any(part.support != "prune" for part in parts):
        check = replace(check, status="partly", reason=reason_of(parts))
    return check, pruned


def compare(model: LoadedModel, pruned: PrunedModel, inputs: Values) -> Check:
    """The masked original against the cut copy, under both implementations of attention, with and without padding."""
    runs: dict[str, float] = {}
    notes: dict[str, str] = {}
    for name in ("sdpa", "eager"):
        with attending_with(name, model.module, pruned.module) as is_possible:
            if is_possible:
                _run_both(model, pruned, inputs, name, runs, notes)
    if not runs and not notes:
        _run_both(model, pruned, inputs, "its own attention", runs, notes)
    worst = max(runs.values(), default=None)
    more: dict[str, Any] = {
        "runs": runs,
        "layout": pruned.layout,
        "parameters": [model.anatomy.parameters, pruned.parameters],
    }
    more |= {"notes": notes} if notes else {}
    if worst is None:
        return Check("wrong", None, 0, next(iter(notes.values()), "nothing could be compared"), more)
    if worst > TOLERANCE:
        run = max(runs, key=runs.__getitem__)
        return Check("wrong", worst, len(runs), f"differs by {worst:.1e} from the masked model ({run})", more)
    if pruned.parameters >= model.anatomy.parameters:
        return Check("wrong", worst, len(runs), "the copy has no fewer parameters", more)
    return Check("right", worst, len(runs), "", more)


def _run_both(
    model: LoadedModel, pruned: PrunedModel, inputs: Values, name: str, runs: dict[str, float], notes: dict[str, str]
) -> None:
    padded = padded_inputs(inputs)
    for run, given in {name: inputs, f"{name}, padded": padded}.items():
        if given is None:
            continue
        try:
            with gated(model, pruned.mask):
                expected = real_tokens(values_of(model.module, given), given)
        except Exception as error:
            notes[run] = f"the original does not run: {one_line(error)}"
            continue
        if has_nan(expected):
            notes[run] = "the original gives NaN"
            continue
        try:
            found = real_tokens(values_of(pruned.module, given), given)
        except Exception as error:
            raise RuntimeError(f"the copy does not run ({run}): {one_line(error)}") from error
        recorded = "hidden_states|attentions" if pruned.mask.layers else "attentions"  # of which the copy has fewer
        expected = without_recorded(expected, recorded)
        runs[run] = difference(found, expected, relative=True)


# Saving -----------------------------------------------------------------------------------------------------------


def check_reload(model: LoadedModel, inputs: Values) -> Check:
    """Write a checkpoint without some heads and neurons, load it through its Auto class and compare."""
    import transformers

    mask = heads_mask(model.anatomy) | neurons_mask(model.anatomy)
    if not mask:
        return Check("skipped", reason="nothing can be cut")
    cut = prune(model, mask)
    with tempfile.TemporaryDirectory(prefix="headroom-conformance-") as folder:
        path = Path(folder) / f"pruned-{model.spec.name}"
        written = export_checkpoint(model, cut, path)
        pruned = written.pruned
        auto = written.auto_classes[-1]  # AutoModel, which may give the inner model, comes first
        reloaded = getattr(transformers, auto).from_pretrained(path, trust_remote_code=True)
        reloaded.eval().requires_grad_(False)
        weights, stored = pruned.module.state_dict(), reloaded.state_dict()
        changed = [name for name in weights if name not in stored or not torch.equal(weights[name], stored[name])]
        reloaded.load_state_dict(weights, assign=True)  # where a tensor lies in memory decides how sums are rounded
        found = difference(values_of(reloaded, inputs), values_of(pruned.module, inputs))
    worst = max(found, written.reload_difference)
    more = {"auto_class": auto, "ordinary": written.ordinary}
    reason = f"{changed[0]} is not the same when reloaded" if changed else "" if worst == 0 else "the outputs differ"
    return Check("wrong" if reason else "right", worst, 1, reason, more)
