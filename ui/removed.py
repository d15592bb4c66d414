"""What a mask removes from a model, in words and in the units that the editor shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pruning.anatomy import Anatomy
from pruning.errors import MaskError
from pruning.language import listing, mark, tr, trn
from pruning.masks import HeadId, Mask
from pruning.scopes import SCOPES, Scope, sizes_of
from pruning.search.budget import left

OF_ALL = {
    "heads": mark("{n:,} of {total:,} heads"),
    "neurons": mark("{n:,} of {total:,} neurons"),
    "layers": mark("{n:,} of {total:,} layers"),
}


def misfit(mask: Mask, heads_per_site: Sequence[int], anatomy: Anatomy | None) -> str:
    """Why a mask does not fit the model, as far as that is known; empty where it does."""
    wrong = [h for h in sorted(mask.heads) if h.site >= len(heads_per_site) or h.head >= heads_per_site[h.site]]
    if wrong:
        return tr("the model has no head {head}", head=wrong[0])
    try:
        if anatomy is not None:
            mask.check(anatomy)
    except MaskError as error:
        return str(error)
    return ""


def summary(mask: Mask, heads_per_site: Sequence[int], anatomy: Anatomy | None) -> str:
    """How much is removed: heads always, neurons and layers where some are.

    What is inside a removed layer counts. Without an anatomy nothing is known of that, nor of how much there is.
    """
    if anatomy is None:
        parts = [tr("{n:,} of {total:,} heads", n=len(mask.heads), total=sum(heads_per_site))]
        rest = mask_words(replace(mask, heads=frozenset()))
        return tr("Removed {parts}", parts=listing(filter(None, [*parts, rest])))
    stay, wholes = left(anatomy, mask), counts(anatomy)
    gone = {scope: wholes[scope] - stay[scope] for scope in SCOPES}
    parts = [tr(OF_ALL[s], n=gone[s], total=wholes[s]) for s in SCOPES if gone[s] or s == "heads"]
    return tr("Removed {parts}", parts=listing(parts))


def mask_words(mask: Mask) -> str:
    """How much a mask names.

    >>> mask_words(Mask.parse_heads("0:1,0:2"))
    '2 heads'
    """
    return listing(count_words(len(getattr(mask, scope)), scope) for scope in SCOPES if getattr(mask, scope))


def count_words(count: int, scope: Scope) -> str:
    """
    >>> count_words(1, "heads"), count_words(1200, "neurons")
    ('1 head', '1,200 neurons')
    """
    if scope == "heads":
        return trn("{n:,} head", "{n:,} heads", count)
    if scope == "neurons":
        return trn("{n:,} neuron", "{n:,} neurons", count)
    return trn("{n:,} layer", "{n:,} layers", count)


def counts(anatomy: Anatomy) -> dict[str, int]:
    """How many heads, neurons and layers a model has."""
    return {scope: sum(sizes_of(anatomy, scope)) for scope in SCOPES}


def locked_heads(mask: Mask, anatomy: Anatomy | None) -> frozenset[HeadId]:
    """Heads that go with a removed layer: only restoring the layer brings them back."""
    if anatomy is None:
        return frozenset()
    sites = {site for layer in mask.layers for site in anatomy.layers[layer].sites}
    return frozenset(HeadId(site, head) for site in sites for head in range(anatomy.sites[site].heads))


def shown_mask(mask: Mask, anatomy: Anatomy | None) -> Mask:
    """The mask with the heads of removed layers, as the picture crosses them out."""
    return replace(mask, heads=mask.heads | locked_heads(mask, anatomy))


def layer_of(site: int, anatomy: Anatomy | None) -> int | None:
    """The layer that holds a site, where it can be removed as a whole."""
    layers = anatomy.layers if anatomy else ()
    return next((one.index for one in layers if site in one.sites and one.support != "none"), None)


def neurons_removed(mask: Mask, anatomy: Anatomy) -> list[tuple[int, int]]:
    """For each feed-forward block, how many neurons are removed and how many there are; removed layers count."""
    gone = {block for layer in mask.layers for block in anatomy.layers[layer].blocks}
    counts = [0] * len(anatomy.blocks)
    for neuron in mask.neurons:
        counts[neuron.block] += 1
    return [(block.neurons if block.index in gone else counts[block.index], block.neurons) for block in anatomy.blocks]
