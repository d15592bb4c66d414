"""From a mask to a smaller model: weights really gone, on a copy, and checked against the masked original."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from pruning.anatomy import Anatomy
from pruning.copying import twin_of, with_own_weights
from pruning.errors import PruningError, UnsupportedError, first_line, message_of
from pruning.gating import check_support, gates_set, install, mask_gates, refits_set
from pruning.inputs import dry_run_inputs, outputs
from pruning.language import Later, later
from pruning.masks import HeadId, Mask
from pruning.surgery.heads import LAYOUTS, Layout, cut_heads
from pruning.surgery.layers import bypass_layers, cut_layers, removed_by_list
from pruning.surgery.neurons import cut_neurons
from pruning.wiring import Wiring, find_wiring

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 5e-2, torch.float16: 5e-3}  # of the largest output
PER_LAYER = re.compile(r"(hidden_states|attentions)(\.\d+)+$")  # there may be fewer afterwards
CHECKED_TOKENS = (11, 3, 17)  # not the length at which the wiring was found


@dataclass(frozen=True, eq=False)
class PrunedModel:
    """A smaller copy of a model.

    Attributes:
        mask: What was removed, in the coordinates of the original.
        parameters: Of the copy.
        difference: Largest difference between the masked original's outputs and the copy's, relative to the largest
            output where that is above one.
        layout: ``compact`` (or ``configured``) where dead heads are no longer computed in any form, ``padded`` where
            their weights are gone and zeros stand in their places, ``columns`` where only the projection lost weights.
        removed_layers: Path of each list that lost layers, and the indices that went.
        notes: What the user should know about this cut, in sentences.
        compensation: The other numbers that its projections have.
        recovery: What was changed after the cut, such as training, in words; ``difference`` is that of the cut alone.
    """

    module: nn.Module
    mask: Mask
    parameters: int
    difference: float
    layout: Layout = "compact"
    removed_layers: dict[str, list[int]] = field(default_factory=dict)
    notes: tuple[str | Later, ...] = ()
    compensation: Compensation | None = None
    recovery: str = ""


def prune(
    model: LoadedModel, mask: Mask, layouts: Sequence[Layout] = LAYOUTS, compensation: Compensation | None = None
) -> PrunedModel:
    """Cut the masked heads, neurons and layers out of a copy of the model.

    The copy is run beside the masked original on inputs made from the configuration; they must agree.

    Under grouped-query attention a key and value go when all heads that share them go. A mask may cut inside a group,
    too: then the query and output weights of the dead heads go, and their attention is still computed, on zeros.

    Args:
        layouts: The ways to cut that are tried, in this order; see `pruning.surgery.heads`.
        compensation: Other numbers for the projections, which the masked original is run with, too.

    Raises:
        MaskError: The mask does not fit the model.
        UnsupportedError: The weights of single heads cannot be told apart, or no way to cut gives the masked model's
            output.
    """
    mask.check(model.anatomy)
    check_support(model.anatomy, mask)
    wiring = find_wiring(model) if mask.heads or mask.neurons else Wiring()
    wiring.require(model.anatomy.sites[index] for index in sorted({head.site for head in mask.heads}))
    done = cut(model.module, model.anatomy, wiring, mask, CHECKED_TOKENS, layouts, compensation)
    module = with_own_weights(done.twin)
    removed = {} if done.emptied else removed_by_list(model.anatomy, mask.layers)
    parameters = sum(p.numel() for p in module.parameters())
    if parameters > model.anatomy.parameters:
        raise UnsupportedError(
            "this cut makes the model larger ({before:,} parameters before, {parameters:,} after): several layers "
            "share their weights, so remove the same parts from each",
            before=model.anatomy.parameters,
            parameters=parameters,
        )
    notes = (*_notes(model.anatomy, mask, done), *([compensation.words] if compensation else []))
    return PrunedModel(module, mask, parameters, done.difference, done.layout, removed, notes, compensation)


@dataclass(frozen=True, eq=False)
class Cut:
    """A smaller twin that shares the uncut weights with the original.

    Attributes:
        emptied: Layers keep their places in their lists, without weights, instead of being taken out.
    """

    twin: nn.Module
    layout: Layout
    emptied: bool
    difference: float


def cut(
    module: nn.Module,
    anatomy: Anatomy,
    wiring: Wiring,
    mask: Mask,
    lengths: Sequence[int] = CHECKED_TOKENS[:1],
    layouts: Sequence[Layout] = LAYOUTS,
    compensation: Compensation | None = None,
) -> Cut:
    """Cut in the first way that gives the masked model's output.

    Args:
        lengths: Of the inputs that masked and cut model are compared on.

    Raises:
        UnsupportedError: None does.
    """
    installation = install(module, anatomy)
    gates = mask_gates(installation, anatomy, mask, next(module.parameters()).device)
    refits = compensation.by_slot(installation) if compensation else {}
    with torch.no_grad(), gates_set(gates), refits_set(refits):
        inputs, expected = _answers(module, lengths)
    reason: str | Later = ""
    for emptied, layout in itertools.product((False, True) if mask.layers else (False,), layouts):
        twin = twin_of(module)
        try:
            with torch.no_grad():
                if compensation:
                    compensation.write(twin, anatomy)
                _cut_parts(twin, module, anatomy, wiring, mask, layout)
                _cut_layers(twin, module, anatomy, mask, emptied=emptied)
                found = [outputs(twin, one) for one in inputs]
            difference = max(largest_difference(a, b) for a, b in zip(found, expected, strict=True))
        except Exception as error:  # the code of any architecture may fail in any way when its weights are cut
            said = message_of(error) if isinstance(error, PruningError) else first_line(error, 160)
            reason = reason or later("it does not run afterwards ({error})", error=said)
            continue
        if difference <= TOLERANCE.get(next(module.parameters()).dtype, 1e-5):
            return Cut(twin, layout, emptied, difference)
        reason = later("its output differs by {difference:.1e} from the masked model's", difference=difference)
    raise UnsupportedError("{model} cannot be cut like this: {reason}", model=type(module).__name__, reason=reason)


def _answers(
    module: nn.Module, lengths: Sequence[int]
) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, torch.Tensor]]]:
    """Inputs of these lengths and what the model gives for them; one where inputs have one size, such as images."""
    inputs: list[dict[str, torch.Tensor]] = []
    answers: list[dict[str, torch.Tensor]] = []
    for length in lengths:
        one = dry_run_inputs(module, length)
        if any(all(one[name].shape == other[name].shape for name in one) for other in inputs):
            continue
        try:
            answers.append(outputs(module, one))
        except Exception:  # an architecture may need more tokens than this
            if not answers:
                raise
            continue
        inputs.append(one)
    return inputs, answers


def _cut_parts(
    twin: nn.Module, original: nn.Module, anatomy: Anatomy, wiring: Wiring, mask: Mask, layout: Layout
) -> None:
    """Heads and neurons, by the paths of the original; those of layers that go anyway are left alone."""
    sites = {site for layer in mask.layers for site in anatomy.layers[layer].sites}
    blocks = {block for layer in mask.layers for block in anatomy.layers[layer].blocks}
    cut_heads(twin, anatomy, wiring, {h for h in mask.heads if h.site not in sites}, layout)
    cut_neurons(twin, anatomy, wiring, {n for n in mask.neurons if n.block not in blocks}, layout)
    _tie_again(original, twin)


def _tie_again(original: nn.Module, twin: nn.Module) -> None:
    """Let weights that were one, and were cut alike in several places, be one again."""
    names: dict[int, list[str]] = {}
    for name, parameter in original.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    for first, *others in names.values():
        kept = twin.get_parameter(first) if others else None
        for name in others:
            parameter = twin.get_parameter(name)
            if kept is not None and parameter is not kept and torch.equal(parameter, kept):
                owner, _, attribute = name.rpartition(".")
                setattr(twin.get_submodule(owner), attribute, kept)


def _cut_layers(twin: nn.Module, original: nn.Module, anatomy: Anatomy, mask: Mask, *, emptied: bool) -> None:
    if emptied:
        bypass_layers(twin, original, [anatomy.layers[index].name for index in sorted(mask.layers)])
    else:
        cut_layers(twin, removed_by_list(anatomy, mask.layers))


def largest_difference(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    """Over all outputs but those of single layers; each relative to its largest value where that is above one."""
    worst = 0.0
    for name, value in expected.items():
        if PER_LAYER.search(name):
            continue
        if name not in found or found[name].shape != value.shape:
            raise ValueError(f"the output {name} is missing or has another shape")
        if value.numel():
            a, b = found[name].float(), value.float()
            both = torch.isfinite(a) & torch.isfinite(b)  # masked logits are minus infinity in both
            if not torch.equal(a[~both].nan_to_num(), b[~both].nan_to_num()):
                return float("inf")
            scale = max(1.0, float(b[both].abs().max())) if both.any() else 1.0
            worst = max(worst, float((a[both] - b[both]).abs().max()) / scale if both.any() else 0.0)
    return worst


def _notes(anatomy: Anatomy, mask: Mask, done: Cut) -> tuple[Later, ...]:
    notes, layout = [], done.layout
    if done.emptied:
        notes.append(later("the layers keep their places, emptied, because the code around them counts layers"))
    if layout == "columns":
        notes.append(
            later("only columns of the last projections are gone: what feeds these heads or neurons feeds others, too")
        )
    if layout == "padded" and mask.heads:
        notes.append(
            later(
                "the weights of the heads are gone, but zeros stand in their places: their attention is still computed"
            )
        )
    split = [site for site in anatomy.sites if any(0 < len(_gone(mask, site.index, g)) < len(g) for g in site.groups)]
    if split and layout in ("compact", "configured"):
        notes.append(
            later(
                "{count} site(s) lose part of a key-value group: the shared key and value stay, and the attention of "
                "the removed heads is still computed, on zeros",
                count=len(split),
            )
        )
    return tuple(notes)


def _gone(mask: Mask, site: int, heads: tuple[int, ...]) -> list[int]:
    return [head for head in heads if HeadId(site, head) in mask.heads]
