"""Finding attention: a dry run that watches it, then names.

1. The dry run watches every call of the attention interface and matches the call's output, value by value, to the input
   of the linear layer that follows: that layer is the projection whose input holds the heads.
2. Attention modules that do not use the interface are found by the names of their attributes and projections.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from pruning.anatomy import AttentionSite
from pruning.attention import AttentionCall, observed, on_this_thread
from pruning.inputs import dry_run_inputs, run
from pruning.language import later
from pruning.linear import fan, is_linear

PROJECTION_NAMES = (
    "o_proj", "out_proj", "out_lin", "dense", "c_proj", "wo", "Wo", "post_proj", "projection_layer", "attention_out",
    "proj", "o", "to_out", "projection", "linear_out", "output",
)  # fmt: skip
HEAD_COUNT_NAMES = (
    "num_attention_heads", "num_heads", "n_heads", "n_head", "num_query_heads", "num_attn_heads", "nhead",
)  # fmt: skip
CAUSAL = ("imagegpt", "mpt", "openai-gpt", "xglm")  # decoders, although neither paths nor modules say so
BESIDE = {"ConvBertSelfAttention": 2}  # projections so many times as wide as the heads, which come first
HEAD_SIZE_NAMES = ("attention_head_size", "head_dim", "d_head", "head_size", "d_kv", "dim_head")


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
    width = site.heads * site.head_dim * BESIDE.get(type(module.get_submodule(site.name)).__name__, 1)
    for parent in (site.name, site.name.rpartition(".")[0]):
        owner = module.get_submodule(parent)
        for path, child in owner.named_modules():
            if path.rpartition(".")[2] in PROJECTION_NAMES and is_linear(child) and fan(child)[0] == width:
                return replace(site, projection=f"{parent}.{path}" if parent else path)
    return replace(site, support="none", reason=later("no linear layer takes the heads as its input"))


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
    is_causal = getattr(getattr(model, "config", None), "model_type", "") in CAUSAL
    is_decoder = is_causal or getattr(config, "is_decoder", False)
    sees = getattr(model, "main_input_name", "") == "pixel_values" and "decoder" not in name
    if sees or re.search(r"vision|visual|vit\b|image", name) or "vision" in type(config).__name__.lower():
        tower = "vision"
    elif "decoder" in name or crosses or getattr(module, "is_causal", False) or is_decoder:
        tower = "decoder"
    else:
        tower = "encoder"
    return f"{tower} {'cross' if crosses else 'self'}"
