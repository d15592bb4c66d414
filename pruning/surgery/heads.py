"""The general rule for heads: rows of the layers that feed them and columns of the output projection.

Which rows belong to which head is read off the wiring, so separate, fused, interleaved and transposed projections are
all the same to this rule. What remains is what the attention code believes about its head count. There are three
layouts, tried in this order until the result equals the masked model:

* ``compact``: dead heads vanish. transformers 5 infers the number of heads from the width of its projections nearly
  everywhere; what it still keeps as an attribute of the module is brought up to date where it has the old value.
* ``configured``: the same, and the attention module gets a copy of its configuration with its own head counts.
* ``padded``: the weights go all the same, but the layers hand out zeros in the dead heads' places, so that the code
  around them may go on counting heads as before. The attention arithmetic of dead heads stays.
* ``columns``: only the columns of the output projection go, where a head's own weights also feed something else.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Literal

from torch import nn

from pruning.anatomy import Anatomy, AttentionSite
from pruning.linear import drop_inputs, drop_outputs, taken
from pruning.masks import HeadId
from pruning.wiring import Strand, Wiring

Layout = Literal["compact", "configured", "padded", "columns"]
LAYOUTS: tuple[Layout, ...] = ("compact", "configured", "padded", "columns")

# Attributes of attention modules and of configurations, and what they count, by the number of query heads, key-value
# heads and the head size.
COUNTS = {
    "num_heads": lambda q, kv, size: q,
    "num_attention_heads": lambda q, kv, size: q,
    "encoder_attention_heads": lambda q, kv, size: q,
    "decoder_attention_heads": lambda q, kv, size: q,
    "num_attn_heads": lambda q, kv, size: q,
    "n_heads": lambda q, kv, size: q,
    "n_head": lambda q, kv, size: q,
    "nhead": lambda q, kv, size: q,
    "num_key_value_heads": lambda q, kv, size: kv,
    "num_kv_heads": lambda q, kv, size: kv,
    "num_key_value_groups": lambda q, kv, size: q // kv,
    "all_head_size": lambda q, kv, size: q * size,
    "inner_dim": lambda q, kv, size: q * size,
    "split_size": lambda q, kv, size: q * size,
}


def cut_heads(module: nn.Module, anatomy: Anatomy, wiring: Wiring, heads: Iterable[HeadId], layout: Layout) -> None:
    """Cut heads out of ``module``, in place."""
    gone = frozenset(heads)
    vanish = frozenset[HeadId]() if layout in ("padded", "columns") else _vanishing(gone, anatomy)
    shift = _rows(wiring.freed_by(vanish))
    for (path, dim), rows in _rows(wiring.freed_by(gone) if layout != "columns" else []).items():
        if dim is None:
            drop_outputs(module.get_submodule(path), rows, shift.get((path, dim), set()))
        elif (path, dim) in shift:
            _drop_slices(module, path, dim, shift[(path, dim)])
    for site in anatomy.sites:
        here = {head for index, head in gone if index == site.index}
        if here:
            left_out = {head for index, head in vanish if index == site.index}
            drop_inputs(module.get_submodule(site.projection), _columns(site, here), _columns(site, left_out))
            _recount(module.get_submodule(site.name), site, len(left_out), in_config=layout == "configured")


def _vanishing(gone: frozenset[HeadId], anatomy: Anatomy) -> frozenset[HeadId]:
    """The heads of whole key-value groups; a site that loses all of them goes on with one group of zeros."""
    heads: set[HeadId] = set()
    for site in anatomy.sites:
        groups = [{HeadId(site.index, head) for head in group} for group in site.groups]
        whole = [group for group in groups if group <= gone]
        heads |= set().union(*(whole[1:] if len(whole) == len(groups) else whole))
    return frozenset(heads)


def _rows(strands: list[Strand]) -> dict[tuple[str, int | None], set[int]]:
    rows: dict[tuple[str, int | None], set[int]] = {}
    for strand in strands:
        rows.setdefault((strand.path, strand.dim), set()).update(strand.rows)
    return rows


def _columns(site: AttentionSite, heads: set[int]) -> set[int]:
    return {head * site.head_dim + i for head in heads for i in range(site.head_dim)}


def _drop_slices(module: nn.Module, path: str, dim: int, gone: set[int]) -> None:
    owner, _, name = path.rpartition(".")
    child = module.get_submodule(owner)
    parameter = getattr(child, name)
    setattr(child, name, taken(parameter, [i for i in range(parameter.shape[dim]) if i not in gone], dim))


def _recount(attention: nn.Module, site: AttentionSite, vanished: int, *, in_config: bool) -> None:
    size = site.heads // site.kv_heads
    before = (site.heads, site.kv_heads, site.head_dim)
    after = (site.heads - vanished, site.kv_heads - vanished // size, site.head_dim)
    owners: list[object] = [attention]
    if in_config and getattr(attention, "config", None) is not None:
        attention.config = copy.copy(attention.config)
        owners.append(attention.config)
    for owner in owners:
        for name, count in COUNTS.items():
            if getattr(owner, name, None) == count(*before):
                setattr(owner, name, count(*after))
