"""The general rule for heads: rows of the query, key and value layers and columns of the output projection.

Which rows belong to which head is read off the wiring, so separate, fused, interleaved and transposed projections are
all the same to this rule. transformers 5 infers the number of heads from the width of its projections nearly
everywhere; what it still keeps as an attribute is brought up to date where it has the old value.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from pruning.anatomy import Anatomy, AttentionSite
from pruning.masks import HeadId, Mask
from pruning.surgery.linear import drop_inputs, drop_outputs, zero_inputs
from pruning.wiring import Wiring

# Attributes of attention modules and what they count, by the number of query heads, key-value heads and the head size.
COUNTS = {
    "num_heads": lambda q, kv, size: q,
    "num_attention_heads": lambda q, kv, size: q,
    "n_heads": lambda q, kv, size: q,
    "n_head": lambda q, kv, size: q,
    "num_key_value_heads": lambda q, kv, size: kv,
    "num_key_value_groups": lambda q, kv, size: q // kv,
    "all_head_size": lambda q, kv, size: q * size,
    "inner_dim": lambda q, kv, size: q * size,
    "split_size": lambda q, kv, size: q * size,
}


def whole_groups(mask: Mask, anatomy: Anatomy) -> Mask:
    """The mask with only those heads that can go: under grouped-query attention, whole groups, the same for each site.

    A head whose group is not removed whole keeps its shared key and value; it is restored.
    """
    heads = set()
    for site in anatomy.sites:
        size = site.heads // site.kv_heads
        for group in range(site.kv_heads):
            members = {HeadId(site.index, group * size + i) for i in range(size)}
            if members <= mask.heads:
                heads |= members
    return replace(mask, heads=frozenset(heads))


def cut_heads(module: nn.Module, anatomy: Anatomy, wiring: tuple[Wiring, ...], mask: Mask) -> None:
    """Cut heads out of ``module``, in place. The mask must hold whole groups."""
    for site, wires in zip(anatomy.sites, wiring, strict=True):
        removed = {head for index, head in mask.heads if index == site.index}
        if removed:
            _cut_site(module, site, wires, removed)


def _cut_site(module: nn.Module, site: AttentionSite, wires: Wiring, removed: set[int]) -> None:
    """Cut one site. One that loses every head keeps a single group that its projection no longer sees."""
    projection = module.get_submodule(site.projection)
    size = site.heads // site.kv_heads
    if len(removed) == site.heads:
        zero_inputs(projection, range(size * site.head_dim))
        removed = removed - set(range(size))
    groups = {head // size for head in removed}
    parts = [wires.query[head] for head in removed]
    parts += [rows[group] for group in groups for rows in (wires.key, wires.value)]
    dropped: dict[str, set[int]] = {}
    for part in parts:
        for path, rows in part:
            dropped.setdefault(path, set()).update(rows)
    for path, gone in dropped.items():
        drop_outputs(module.get_submodule(path), gone)
    drop_inputs(projection, {head * site.head_dim + i for head in removed for i in range(site.head_dim)})
    _recount(module.get_submodule(site.name), site, len(removed), len(groups))


def _recount(attention: nn.Module, site: AttentionSite, heads: int, groups: int) -> None:
    before = (site.heads, site.kv_heads, site.head_dim)
    after = (site.heads - heads, site.kv_heads - groups, site.head_dim)
    for name, count in COUNTS.items():
        if getattr(attention, name, None) == count(*before):
            setattr(attention, name, count(*after))
