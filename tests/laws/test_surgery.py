"""Masked equals pruned: cutting gives what the mask gave, for every family, on inputs of the test's own.

Both run the same sums in another order, in float32, on outputs of at most 5: the design allows 1e-5.
"""

from __future__ import annotations

import functools
import random
from pathlib import Path

import pytest
import torch

from pruning import Mask, UnsupportedError, count_cost, export_checkpoint, gated, prune, wrap_model
from pruning.conformance.tiny import tiny_model
from pruning.gating import Slot
from pruning.inputs import dry_run_inputs, outputs
from pruning.masks import HeadId, NeuronId
from pruning.surgery import PrunedModel, largest_difference
from tests.families import FAMILIES, NAMES, inputs_of, logits_of, model_of

TOLERANCE = 1e-5
# Where heads vanish only in part: the layers hand out zeros in their places.
PADDED = {"bloom-lm", "t5", "t5-generation"}
# The first layer computes the position bias of all layers: it cannot go.
NEEDED_LAYERS = {"t5": {0, 2}, "t5-generation": {0, 2}}
GROUPED = ("llama", "llama-lm", "qwen3", "gemma2-lm", "phi3-lm")


def groups_mask(name: str, seed: int = 0) -> Mask:
    """Whole key-value groups, an uneven number of them in each site, but never all of a site."""
    chosen: set[HeadId] = set()
    for site in model_of(name).anatomy.sites:
        count = 1 + (site.index + seed) % max(1, site.kv_heads - 1)
        for group in random.Random(seed + site.index).sample(site.groups, count):
            chosen |= {HeadId(site.index, head) for head in group}
    return Mask(frozenset(chosen))


def neurons_mask(name: str, seed: int = 0) -> Mask:
    """An uneven number of neurons in each block."""
    chosen: set[NeuronId] = set()
    for block in model_of(name).anatomy.blocks:
        count = block.neurons // (2 + (block.index + seed) % 3)
        picked = random.Random(seed + block.index).sample(range(block.neurons), count)
        chosen |= {NeuronId(block.index, neuron) for neuron in picked}
    return Mask(neurons=frozenset(chosen))


def layers_mask(name: str) -> Mask:
    """The last layer that can go."""
    layers = [layer.index for layer in model_of(name).anatomy.layers if layer.support == "prune"]
    return Mask(layers=frozenset(layers[-1:]))


MASKS = {
    "heads": groups_mask,
    "other heads": lambda name: groups_mask(name, 1),
    "neurons": neurons_mask,
    "layers": layers_mask,
    "everything": lambda name: groups_mask(name) | neurons_mask(name) | layers_mask(name),
}


@functools.cache
def pruned_of(name: str, what: str) -> PrunedModel:
    """The family's model without one of the masks, made once for all tests."""
    return prune(model_of(name), MASKS[what](name))


def distance(name: str, mask: Mask, module: torch.nn.Module, **size: int) -> float:
    inputs = inputs_of(name, **size)
    with torch.inference_mode():
        with gated(model_of(name), mask) as original:
            expected = logits_of(original, inputs)
        return float((logits_of(module, inputs) - expected).abs().max())


@pytest.mark.parametrize("what", MASKS)
@pytest.mark.parametrize("name", NAMES)
def test_masked_equals_pruned(name: str, what: str) -> None:
    mask, found = MASKS[what](name), pruned_of(name, what)
    assert found.mask == mask
    assert found.difference <= TOLERANCE
    assert distance(name, mask, found.module, rows=4, length=9) <= TOLERANCE


@pytest.mark.parametrize("what", MASKS)
@pytest.mark.parametrize("name", NAMES)
def test_the_weights_are_gone_and_the_count_was_right(name: str, what: str) -> None:
    model, mask, found = model_of(name), MASKS[what](name), pruned_of(name, what)
    assert found.parameters == sum(p.numel() for p in found.module.parameters())
    assert found.parameters == count_cost(model).after(mask).parameters < model.anatomy.parameters


@pytest.mark.parametrize("name", NAMES)
def test_every_part_says_how_far_it_can_be_taken(name: str) -> None:
    anatomy = model_of(name).anatomy
    assert anatomy.support == "prune", anatomy.reason
    assert {site.support for site in anatomy.sites} == {block.support for block in anatomy.blocks} == {"prune"}
    assert {layer.index for layer in anatomy.layers if layer.support != "prune"} == NEEDED_LAYERS.get(name, set())
    assert all(layer.reason for layer in anatomy.layers if layer.support != "prune")


