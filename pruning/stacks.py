"""Finding residual layers and feed-forward blocks around the attention sites."""

from __future__ import annotations

import re

from torch import nn

from pruning.anatomy import AttentionSite, Layer, MLPSite
from pruning.linear import fan
from pruning.wiring import Wiring


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
