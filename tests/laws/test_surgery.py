"""Masked equals pruned: cutting heads out gives what the mask gave, for every family, on inputs of the test's own.

Both run the same sums in another order, in float32, on outputs of at most 5: the design allows 1e-5.
"""

from __future__ import annotations

import random

import pytest
import torch

from pruning import Mask, UnsupportedError, count_cost, gated, prune
from pruning.gating import Slot
from pruning.masks import HeadId
from pruning.surgery.heads import whole_groups
from tests.families import NAMES, inputs_of, logits_of, model_of

TOLERANCE = 1e-5
# Families whose heads cannot be cut by the general rule; cutting must refuse them and say why.
REFUSED = {
    "deberta-v2": "cannot be told apart",
    "bloom-lm": "cannot be told apart",
    "swin": "does not run with fewer heads",
    "phi3-lm": "does not run with fewer heads",
    "t5": "does not run with fewer heads",
    "t5-generation": "does not run with fewer heads",
}
CUT = [name for name in NAMES if name not in REFUSED]


def groups_mask(name: str, seed: int = 0) -> Mask:
    """Whole key-value groups, an uneven number of them in each site, but never all of a site."""
    chosen: set[HeadId] = set()
    for site in model_of(name).anatomy.sites:
        size = site.heads // site.kv_heads
        count = 1 + (site.index + seed) % max(1, site.kv_heads - 1)
        for group in random.Random(seed + site.index).sample(range(site.kv_heads), count):
            chosen |= {HeadId(site.index, group * size + i) for i in range(size)}
    return Mask(frozenset(chosen))


def distance(name: str, mask: Mask, module: torch.nn.Module, **size: int) -> float:
    inputs = inputs_of(name, **size)
    with torch.inference_mode():
        with gated(model_of(name), mask) as original:
            expected = logits_of(original, inputs)
        return float((logits_of(module, inputs) - expected).abs().max())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", CUT)
def test_masked_equals_pruned(name: str, seed: int) -> None:
    mask = groups_mask(name, seed)
    found = prune(model_of(name), mask)
    assert found.mask == mask
    assert found.difference <= TOLERANCE
    assert distance(name, mask, found.module, rows=4, length=9) <= TOLERANCE


@pytest.mark.parametrize("name", CUT)
def test_the_weights_are_gone_and_the_count_was_right(name: str) -> None:
    model, mask = model_of(name), groups_mask(name)
    found = prune(model, mask)
    assert found.parameters == sum(p.numel() for p in found.module.parameters())
    assert found.parameters == count_cost(model).after(mask).parameters < model.anatomy.parameters


@pytest.mark.parametrize("name", CUT)
def test_a_site_that_loses_every_head_still_works(name: str) -> None:
    mask = Mask(frozenset(HeadId(0, head) for head in range(model_of(name).anatomy.sites[0].heads)))
    found = prune(model_of(name), mask)
    assert distance(name, mask, found.module) <= TOLERANCE


@pytest.mark.parametrize("name", CUT)
def test_the_original_is_untouched_and_the_copy_has_no_gates(name: str) -> None:
    model, inputs = model_of(name), inputs_of(name)
    before = logits_of(model.module, inputs)
    found = prune(model, groups_mask(name))
    assert torch.equal(logits_of(model.module, inputs), before)
    hooks = [h for m in found.module.modules() for h in (*m._forward_pre_hooks.values(), *m._forward_hooks.values())]
    assert not [hook for hook in hooks if isinstance(getattr(hook, "__self__", hook), Slot)]
    with gated(model, groups_mask(name, seed=1)):
        assert float((logits_of(found.module, inputs) - logits_of(found.module, inputs)).abs().max()) == 0


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_the_general_rule_cannot_cut_is_refused(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        prune(model_of(name), groups_mask(name))


def test_heads_of_a_group_that_stays_are_restored() -> None:
    anatomy = model_of("llama").anatomy
    site = anatomy.sites[0]
    size = site.heads // site.kv_heads
    assert size > 1, "this family has groups"
    part = Mask(frozenset(HeadId(0, head) for head in range(size + 1)))
    assert whole_groups(part, anatomy).heads == {HeadId(0, head) for head in range(size)}


def test_neurons_and_layers_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="only heads"):
        prune(model_of("bert"), Mask(layers=frozenset({0})))


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_it_holds_under_every_attention_implementation(name: str, implementation: str) -> None:
    mask = groups_mask(name)
    module = prune(model_of(name), mask).module
    module.set_attn_implementation(implementation)
    assert distance(name, mask, module) <= TOLERANCE
