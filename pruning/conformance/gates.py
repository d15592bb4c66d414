"""Is masking right? Headroom's gates against hooks of the checks' own, which must do exactly the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import nn

from pruning.anatomy import AttentionSite, Layer, MLPSite
from pruning.conformance.check import Check, Part, guarded, one_line, reaches, reason_of, short_of
from pruning.conformance.oracle import (
    Values,
    attention_seen,
    attention_zeroed,
    columns_zeroed,
    difference,
    inputs_seen,
    layer_skipped,
    values_of,
)
from pruning.gating import gated, gates_set, install
from pruning.masks import HeadId, Mask, NeuronId
from pruning.models import LoadedModel

TOLERANCE = 1e-5  # of layers alone: the same values may lie in memory in another order, and are rounded otherwise then
MOST_PARTS = 24  # that are looked at one by one, spread evenly where a model has more
P = TypeVar("P", bound=Part)
ByHand = Callable[[nn.Module, Any, Mask], AbstractContextManager[None]]


def check_gates(model: LoadedModel, inputs: Values) -> dict[str, Check]:
    """Gates of one, of heads, of neurons and of layers; and whether heads are what torch calls heads."""
    anatomy = model.anatomy
    plain = values_of(model.module, inputs)
    kinds: tuple[tuple[str, Sequence[Part], Callable[[Any], Mask], Callable[[Any], Mask], ByHand], ...] = (
        ("heads", anatomy.sites, one_head, every_head, _heads_zeroed),
        ("neurons", anatomy.blocks, some_neurons, every_neuron, _neurons_zeroed),
        ("layers", anatomy.layers, whole_layer, whole_layer, _layer_skipped),
    )
    found = {"ones": guarded(lambda: _ones(model, inputs, plain))}
    for noun, parts, some, every, by_hand in kinds:
        found[noun] = short_of(parts, "gate", noun) or _each(model, inputs, plain, parts, some, every, by_hand)
    found["attention"] = guarded(lambda: _heads_of_torch(model, inputs))
    found["complete"] = guarded(lambda: nothing_missed(model, inputs))
    return found


def _ones(model: LoadedModel, inputs: Values, plain: Values) -> Check:
    slots = install(model.module, model.anatomy)
    gates = {slot: torch.ones(slot.units) for slot in (*slots.sites, *slots.blocks, *slots.layers)}
    with gates_set(gates):
        worst = difference(values_of(model.module, inputs), plain)
    return Check("right" if worst == 0 else "wrong", worst, len(gates), "gates of one change the output" * (worst > 0))


def _each(
    model: LoadedModel,
    inputs: Values,
    plain: Values,
    parts: Sequence[Part],
    some: Callable[[Any], Mask],
    every: Callable[[Any], Mask],
    by_hand: ByHand,
) -> Check:
    """Each part by itself: some of its units must be gated as by hand, and all of them must move the output."""
    tolerance = TOLERANCE if by_hand is _layer_skipped else 0.0
    able = [part for part in parts if reaches(part, "gate")]
    worst, looked_at = 0.0, _spread(able)
    for part in looked_at:
        mask = some(part)
        try:
            with gated(model, mask):
                found = values_of(model.module, inputs)
            with by_hand(model.module, part, mask):
                expected = values_of(model.module, inputs)
            with gated(model, every(part)):
                moved = difference(values_of(model.module, inputs), plain) > 0
        except Exception as error:
            return Check("wrong", None, len(looked_at), f"{part.name}: {one_line(error)}")
        worst = max(worst, difference(found, expected, relative=True))
        if worst > tolerance:
            return Check("wrong", worst, len(looked_at), f"{part.name}: not what zeros by hand give")
        if not moved:
            return Check("wrong", worst, len(looked_at), f"{part.name}: its gate does not move the output")
    if len(able) < len(parts):
        return Check("partly", worst, len(looked_at), reason_of(parts))
    return Check("right", worst, len(looked_at))


def _spread(parts: Sequence[P]) -> Sequence[P]:
    return parts[:: max(1, -(-len(parts) // MOST_PARTS))]


def _heads_of_torch(model: LoadedModel, inputs: Values) -> Check:
    """Zeros for a head where torch itself attends, in its kernel or after its softmax, must move its slice most.

    It is the only slice that moves, unless a norm follows that mixes the heads before they are projected.
    """
    sites = [site for site in model.anatomy.sites if reaches(site, "gate") and site.heads > 1]
    answers = {site.name: _moves_its_slice(model, inputs, site) for site in _spread(sites)}
    looked_at = [name for name, answer in answers.items() if answer is not None]
    if not looked_at:
        return Check("skipped", reason="torch's own attention functions are not used, or not by more than one head")
    bad = [name for name in looked_at if not answers[name]]
    reason = f"{bad[0]}: its heads are not those of torch's attention" if bad else ""
    return Check("wrong" if bad else "right", None, len(looked_at), reason)


def _moves_its_slice(model: LoadedModel, inputs: Values, site: AttentionSite) -> bool | None:
    head = site.index % site.heads
    with inputs_seen(model.module, site.projection) as before:
        values_of(model.module, inputs)
    with attention_zeroed(model.module, site, head) as functions, inputs_seen(model.module, site.projection) as after:
        values_of(model.module, inputs)
    if not functions or not before:
        return None
    moved = (after[0] - before[0]).reshape(-1, site.heads, site.head_dim).abs().amax((0, 2))  # (head,)
    return int(moved.argmax()) == head and float(moved[head]) > 0


def nothing_missed(model: LoadedModel, inputs: Values) -> Check:
    """Every module in which torch attends must be a site, or inside one."""
    with attention_seen(model.module) as seen:
        values_of(model.module, inputs)
    names = [site.name + "." for site in model.anatomy.sites]
    missed = [path for path in seen if not f"{path}.".startswith(tuple(names))]
    reason = f"{missed[0]} attends and is not among the sites" if missed else ""
    return Check("partly" if missed else "right", None, len(seen), reason, {"missed": missed} if missed else {})


# Masks and the same by hand -----------------------------------------------------------------------------------------


def one_head(site: AttentionSite) -> Mask:
    return Mask(frozenset({HeadId(site.index, site.index % site.heads)}))


def every_head(site: AttentionSite) -> Mask:
    return Mask(frozenset(HeadId(site.index, head) for head in range(site.heads)))


def some_neurons(block: MLPSite) -> Mask:
    return Mask(neurons=frozenset(NeuronId(block.index, i) for i in range(block.index % 2, block.neurons, 5)))


def every_neuron(block: MLPSite) -> Mask:
    return Mask(neurons=frozenset(NeuronId(block.index, i) for i in range(block.neurons)))


def whole_layer(layer: Part) -> Mask:
    return Mask(layers=frozenset({layer.index}))


def _heads_zeroed(module: nn.Module, site: AttentionSite, mask: Mask) -> AbstractContextManager[None]:
    columns = {head * site.head_dim + i for _, head in mask.heads for i in range(site.head_dim)}
    return columns_zeroed(module, site.projection, columns)


def _neurons_zeroed(module: nn.Module, block: MLPSite, mask: Mask) -> AbstractContextManager[None]:
    return columns_zeroed(module, block.projection, {neuron for _, neuron in mask.neurons})


def _layer_skipped(module: nn.Module, layer: Layer, mask: Mask) -> AbstractContextManager[None]:
    return layer_skipped(module, layer)
