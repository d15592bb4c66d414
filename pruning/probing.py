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
from pruning.gating import Gates, gates_set, install
from pruning.inputs import allow_batches, dry_run_inputs, run

PROJECTION_NAMES = (
    "o_proj", "out_proj", "out_lin", "dense", "c_proj", "wo", "Wo", "post_proj", "projection_layer", "attention_out",
    "proj", "o", "to_out",
)  # fmt: skip
HEAD_COUNT_NAMES = ("num_attention_heads", "num_heads", "n_heads", "n_head", "num_query_heads", "nhead")
COUNTED_TOKENS = 128
UNMOVED = "setting its first unit to zero does not change the output"
P = TypeVar("P", AttentionSite, MLPSite, Layer)
NO_HEADS = "no attention heads were found: no module uses transformers' attention interface or looks like attention"


def is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and not isinstance(module, nn.Embedding)


def fan(module: nn.Module) -> tuple[int, int]:
    """``(in_features, out_features)``; transformers' ``Conv1D`` keeps its weight transposed."""
    rows, columns = module.weight.shape
    return (rows, columns) if type(module).__name__ == "Conv1D" else (columns, rows)


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


def find_sites(module: nn.Module) -> tuple[list[AttentionSite], list[str]]:
    """Every attention site in the order of the forward pass, and the paths of the linear layers that ran."""
    trace = _Trace(module, {child: path for path, child in module.named_modules()})
    watch = on_this_thread(trace.on_linear)
    handles = [child.register_forward_pre_hook(watch) for child in trace.paths if is_linear(child)]
    try:
        with observed(trace.on_attention), torch.no_grad():
            run(module, dry_run_inputs(module))
    finally:
        for handle in handles:
            handle.remove()
    sites = list(trace.sites.values())
    sites = [site if site.projection else _project_by_name(module, site) for site in sites]
    if not sites:
        sites = [site for path, child in module.named_modules() if (site := _site_by_name(module, path, child))]
    return [replace(site, index=i) for i, site in enumerate(sites)], trace.linears


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
    heads = next((getattr(child, n) for n in HEAD_COUNT_NAMES if isinstance(getattr(child, n, None), int)), 0)
    named = {name: linear for name, linear in child.named_children() if is_linear(linear)}
    widths = [fan(linear)[0] for name, linear in named.items() if name in PROJECTION_NAMES]
    widths += [fan(linear)[1] for linear in named.values()]
    if heads < 1 or not widths or widths[0] % heads:
        return None
    kind = _kind(path, child, module)
    site = _project_by_name(module, AttentionSite(0, path, "", kind, heads, heads, widths[0] // heads))
    return site if site.projection else None


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


def find_layers(module: nn.Module, sites: list[AttentionSite], linears: list[str]) -> tuple[list[MLPSite], list[Layer]]:
    """Residual layers are the entries of the list that holds a site; their FFN ends in a linear that narrows."""
    lists = [path for path, child in module.named_modules() if isinstance(child, nn.ModuleList)]
    blocks: list[MLPSite] = []
    layers: list[Layer] = []
    for site in sites:
        name = _layer_of(site, lists, linears)
        if not name:
            continue
        if layers and layers[-1].name == name:
            layers[-1] = replace(layers[-1], sites=(*layers[-1].sites, site.index))
            continue
        inside = [p for p in dict.fromkeys(linears) if p.startswith(name + ".")]
        found = _down_projection(module, inside, sites, name)
        own: tuple[int, ...] = ()
        if found:
            blocks.append(MLPSite(len(blocks), found.rpartition(".")[0], found, fan(module.get_submodule(found))[0]))
            own = (blocks[-1].index,)
        layers.append(Layer(len(layers), name, (site.index,), own))
    return blocks, layers


def _layer_of(site: AttentionSite, lists: list[str], linears: list[str]) -> str | None:
    """The innermost list entry around the site that holds more than attention (T5 keeps a list inside each layer)."""
    for owner in sorted((p for p in lists if site.name.startswith(p + ".")), key=len, reverse=True):
        name = owner + "." + site.name[len(owner) + 1 :].partition(".")[0]
        attention = (site.name + ".", site.projection)
        if any(p.startswith(name + ".") and not p.startswith(attention) for p in linears):
            return name
    return None


def _down_projection(module: nn.Module, inside: list[str], sites: list[AttentionSite], layer: str) -> str | None:
    """The one linear layer outside attention that narrows a wider hidden layer; ``None`` where it is not just one."""
    projections = {site.projection for site in sites}
    attention = tuple(site.name + "." for site in sites if site.name.startswith(layer + "."))
    width = next(fan(module.get_submodule(p))[1] for p in sorted(projections) if p.startswith(layer + "."))
    found = []
    for path in inside:
        inputs, outputs = fan(module.get_submodule(path))
        if path not in projections and not path.startswith(attention) and inputs > outputs == width:
            found.append(path)
    return found[0] if len(found) == 1 else None


def self_test(module: nn.Module, anatomy: Anatomy) -> Anatomy:
    """Set the support level of each part by what gating it really does."""
    installation = install(module, anatomy)
    slots = [*installation.sites, *installation.blocks, *installation.layers]
    with torch.no_grad():
        one = dry_run_inputs(module)
        plain = run(module, one)
        many = {name: value.expand(len(slots) + 1, *value.shape[1:]).contiguous() for name, value in one.items()}
        gates: dict = {}
        for row, slot in enumerate(slots, start=1):
            gates[slot] = torch.ones(len(slots) + 1, slot.units, device=plain.device)
            gates[slot][row, ::2] = 0.0  # many units: a single neuron may well be silent on these few tokens
        with gates_set({slot: torch.ones(slot.units, device=plain.device) for slot in slots}):
            if not torch.equal(run(module, one), plain):
                return _without_support(anatomy, "gates of one change the output")
        with gates_set(gates):
            rows = run(module, many)
        alone = _run_alone(module, one, {slots[0]: gates[slots[0]][1]})
    if not _close(rows[1], alone[0]):
        return _without_support(anatomy, "the batch is not the first dimension inside this model")
    moved = [bool((rows[i] != rows[0]).any()) for i in range(1, len(slots) + 1)]
    return _with_support(anatomy, moved)


def _run_alone(module: nn.Module, inputs: dict[str, Tensor], gates: Gates) -> Tensor:
    with gates_set(gates):
        return run(module, inputs)


def _close(a: Tensor, b: Tensor) -> bool:
    scale = 1e-4 if a.dtype == torch.float32 else 5e-2
    return bool((a - b).abs().max() <= scale * max(1.0, float(b.abs().max())))


def _without_support(anatomy: Anatomy, reason: str) -> Anatomy:
    def refuse(parts: tuple[P, ...]) -> tuple[P, ...]:
        return tuple(replace(part, support="none", reason=reason) for part in parts)

    parts = refuse(anatomy.sites), refuse(anatomy.blocks), refuse(anatomy.layers)
    return replace(anatomy, sites=parts[0], blocks=parts[1], layers=parts[2], support="none", reason=reason)


def _with_support(anatomy: Anatomy, moved: list[bool]) -> Anatomy:
    answers = iter(moved)

    def judge(parts: tuple[P, ...]) -> tuple[P, ...]:
        return tuple(part if next(answers) else replace(part, support="none", reason=UNMOVED) for part in parts)

    sites, blocks, layers = judge(anatomy.sites), judge(anatomy.blocks), judge(anatomy.layers)
    bad = [site.name for site in sites if site.support == "none"]
    support: Support = "none" if len(bad) == len(sites) else "gate"
    reason = f"these sites cannot be gated: {', '.join(bad)}" if bad else ""
    return replace(anatomy, sites=sites, blocks=blocks, layers=layers, support=support, reason=reason)


def describe_module(module: nn.Module) -> Anatomy:
    """Find every attention site, feed-forward block and layer of a transformers model, and test that each can be gated.

    The model runs four times on a few tokens (or one image) made from its configuration, and once more to count MACs.
    """
    allow_batches(module)
    parameters = sum(p.numel() for p in module.parameters())
    try:
        sites, linears = find_sites(module)
        macs, counted = count_macs(module)
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
        reason = f"the dry run failed with {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Anatomy((), (), (), parameters, 0, "not measured", "none", reason)
    usable = [site for site in sites if site.projection]
    if not usable:
        return Anatomy(tuple(sites), (), (), parameters, macs, counted, "none", NO_HEADS)
    usable = [replace(site, index=i) for i, site in enumerate(usable)]
    blocks, layers = find_layers(module, usable, linears)
    return self_test(module, Anatomy(tuple(usable), tuple(blocks), tuple(layers), parameters, macs, counted, "gate"))


def count_macs(module: nn.Module, tokens: int = COUNTED_TOKENS) -> tuple[int, str]:
    """Multiply-accumulates of one example, counted by torch's own counter, and what the example was.

    The counter does not know the attention kernel that torch uses on a CPU: it is told here.
    """
    from torch.utils.flop_counter import FlopCounterMode

    inputs = dry_run_inputs(module, tokens)
    kernels = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=kernels) as counter:
        run(module, inputs)
    main = next(iter(inputs.values()))
    shape = " × ".join(map(str, main.shape[1:]))
    unit = "tokens" if main.dim() == 2 else "input"
    return math.ceil(counter.get_total_flops() / 2), f"1 × {shape} {unit}"


def _attention_flops(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Scores and weighted values of shapes ``(batch, head, token, width)``; a multiply-accumulate is two operations."""
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[-2] * (width + value[-1])