@pytest.mark.parametrize("name", NAMES)
def test_dead_heads_vanish_wherever_the_architecture_lets_them(name: str) -> None:
    assert (pruned_of(name, "heads").layout == "padded") == (name in PADDED)


@pytest.mark.parametrize("name", NAMES)
def test_a_site_that_loses_every_head_still_works(name: str) -> None:
    model = model_of(name)
    mask = Mask(frozenset(HeadId(0, head) for head in range(model.anatomy.sites[0].heads)))
    found = prune(model, mask)
    assert distance(name, mask, found.module) <= TOLERANCE
    assert found.module.get_submodule(model.anatomy.sites[0].projection).weight.numel() == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_block_that_loses_every_neuron_still_works(name: str) -> None:
    model = model_of(name)
    mask = Mask(neurons=frozenset(NeuronId(0, i) for i in range(model.anatomy.blocks[0].neurons)))
    found = prune(model, mask)
    assert distance(name, mask, found.module) <= TOLERANCE
    assert found.module.get_submodule(model.anatomy.blocks[0].projection).weight.numel() == 0


@pytest.mark.parametrize("name", GROUPED)
def test_a_mask_may_cut_inside_a_group_and_hears_what_it_costs(name: str) -> None:
    model = model_of(name)
    mask = Mask(frozenset({HeadId(0, 1), *(HeadId(1, h) for h in (0, 1, 2))}))
    found = prune(model, mask)
    assert found.mask == mask
    assert distance(name, mask, found.module) <= TOLERANCE
    assert "part of a key-value group" in " ".join(map(str, found.notes))
    assert found.parameters == count_cost(model).after(mask).parameters


@pytest.mark.parametrize("name", NAMES)
def test_the_original_is_untouched_and_the_copy_stands_alone(name: str) -> None:
    model, inputs = model_of(name), inputs_of(name)
    before = logits_of(model.module, inputs)
    found = prune(model, groups_mask(name))
    hooks = [h for m in found.module.modules() for h in (*m._forward_pre_hooks.values(), *m._forward_hooks.values())]
    assert not [hook for hook in hooks if isinstance(getattr(hook, "__self__", hook), Slot)]
    with gated(model, groups_mask(name, seed=1)):
        assert float((logits_of(found.module, inputs) - logits_of(found.module, inputs)).abs().max()) == 0
    with torch.no_grad():
        for parameter in found.module.parameters():
            parameter.zero_()
    assert torch.equal(logits_of(model.module, inputs), before)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "t5", "swin"])
def test_it_holds_under_every_attention_implementation(name: str, implementation: str) -> None:
    mask = groups_mask(name)
    module = prune(model_of(name), mask).module
    try:
        module.set_attn_implementation(implementation)
    except ValueError:
        pytest.skip(f"transformers has no {implementation} attention for {name}")
    assert distance(name, mask, module) <= TOLERANCE


def test_a_layer_that_others_need_is_refused_with_the_number() -> None:
    with pytest.raises(UnsupportedError, match="differs by"):
        prune(model_of("t5"), Mask(layers=frozenset({0})))


@pytest.mark.parametrize("kind", ["yolos", "qwen3_vl_vision", "depth_anything"])
def test_a_layer_whose_number_matters_keeps_its_place_without_weights(kind: str, tmp_path: Path) -> None:
    """Position embeddings added half-way, features handed out by number, and stages: the list must not get shorter."""
    model = wrap_model(tiny_model(kind), name=kind)
    layer = model.anatomy.layers[0]
    mask = Mask(layers=frozenset({0}))
    found = prune(model, mask)
    assert not list(found.module.get_submodule(layer.name).parameters())
    assert "keep their places" in " ".join(map(str, found.notes))
    inputs = dry_run_inputs(model.module, tokens=9)
    with torch.inference_mode(), gated(model, mask) as original:
        expected = outputs(original, inputs)
        assert largest_difference(outputs(found.module, inputs), expected) <= TOLERANCE
    assert export_checkpoint(model, found, tmp_path / "small").reload_difference == 0


@pytest.mark.parametrize("name", ["gpt2-lm", "t5-generation", "llama-lm"])
def test_tied_weights_stay_tied(name: str) -> None:
    family = FAMILIES[name]
    model = wrap_model(family.build(tie_word_embeddings=True))
    found = prune(model, Mask.parse_heads("0:0-1")).module
    assert found.get_output_embeddings().weight is found.get_input_embeddings().weight
    assert found.training is False
    assert found.dtype == model.module.dtype
