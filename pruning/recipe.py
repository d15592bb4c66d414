"""What a fresh original must become so that the pruned weights fit: a recipe, or better just another configuration."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pruning.reload_code import Bypassed, GatheredInputs, PaddedOutputs
from pruning.surgery import PrunedModel
from pruning.surgery.heads import COUNTS

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy

RECIPE_VERSION = 1
PARTS = ("removed_layers", "bypassed", "parameters", "attributes", "configs", "padded", "gathered")
WIDTH_NAMES = re.compile("intermediate|ffn|inner|d_ff|mlp|feed_?forward|hidden_dim$")
FAILURES = (RuntimeError, ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError)


def recipe_of(original: nn.Module, pruned: PrunedModel) -> dict[str, Any]:
    """What must be changed in a freshly built original so that the pruned weights fit, by the pruned model's paths."""
    recipe: dict[str, Any] = {"version": RECIPE_VERSION, "build": _build(original, pruned)}
    recipe |= {part: {} for part in PARTS}
    recipe["removed_layers"] = pruned.removed_layers
    before = dict(original.named_modules())
    for path, module in pruned.module.named_modules():
        old = before[original_path(path, pruned.removed_layers)]
        changed = {n: _get(module, n) for n in COUNTS if _get(module, n) != _get(old, n)}
        if changed:
            recipe["attributes"][path] = changed
        before_config, config = getattr(old, "config", None), getattr(module, "config", None)
        changed = {n: _get(config, n) for n in COUNTS if _get(config, n) != _get(before_config, n)}
        if changed:
            recipe["configs"][path] = changed
        for name, parameter in module.named_parameters(recurse=False):
            known = getattr(old, name, None)  # a compensation may have made a bias
            if known is None or parameter.shape != known.shape:
                recipe["parameters"][f"{path}.{name}" if path else name] = list(parameter.shape)
        if isinstance(module, Bypassed):
            recipe["bypassed"][path] = module.bypass_recipe
        if isinstance(module, PaddedOutputs):
            recipe["padded"][path] = module.output_recipe
        if isinstance(module, GatheredInputs):
            recipe["gathered"][path] = module.input_recipe
    return recipe


def _get(owner: Any, name: str) -> Any:
    """An attribute, or ``None``: configurations with one value for each layer refuse to name a single one."""
    try:
        return getattr(owner, name, None)
    except Exception:  # of a class of transformers' own
        return None


def original_path(path: str, removed_layers: dict[str, list[int]]) -> str:
    """The path that a module of the pruned model has in the original."""
    for owner, gone in removed_layers.items():
        if path.startswith(owner + "."):
            number, _, rest = path[len(owner) + 1 :].partition(".")
            index = int(number)
            for lost in sorted(gone):
                index += lost <= index
            return f"{owner}.{index}" + (f".{rest}" if rest else "")
    return path


def _build(original: nn.Module, pruned: PrunedModel) -> dict[str, dict[str, Any]]:
    """The settings of the original's configuration that layer removal shortened, by part of the configuration."""
    build: dict[str, dict[str, Any]] = {}
    parts = [""] + [name for name, value in vars(original.config).items() if hasattr(value, "to_dict")]
    for part in parts:
        old = getattr(original.config, part) if part else original.config
        new = getattr(pruned.module.config, part) if part else pruned.module.config
        changed = {
            name: value
            for name, value in vars(old).items()
            if isinstance(value, (int, list, tuple)) and value != vars(new).get(name) and not name.startswith("_")
        }
        if changed:
            build[part] = changed
    return build


def ordinary_config(anatomy: Anatomy, pruned: PrunedModel) -> Any:
    """The configuration that alone describes the pruned model, or ``None`` where its parts differ too much for one.

    Whole layers, and the same number of heads or neurons in every part, may need no more than smaller numbers.
    """
    module = pruned.module
    if any(isinstance(child, (PaddedOutputs, GatheredInputs, Bypassed)) for child in module.modules()):
        return None
    config = copy.deepcopy(module.config)
    parts = [config, *(value for value in vars(config).values() if hasattr(value, "to_dict"))]
    widths = _widths(anatomy, pruned)
    heads = _heads(anatomy, pruned)
    if widths is None or heads is None:
        return None
    for part in parts:
        for name, value in list(vars(part).items()):
            if value is None and WIDTH_NAMES.search(name) and len(widths) == 1:
                setattr(part, name, next(iter(widths.values())))  # GPT-2 means four times its hidden size by None
            if isinstance(value, bool) or not isinstance(value, int):
                continue
            if WIDTH_NAMES.search(name) and value in widths:
                setattr(part, name, widths[value])
        for before, after in heads.items():
            for name in ("head_dim", "attention_head_size", "d_kv"):
                if name in vars(part) and before != after and _get(part, name) is None:
                    setattr(part, name, before[2])
            for name, count in COUNTS.items():
                if name in vars(part) and _get(part, name) == count(*before):
                    setattr(part, name, count(*after))
    return config if _fits(module, config) else None


def _fits(module: nn.Module, config: Any) -> bool:
    """Whether a model built from the configuration has weights of the same names and shapes."""
    try:
        with torch.device("meta"):
            built = type(module)(config)
    except FAILURES:
        return False
    shapes = {name: tensor.shape for name, tensor in built.state_dict().items()}
    return shapes == {name: tensor.shape for name, tensor in module.state_dict().items()}


def _widths(anatomy: Anatomy, pruned: PrunedModel) -> dict[int, int] | None:
    """Neurons of a block before and after; ``None`` where blocks that were alike have become different."""
    gone = {block for layer in pruned.mask.layers for block in anatomy.layers[layer].blocks}
    pairs = set()
    for block in anatomy.blocks:
        if block.index not in gone:
            pairs.add((block.neurons, block.neurons - sum(n.block == block.index for n in pruned.mask.neurons)))
    return dict(pairs) if len({before for before, _ in pairs}) == len(pairs) else None


Counts = tuple[int, int, int]  # query heads, key-value heads, head size


def _heads(anatomy: Anatomy, pruned: PrunedModel) -> dict[Counts, Counts] | None:
    gone = {site for layer in pruned.mask.layers for site in anatomy.layers[layer].sites}
    pairs = set()
    for site in anatomy.sites:
        if site.index not in gone:
            lost = sum(head.site == site.index for head in pruned.mask.heads)
            left = (site.heads - lost, site.kv_heads - lost // (site.heads // site.kv_heads), site.head_dim)
            pairs.add(((site.heads, site.kv_heads, site.head_dim), left))
    if len({before for before, _ in pairs}) != len(pairs) or any(after[0] < 1 for _, after in pairs):
        return None
    return dict(pairs)
