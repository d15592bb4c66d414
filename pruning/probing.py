"""Finding what can be removed: a dry run that watches attention, then names, then a self-test of what was found.

1. The dry run watches every call of the attention interface and matches the call's output, value by value, to the input
   of the linear layer that follows: that layer is the projection whose input holds the heads.
2. Attention modules that do not use the interface are found by the names of their attributes and projections.
3. The self-test runs one batch in which each row has every other unit of another part at zero: gates of one must change
   nothing, and zeros must change the output. What fails gets the support level ``none`` with the reason.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pruning.anatomy import Anatomy, AttentionSite, Layer, MLPSite, Support
from pruning.attention import AttentionCall, observed, on_this_thread
from pruning.gating import Gates, Slot, gates_set, install
from pruning.inputs import allow_batches, dry_run_inputs, outputs, run
from pruning.linear import fan, is_linear
from pruning.masks import HeadId
from pruning.surgery.support import judge
from pruning.unreached import NO_HEADS, unreached
from pruning.wiring import Wiring, remember, trace

PROJECTION_NAMES = (
    "o_proj", "out_proj", "out_lin", "dense", "c_proj", "wo", "Wo", "post_proj", "projection_layer", "attention_out",
    "proj", "o", "to_out", "projection", "linear_out", "output",
)  # fmt: skip
HEAD_COUNT_NAMES = (
    "num_attention_heads", "num_heads", "n_heads", "n_head", "num_query_heads", "num_attn_heads", "nhead",
)  # fmt: skip
HEAD_SIZE_NAMES = ("attention_head_size", "head_dim", "d_head", "head_size", "d_kv", "dim_head")
COUNTED_TOKENS = 128
UNLIKE = "what reaches its projection is not made of heads that are fed alike"
UNMOVED = "setting half of it to zero does not change the output"
P = TypeVar("P", AttentionSite, MLPSite, Layer)


@dataclass
class _Trace:
    """What the dry run saw, in order."""

    model: nn.Module
    paths: dict[nn.Module, str]
    sites: dict[nn.Module, AttentionSite] = field(default_factory=dict)
    pending: list[tuple[nn.Module, Tensor]] = field(default_factory=list)
    linears: list[str] = field(default_factory=list)

    def on_attention(self, call: AttentionCall) -> None:
        if call.module not in self.paths:
            return
        if call.module not in self.sites:
            heads, width = call.query.shape[1], call.value.shape[-1]
            kind = _kind(self.paths[call.module], call.module, self.model)
            site = AttentionSite(0, self.paths[call.module], "", kind, heads, call.key.shape[1], width)
            self.sites[call.module] = site
        self.pending.append((call.module, call.output))

    def on_linear(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.linears.append(self.paths[module])
        if not args or not isinstance(args[0], Tensor):
            return
        for owner, output in list(self.pending):
            site = self.sites[owner]
            fits = args[0].shape[-1] == site.heads * site.head_dim and args[0].numel() == output.numel()
            if fits and torch.equal(args[0].flatten(), output.reshape(-1)):
                self.sites[owner] = replace(site, projection=self.paths[module])
                self.pending.remove((owner, output))


def find_sites(module: nn.Module) -> tuple[list[AttentionSite], list[str], set[str]]:
    """Every attention site in the order of the forward pass, and the paths of the linear layers that ran.

    The third value names the sites that were seen to attend; the others are found by their names.
    """
    found = _Trace(module, {child: path for path, child in module.named_modules()})
    watch = on_this_thread(found.on_linear)
    handles = [child.register_forward_pre_hook(watch) for child in found.paths if is_linear(child)]
    try:
        with observed(found.on_attention), torch.no_grad():
            run(module, dry_run_inputs(module))
    finally:
        for handle in handles:
            handle.remove()
    order = {path: i for i, path in enumerate(dict.fromkeys(found.linears))}
    sites = [site if site.projection else _project_by_name(module, site) for site in found.sites.values()]
    sites += _sites_by_name(module, sites, order)
    sites.sort(key=lambda site: order.get(site.projection, len(order)))
    watched = {site.name for site in found.sites.values()}
    return [replace(site, index=i) for i, site in enumerate(sites)], list(order), watched


def _sites_by_name(module: nn.Module, known: list[AttentionSite], ran: dict[str, int]) -> list[AttentionSite]:
    """Attention modules outside those already known, whose projection ran."""
    taken = {site.projection for site in known}
    found: list[AttentionSite] = []
    for path, child in module.named_modules():
        if any(f"{site.name}.".startswith(f"{path}.") or path.startswith(f"{site.name}.") for site in known):
            continue
        site = _site_by_name(module, path, child)
        if site and site.projection in ran and site.projection not in taken:
            taken.add(site.projection)
            found.append(site)
    return found


def _project_by_name(module: nn.Module, site: AttentionSite) -> AttentionSite:
    """For models that do something between attention and projection: look for the projection's usual name."""
    width = site.heads * site.head_dim
    for parent in (site.name, site.name.rpartition(".")[0]):
        owner = module.get_submodule(parent)
        for path, child in owner.named_modules():
            if path.rpartition(".")[2] in PROJECTION_NAMES and is_linear(child) and fan(child)[0] == width:
                return replace(site, projection=f"{parent}.{path}" if parent else path)
    return replace(site, support="none", reason="no linear layer takes the heads as its input")


