"""What a mask does, for every family: nothing when empty, and otherwise exactly what zeroed weights do.

A gate of zero puts zeros where the weights would have been zeroed, so the two differ only by how a sum is ordered.
Logits here are at most 5, and float32 keeps seven digits: 1e-6 of the largest logit is the tolerance. A batch and its
rows alone may go through different kernels, in up to 2 encoder and 2 decoder layers: 1e-5 there.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pruning import Mask, MaskError, gated
from pruning.gating import unit_gates
from pruning.masks import HeadId, NeuronId
from tests.families import FAMILIES, NAMES, inputs_of, logits_of, model_of
from tests.reference import head_columns, zero_columns

STACKED = {
    "bert": "bert.encoder.layer", "electra": "electra.encoder.layer", "distilbert": "distilbert.transformer.layer",
    "vit": "vit.layers", "llama": "model.layers", "phi3-lm": "model.layers", "bloom-lm": "transformer.h",
}  # fmt: skip


def close(a: Tensor, b: Tensor, tolerance: float = 1e-6) -> None:
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def masked(name: str, mask: Mask, inputs: dict[str, Tensor]) -> Tensor:
    with gated(model_of(name), mask) as module:
        return logits_of(module, inputs)


def with_zeroed_heads(name: str, heads: list[tuple[int, int]], inputs: dict[str, Tensor]) -> Tensor:
    """An independent copy of the model whose output projections do not read these heads."""
    copy = FAMILIES[name].build()
    for site, head in heads:
        part = model_of(name).anatomy.sites[site]
        zero_columns(copy.get_submodule(part.projection), head_columns(head, part.head_dim))
    return logits_of(copy, inputs)


@pytest.mark.parametrize("name", NAMES)
def test_every_part_can_be_gated(name: str) -> None:
    anatomy = model_of(name).anatomy
    parts = [*anatomy.sites, *anatomy.blocks, *anatomy.layers]
    assert {part.support for part in parts} <= {"gate", "prune"}
    assert anatomy.per_example
    assert len(anatomy.blocks) == len(anatomy.layers) >= 1


@pytest.mark.parametrize("name", NAMES)
def test_gates_of_one_are_the_original_exactly(name: str) -> None:
    model, inputs = model_of(name), inputs_of(name)
    original = logits_of(FAMILIES[name].build(), inputs)
    assert torch.equal(logits_of(model.module, inputs), original)
    assert torch.equal(masked(name, Mask(), inputs), original)
    for shape in [(model.anatomy.total_heads,), (3, model.anatomy.total_heads)]:
        with unit_gates(model, torch.ones(shape)) as module:
            assert torch.equal(logits_of(module, inputs), original)


@pytest.mark.parametrize("name", NAMES)
def test_a_masked_head_is_a_zeroed_slice_of_the_projection(name: str) -> None:
    inputs, original = inputs_of(name), logits_of(model_of(name).module, inputs_of(name))
    for head in model_of(name).anatomy.head_ids():
        output = masked(name, Mask(frozenset({head})), inputs)
        close(output, with_zeroed_heads(name, [head], inputs))
        assert not torch.equal(output, original), f"removing head {head} changed nothing"


@pytest.mark.parametrize("name", NAMES)
def test_many_masked_heads_with_padding(name: str) -> None:
    """Uneven numbers of heads per site, one site without any, and the last token of the first row masked out."""
    anatomy, inputs = model_of(name).anatomy, inputs_of(name)
    if "attention_mask" in inputs:
        inputs["attention_mask"][0, 0] = 0
    heads = [HeadId(0, head) for head in range(anatomy.sites[0].heads)]
    heads += [HeadId(site.index, site.heads - 1) for site in anatomy.sites[1:]]
    close(masked(name, Mask(frozenset(heads)), inputs), with_zeroed_heads(name, heads, inputs))


@pytest.mark.parametrize("name", NAMES)
def test_gates_of_each_example_are_one_run_for_each(name: str) -> None:
    model, inputs = model_of(name), inputs_of(name, rows=4)
    gates = torch.rand(4, model.anatomy.total_heads, generator=torch.Generator().manual_seed(3))
    gates[0], gates[1, ::2] = 1.0, 0.0
    with unit_gates(model, gates) as module:
        together = logits_of(module, inputs)
    for row in range(4):
        with unit_gates(model, gates[row]) as module:
            alone = logits_of(module, {key: value[row : row + 1] for key, value in inputs.items()})
        close(together[row : row + 1], alone, 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_masked_neurons_are_zeroed_columns_of_the_down_projection(name: str) -> None:
    inputs = inputs_of(name)
    for block in model_of(name).anatomy.blocks:
        removed = [0, 3, block.neurons - 1]
        copy = FAMILIES[name].build()
        zero_columns(copy.get_submodule(block.projection), removed)
        output = masked(name, Mask(neurons=frozenset(NeuronId(block.index, i) for i in removed)), inputs)
        close(output, logits_of(copy, inputs))
        assert not torch.equal(output, logits_of(model_of(name).module, inputs))


def pass_through(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    """What a layer returns if it is not there: its input, and whatever else it hands on (T5's position bias)."""
    x = args[0] if args else kwargs["hidden_states"]
    return x.clone() if isinstance(output, Tensor) else (x.clone(), *output[1:])


@pytest.mark.parametrize("name", NAMES)
def test_a_masked_layer_returns_its_input(name: str) -> None:
    inputs = inputs_of(name)
    for layer in model_of(name).anatomy.layers:
        copy = FAMILIES[name].build()
        copy.get_submodule(layer.name).register_forward_hook(pass_through, with_kwargs=True)
        output = masked(name, Mask(layers=frozenset({layer.index})), inputs)
        close(output, logits_of(copy, inputs))
        assert not torch.equal(output, logits_of(model_of(name).module, inputs))


@pytest.mark.parametrize("name", STACKED)
def test_a_masked_layer_is_a_shorter_stack(name: str) -> None:
    inputs = inputs_of(name)
    for layer in model_of(name).anatomy.layers:
        copy = FAMILIES[name].build()
        del copy.get_submodule(STACKED[name])[layer.index]
        close(masked(name, Mask(layers=frozenset({layer.index})), inputs), logits_of(copy, inputs))


@pytest.mark.parametrize("name", NAMES)
def test_masks_that_do_not_fit_are_refused(name: str) -> None:
    anatomy = model_of(name).anatomy
    wrong = [
        Mask.parse_heads(f"{len(anatomy.sites)}:0"),
        Mask.parse_heads(f"0:{anatomy.sites[0].heads}"),
        Mask(neurons=frozenset({NeuronId(0, anatomy.blocks[0].neurons)})),
        Mask(layers=frozenset({len(anatomy.layers)})),
    ]
    for mask in wrong:
        with pytest.raises(MaskError, match="does not exist"), gated(model_of(name), mask):
            pytest.fail("the mask was accepted")


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["bert", "gpt2-lm", "llama", "vit"])
def test_gating_works_under_each_attention_implementation(name: str, implementation: str) -> None:
    from pruning import wrap_model

    model = wrap_model(FAMILIES[name].build(attn_implementation=implementation))
    inputs, heads = inputs_of(name), [HeadId(0, 1), HeadId(1, 2), HeadId(1, 3)]
    copy = FAMILIES[name].build(attn_implementation=implementation)
    for site, head in heads:
        part = model.anatomy.sites[site]
        zero_columns(copy.get_submodule(part.projection), head_columns(head, part.head_dim))
    with gated(model, Mask(frozenset(heads))) as module:
        close(logits_of(module, inputs), logits_of(copy, inputs))


def test_what_lies_beside_the_heads_is_left_alone() -> None:
    """ConvBERT's projection reads the heads first, and then as many features of a convolution."""
    from pruning import wrap_model
    from pruning.conformance.tiny import tiny_model
    from pruning.inputs import dry_run_inputs, outputs

    model, other = wrap_model(tiny_model("convbert")), tiny_model("convbert")
    site = model.anatomy.sites[0]
    inputs = dry_run_inputs(other)
    projection = other.get_submodule(site.projection)
    assert projection.weight.shape[1] == 2 * site.heads * site.head_dim

    def zero(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        x = args[0].clone()
        x[..., site.head_dim : 2 * site.head_dim] = 0.0
        return (x, *args[1:])

    projection.register_forward_pre_hook(zero)
    with torch.no_grad(), gated(model, Mask.parse_heads("0:1")) as module:
        found, expected = outputs(module, inputs), outputs(other, inputs)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
