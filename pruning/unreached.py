"""Attention that Headroom does not reach, and why: said in words rather than passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from pruning.anatomy import AttentionSite
from pruning.language import Later, later

NO_HEADS = later(
    "no attention heads were found: no module uses transformers' attention interface or looks like attention"
)
UNKNOWN = later("its output does not reach a linear layer as heads side by side")
# Classes whose heads lie where no hook on a linear layer's input can scale them.
REASONS = {
    "MultiheadAttention": later("torch computes its heads and its output projection in one function"),
    "WavLMAttention": later("torch computes its heads and its output projection in one function"),
    "XLNetRelativeAttention": later("its output projection is a bare parameter, not a layer"),
    "SqueezeBertSelfAttention": later("its projections are grouped convolutions over channels"),
    "MobileViTV2LinearSelfAttention": later("it has one context vector and no heads"),
}


def unreached(module: nn.Module, sites: Iterable[AttentionSite]) -> list[tuple[str, str | Later]]:
    """Paths of modules that look like attention and belong to no site, each with the reason; one for each class."""
    names = [site.name for site in sites]
    found: dict[str, tuple[str, str | Later]] = {}
    for path, child in module.named_modules():
        kind = type(child).__name__
        if not path or not re.search("Attention$|SelfAttention|Attn$", kind) or not _has_weights(child):
            continue
        if any(f"{name}.".startswith(f"{path}.") or f"{path}.".startswith(f"{name}.") for name in names):
            continue
        if any(path.startswith(f"{other}.") for other, _ in found.values()):
            continue
        found.setdefault(kind, (path, REASONS.get(kind, UNKNOWN)))
    return list(found.values())


def _has_weights(module: nn.Module) -> bool:
    return any(parameter.dim() > 1 for parameter in module.parameters())