def _site_by_name(module: nn.Module, path: str, child: nn.Module) -> AttentionSite | None:
    """An attention module that does not use the interface, recognised by its class, head count and projection."""
    if not re.search("attention|attn", type(child).__name__, re.IGNORECASE) or not path:
        return None
    heads = _number(child, HEAD_COUNT_NAMES) or 0
    if heads < 1 or not any(is_linear(inner) for inner in child.modules()):
        return None
    kind = _kind(path, child, module)
    for width in _widths(child, heads):
        site = _project_by_name(module, AttentionSite(0, path, "", kind, heads, heads, width // heads))
        if site.projection:
            return site
    return None


def _widths(attention: nn.Module, heads: int) -> list[int]:
    """How wide all heads together may be: as the module says, as wide as its projection's input, or its queries."""
    stated = [_number(attention, ("all_head_size",)), heads * (_number(attention, HEAD_SIZE_NAMES) or 0)]
    named = {name: linear for name, linear in attention.named_children() if is_linear(linear)}
    seen = [fan(linear)[0] for name, linear in named.items() if name in PROJECTION_NAMES]
    seen += [fan(linear)[1] for linear in named.values()] + [fan(linear)[0] for linear in named.values()]
    return [width for width in [*stated, *seen] if width and width % heads == 0]


def _number(attention: nn.Module, names: tuple[str, ...]) -> int | None:
    """The first of these attributes that is a number, of the module or else of its configuration."""
    for owner in (attention, getattr(attention, "config", None)):
        for name in names:
            value = getattr(owner, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


def _kind(path: str, module: nn.Module, model: nn.Module) -> str:
    """``encoder self``, ``decoder cross``, ``vision self``, … from the path and the module's own flags."""
    name = path.lower()
    crosses = (
        bool(re.search(r"cross|encoder_attn|encdec", name)) or getattr(module, "is_cross_attention", False) is True
    )
    config = getattr(module, "config", None)
    sees = getattr(model, "main_input_name", "") == "pixel_values" and "decoder" not in name
    if sees or re.search(r"vision|visual|vit\b|image", name) or "vision" in type(config).__name__.lower():
        tower = "vision"
    elif "decoder" in name or crosses or getattr(module, "is_causal", False) or getattr(config, "is_decoder", False):
        tower = "decoder"
    else:
        tower = "encoder"
    return f"{tower} {'cross' if crosses else 'self'}"


def find_layers(module: nn.Module, sites: list[AttentionSite], linears: list[str]) -> dict[str, list[str]]:
    """The residual layers, in the order in which they run, and in each the linear layers that may end an FFN block.

    Layers are the entries of the lists that hold a site, those without attention included.
    """
    lists = [path for path, child in module.named_modules() if isinstance(child, nn.ModuleList)]
    owners = {name.rpartition(".")[0] for site in sites if (name := _layer_of(site, lists, linears))}
    widths = {fan(module.get_submodule(site.projection))[1] for site in sites}
    attention = tuple(site.name + "." for site in sites)
    projections = {site.projection for site in sites}
    layers: dict[str, list[str]] = {}
    for path in linears:
        owner = max((o for o in owners if path.startswith(o + ".")), key=len, default=None)
        if owner is None:
            continue
        inside = layers.setdefault(f"{owner}.{path[len(owner) + 1 :].partition('.')[0]}", [])
        is_down = path not in projections and not path.startswith(attention) and not _in_mixer(module, path)
        if is_down and fan(module.get_submodule(path))[1] in widths:
            inside.append(path)
    return layers


def _in_mixer(module: nn.Module, path: str) -> bool:
    """Whether a linear layer belongs to something that mixes tokens, and so to no feed-forward block."""
    parents = path.split(".")[:-1]
    names = (type(module.get_submodule(".".join(parents[: i + 1]))).__name__ for i in range(len(parents)))
    return any(re.search("Attention|Attn|Mamba|SSM|Recurrent|DeltaNet|Mixer$", name) for name in names)


def assemble(
    module: nn.Module, sites: list[AttentionSite], layers: dict[str, list[str]], wiring: Wiring
) -> tuple[list[MLPSite], list[Layer]]:
    """Blocks are the candidates whose neurons the wiring tells apart, or else the only one that narrows its input."""
    blocks: list[MLPSite] = []
    found: list[Layer] = []
    for name, candidates in layers.items():
        downs = [path for path in candidates if path in wiring.blocks]
        narrowing = [path for path in candidates if _narrows(module, path)]
        if not downs and len(narrowing) == 1:
            downs = narrowing
        own = []
        for path in downs:
            own.append(len(blocks))
            blocks.append(MLPSite(len(blocks), path.rpartition(".")[0], path, fan(module.get_submodule(path))[0]))
        inside = tuple(site.index for site in sites if site.projection.startswith(name + "."))
        found.append(Layer(len(found), name, inside, tuple(own)))
    return blocks, found


def _narrows(module: nn.Module, path: str) -> bool:
    inputs, outputs = fan(module.get_submodule(path))
    return inputs > outputs


def _layer_of(site: AttentionSite, lists: list[str], linears: list[str]) -> str | None:
    """The innermost list entry around the site that holds more than attention (T5 keeps a list inside each layer)."""
    for owner in sorted((p for p in lists if site.name.startswith(p + ".")), key=len, reverse=True):
        name = owner + "." + site.name[len(owner) + 1 :].partition(".")[0]
        attention = (site.name + ".", site.projection)
        if any(p.startswith(name + ".") and not p.startswith(attention) for p in linears):
            return name
    return None


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
            return _without_support(anatomy, "gates of one change the output")
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


def _without_support(anatomy: Anatomy, reason: str) -> Anatomy:
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


def _why(part: AttentionSite | MLPSite | Layer) -> str:
    return UNMOVED if not isinstance(part, Layer) else f"{UNMOVED}, or it changes the shape of its input"


def _with_support(anatomy: Anatomy, moved: list[bool]) -> Anatomy:
    answers = iter(moved)

    def judge(parts: tuple[P, ...]) -> tuple[P, ...]:
        return tuple(part if next(answers) else replace(part, support="none", reason=_why(part)) for part in parts)

    sites, blocks, layers = judge(anatomy.sites), judge(anatomy.blocks), judge(anatomy.layers)
    bad = [site.name for site in sites if site.support == "none"]
    support: Support = "none" if len(bad) == len(sites) else "gate"
    reason = f"these sites cannot be gated: {', '.join(bad)}" if bad else ""
    return replace(anatomy, sites=sites, blocks=blocks, layers=layers, support=support, reason=reason)


def describe_module(module: nn.Module) -> Anatomy:
    """Find every attention site, feed-forward block and layer of a transformers model, and test that each can be gated.

    The model runs a few times on a few tokens (or one image) made from its configuration, and once more to count MACs.
    """
    allow_batches(module)
    parameters = sum(p.numel() for p in module.parameters())
    try:
        sites, linears, watched = find_sites(module)
        macs, counted = count_macs(module)
    except Exception as error:  # the code of any architecture may fail in any way
        reason = f"the dry run failed with {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Anatomy((), (), (), parameters, 0, "not measured", "none", reason)
    usable = [site for site in sites if site.projection]
    lost = [(site.name, site.reason) for site in sites if not site.projection] + unreached(module, sites)
    if not usable:
        reason = f"{lost[0][0]}: {lost[0][1]}" if lost else NO_HEADS
        return Anatomy(tuple(sites), (), (), parameters, macs, counted, "none", reason)
    usable = [replace(site, index=i) for i, site in enumerate(usable)]
    layers = find_layers(module, usable, linears)
    wiring, reason = _wire(module, usable, layers)
    usable = [_grouped(site, wiring) for site in usable]
    doubtful = {site.index for site in usable if site.name not in watched and not wiring.is_alike(site)}
    blocks, found = assemble(module, usable, layers, wiring)
    anatomy = Anatomy(tuple(usable), tuple(blocks), tuple(found), parameters, macs, counted, "gate")
    try:
        anatomy = self_test(module, anatomy)
    except Exception as error:  # as above
        return _without_support(anatomy, f"gated, it does not run: {type(error).__name__}: {error}")
    anatomy = judge(module, _without_doubtful(anatomy, doubtful), wiring, reason)
    beside = "; ".join(f"not reached: {name}: {why}" for name, why in lost)
    return replace(anatomy, reason="; ".join(filter(None, (anatomy.reason, beside))))


def _wire(module: nn.Module, sites: list[AttentionSite], layers: dict[str, list[str]]) -> tuple[Wiring, str]:
    try:
        wiring = trace(module, sites, [path for inside in layers.values() for path in inside])
    except Exception as error:  # as above: what cannot be differentiated can still be gated
        return (
            Wiring(),
            f"derivatives cannot be taken: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        )
    remember(module, wiring)
    return wiring, ""


def _grouped(site: AttentionSite, wiring: Wiring) -> AttentionSite:
    """The site with the key-value heads that its weights have; some models repeat them before they attend."""
    shared = {s.owners for s in wiring.heads if len(s.owners) > 1 and all(o.site == site.index for o in s.owners)}
    for count in range(site.heads - 1, 0, -1):
        if site.heads % count:
            continue
        groups = {frozenset(HeadId(site.index, h) for h in g) for g in replace(site, kv_heads=count).groups}
        if groups <= shared and count < site.kv_heads and count > 1:
            return replace(site, kv_heads=count)
    return site


def count_macs(module: nn.Module, tokens: int = COUNTED_TOKENS) -> tuple[int, str]:
    """Multiply-accumulates of one example, counted by torch's own counter, and what the example was.

    The counter does not know the attention kernel that torch uses on a CPU: it is told here.
    """
    from torch.utils.flop_counter import FlopCounterMode

    inputs = counted_inputs(module, tokens)
    kernels = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=kernels) as counter:
        run(module, inputs)
    main = next(iter(inputs.values()))
    shape = " × ".join(map(str, main.shape[1:]))
    unit = "tokens" if main.dim() == 2 else "input"
    return math.ceil(counter.get_total_flops() / 2), f"1 × {shape} {unit}"


def counted_inputs(module: nn.Module, tokens: int) -> dict[str, Tensor]:
    """Inputs of so many tokens, or of fewer where the model has fewer positions than its configuration says."""
    for length in (tokens, tokens // 2, tokens // 4):
        inputs = dry_run_inputs(module, length)
        try:
            with torch.no_grad():
                run(module, inputs)
        except (IndexError, RuntimeError, ValueError):
            continue
        return inputs
    return dry_run_inputs(module)


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Scores and weighted values of shapes ``(batch, head, token, width)``; a multiply-accumulate is two operations."""
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[-2] * (width + value[-1])
