"""What can be removed from a model: found by `sites` and `stacks`, then tested here.

The self-test runs one batch in which each row has every other unit of another part at zero: gates of one must change
nothing, and zeros must change the output. What fails gets the support level ``none`` with the reason. A trial cut
(`surgery.support`) then decides between ``gate`` and ``prune``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import TypeVar

import torch
from torch import Tensor, nn

from pruning.anatomy import Anatomy, AttentionSite, Layer, MLPSite, Support
from pruning.errors import first_line, named_line
from pruning.gating import Gates, Slot, gates_set, install
from pruning.inputs import allow_batches, dry_run_inputs, outputs, stay_sparse
from pruning.language import Later, later
from pruning.macs import count_macs
from pruning.masks import HeadId
from pruning.sites import find_sites
from pruning.stacks import assemble, find_layers
from pruning.surgery.support import judge
from pruning.unreached import NO_HEADS, unreached
from pruning.wiring import Wiring, remember, trace

UNLIKE = later("what reaches its projection is not made of heads that are fed alike")
UNMOVED = later("setting half of it to zero does not change the output")
UNMOVED_LAYER = later("setting half of it to zero does not change the output, or it changes the shape of its input")
P = TypeVar("P", AttentionSite, MLPSite, Layer)


def describe_module(module: nn.Module) -> Anatomy:
    """Find every attention site, feed-forward block and layer of a transformers model, and test that each can be gated.

    The model runs a few times on a few tokens (or one image) made from its configuration, and once more to count MACs.
    """
    allow_batches(module)
    stay_sparse(module)
    parameters = sum(p.numel() for p in module.parameters())
    try:
        sites, linears, watched = find_sites(module)
        macs, counted = count_macs(module)
    except Exception as error:  # the code of any architecture may fail in any way
        reason = later("the dry run failed with {error}", error=named_line(error))
        return Anatomy((), (), (), parameters, 0, "not measured", "none", reason)
    usable = [site for site in sites if site.projection]
    lost = [(site.name, site.reason) for site in sites if not site.projection] + unreached(module, sites)
    if not usable:
        reason = later("{name}: {reason}", name=lost[0][0], reason=lost[0][1]) if lost else NO_HEADS
        return Anatomy(tuple(sites), (), (), parameters, macs, counted, "none", reason)
    usable = [replace(site, index=i) for i, site in enumerate(usable)]
    layers = find_layers(module, usable, linears)
    wiring, untold = _wire(module, usable, layers)
    usable = [_grouped(site, wiring) for site in usable]
    doubtful = {site.index for site in usable if site.name not in watched and not wiring.is_alike(site)}
    blocks, found = assemble(module, usable, layers, wiring)
    anatomy = Anatomy(tuple(usable), tuple(blocks), tuple(found), parameters, macs, counted, "gate")
    try:
        anatomy = self_test(module, anatomy)
    except Exception as error:  # as above
        return _without_support(anatomy, later("gated, it does not run: {error}", error=named_line(error)))
    anatomy = judge(module, _without_doubtful(anatomy, doubtful), wiring, untold)
    beside = [later("not reached: {name}: {reason}", name=name, reason=why) for name, why in lost]
    reasons = [anatomy.reason, *beside] if anatomy.reason else beside
    return replace(anatomy, reason=_in_a_row(reasons) if reasons else "")


def _in_a_row(reasons: Sequence[str | Later]) -> str | Later:
    return reduce(lambda one, other: later("{one}; {other}", one=one, other=other), reasons)


def _wire(module: nn.Module, sites: list[AttentionSite], layers: dict[str, list[str]]) -> tuple[Wiring, str | Later]:
    try:
        wiring = trace(module, sites, [path for inside in layers.values() for path in inside])
    except Exception as error:  # as above: what cannot be differentiated can still be gated
        return Wiring(), later("derivatives cannot be taken: {error}", error=first_line(error))
    remember(module, wiring)
    return wiring, ""


def _grouped(site: AttentionSite, wiring: Wiring) -> AttentionSite:
    """The site with the key-value heads that its weights have; some models repeat them before they attend."""
    shared = {s.owners for s in wiring.heads if len(s.owners) > 1 and all(o.site == site.index for o in s.owners)}
    for count in range(site.kv_heads - 1, 1, -1):
        if site.heads % count:
            continue
        groups = {frozenset(HeadId(site.index, h) for h in g) for g in replace(site, kv_heads=count).groups}
        if groups <= shared:
            return replace(site, kv_heads=count)
    return site


def self_test(module: nn.Module, anatomy: Anatomy) -> Anatomy:
    """Set the support level of each part by what gating it really does: ``gate`` or ``none``."""
    installation = install(module, anatomy)
    slots = [*installation.sites, *installation.blocks, *installation.layers]
    device = next(module.parameters()).device
    with torch.no_grad():
        one = dry_run_inputs(module)
        plain = outputs(module, one)
        ones = {slot: torch.ones(slot.units, device=device) for slot in slots}
        if _differ(_run_with(module, one, ones), plain):
            return _without_support(anatomy, later("gates of one change the output"))
        moved = _moved_together(module, slots, plain)
        if moved is None:  # windows, packed patches, contrastive logits: the batch is not simply the first dimension
            moved = [_differ(_run_with(module, one, {slot: _every_other(slot, device)}), plain) for slot in slots]
            anatomy = replace(anatomy, per_example=False)
    return _with_support(anatomy, moved)


def _moved_together(module: nn.Module, slots: list[Slot], plain: dict[str, Tensor]) -> list[bool] | None:
    """Which slots move the output, by one batch with a row for each; ``None`` where rows do not stay apart."""
    rows, device = len(slots) + 1, next(module.parameters()).device
    gates: dict[Slot, Tensor] = {}
    for row, slot in enumerate(slots, start=1):
        gates[slot] = torch.ones(rows, slot.units, device=device)
        gates[slot][row] = _every_other(slot, device)
    one, many = dry_run_inputs(module), dry_run_inputs(module, batch=rows)
    if any(many[name].shape[0] != rows * value.shape[0] for name, value in one.items() if value.dim()):
        return None
    try:
        found = _run_with(module, many, gates)
        alone = _run_with(module, one, {slots[0]: gates[slots[0]][1]})
    except Exception:  # as below: the parts are then tried one by one
        return None
    if any(name not in found or len(found[name]) != rows * len(value) for name, value in plain.items()):
        return None
    if not all(
        _close(found[n][0], plain[n][0]) and _close(found[n][1], alone[n][0]) for n in plain if len(plain[n]) == 1
    ):
        return None
    parts = {name: value.reshape(rows, -1) for name, value in found.items() if name in plain}
    return [any(bool((part[i] != part[0]).any()) for part in parts.values()) for i in range(1, rows)]


def _every_other(slot: Slot, device: torch.device) -> Tensor:
    """Half of the units at zero: a single neuron may well be silent on these few tokens."""
    gate = torch.ones(slot.units, device=device)
    gate[::2] = 0.0
    return gate


def _run_with(module: nn.Module, inputs: dict[str, Tensor], gates: Gates) -> dict[str, Tensor]:
    with gates_set(gates):
        return outputs(module, inputs)


def _differ(found: dict[str, Tensor], plain: dict[str, Tensor]) -> bool:
    return any(not torch.equal(found[name].nan_to_num(), value.nan_to_num()) for name, value in plain.items())


def _close(a: Tensor, b: Tensor) -> bool:
    scale = 1e-4 if a.dtype == torch.float32 else 5e-2
    if a.shape != b.shape:
        return False
    a, b = a.nan_to_num(), b.nan_to_num()
    return not a.numel() or bool((a - b).abs().max() <= scale * max(1.0, float(b.abs().max())))


def _without_support(anatomy: Anatomy, reason: Later) -> Anatomy:
    def refuse(parts: tuple[P, ...]) -> tuple[P, ...]:
        return tuple(replace(part, support="none", reason=reason) for part in parts)

    parts = refuse(anatomy.sites), refuse(anatomy.blocks), refuse(anatomy.layers)
    return replace(anatomy, sites=parts[0], blocks=parts[1], layers=parts[2], support="none", reason=reason)


def _without_doubtful(anatomy: Anatomy, doubtful: set[int]) -> Anatomy:
    """Sites found by name whose slices are not fed alike hold something else than heads side by side."""
    sites = tuple(
        replace(site, support="none", reason=UNLIKE) if site.index in doubtful else site for site in anatomy.sites
    )
    return replace(anatomy, sites=sites)


def _why(part: AttentionSite | MLPSite | Layer) -> Later:
    return UNMOVED_LAYER if isinstance(part, Layer) else UNMOVED


def _with_support(anatomy: Anatomy, moved: list[bool]) -> Anatomy:
    answers = iter(moved)

    def judge(parts: tuple[P, ...]) -> tuple[P, ...]:
        return tuple(part if next(answers) else replace(part, support="none", reason=_why(part)) for part in parts)

    sites, blocks, layers = judge(anatomy.sites), judge(anatomy.blocks), judge(anatomy.layers)
    bad = [site.name for site in sites if site.support == "none"]
    support: Support = "none" if len(bad) == len(sites) else "gate"
    reason = later("these sites cannot be gated: {names}", names=", ".join(bad)) if bad else ""
    return replace(anatomy, sites=sites, blocks=blocks, layers=layers, support=support, reason=reason)
