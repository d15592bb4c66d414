"""Weight × gradient against a backward pass of the test's own, for heads, neurons and layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pruning import Mask, gated, score
from pruning.importance.context import Setting
from pruning.tasks import Examples
from tests.families import FAMILIES, HEAD_DIM, HEADS, LAYERS, examples_of, model_of

NEAR = {"rtol": 1e-4, "atol": 1e-6}


def products_of(module: nn.Module, examples: Examples) -> dict[str, Tensor]:
    """|w · ∂L/∂w| of every parameter, L the mean loss, one example at a time through ``backward``."""
    module.requires_grad_(True)
    for features, target in zip(examples.features, examples.targets, strict=True):
        inputs = {name: torch.tensor([value]) for name, value in features.items()}
        loss = nn.functional.cross_entropy(module(**inputs).logits, torch.tensor([target]))
        (loss / len(examples)).backward()
    return {n: (p * p.grad).abs().detach() for n, p in module.named_parameters() if p.grad is not None}


def head_of_bert(products: dict[str, Tensor], layer: int, head: int) -> float:
    rows = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
    start = f"bert.encoder.layer.{layer}.attention"
    ins = sum(float(products[f"{start}.self.{name}.weight"][rows].sum()) for name in ("query", "key", "value"))
    return ins + float(products[f"{start}.output.dense.weight"][:, rows].sum())


def neuron_of_bert(products: dict[str, Tensor], layer: int, neuron: int) -> float:
    start = f"bert.encoder.layer.{layer}"
    return float(
        products[f"{start}.intermediate.dense.weight"][neuron].sum()
        + products[f"{start}.output.dense.weight"][:, neuron].sum()
    )


def layer_of_bert(products: dict[str, Tensor], layer: int, _: int) -> float:
    inside = [p for n, p in products.items() if n.startswith(f"bert.encoder.layer.{layer}.") and p.dim() > 1]
    return sum(float(p.sum()) for p in inside)


@pytest.mark.parametrize(
    ("scope", "one"), [("heads", head_of_bert), ("neurons", neuron_of_bert), ("layers", layer_of_bert)]
)
def test_it_is_the_sum_over_the_units_weights(scope: str, one: Callable[[dict[str, Tensor], int, int], float]) -> None:
    examples = examples_of("bert", 5)
    products = products_of(FAMILIES["bert"].build(), examples)
    found = score(model_of("bert"), "weight-taylor", examples, scope=scope)  # type: ignore[arg-type]
    expected = [[one(products, layer, unit) for unit in range(len(row))] for layer, row in enumerate(found.values)]
    for got, wanted in zip(found.values, expected, strict=True):
        np.testing.assert_allclose(got, wanted, **NEAR)
    assert len(found.values) == LAYERS


def test_conv1d_weights_lie_the_other_way_round() -> None:
    examples = examples_of("gpt2-lm", 4)
    module = FAMILIES["gpt2-lm"].build().requires_grad_(True)
    for features in examples.features:
        ids = torch.tensor([features["input_ids"]])
        logits = module(input_ids=ids).logits[:, :-1]
        (nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:]) / len(examples)).backward()
    layer, width, expected = module.transformer.h[0].attn, HEADS * HEAD_DIM, []
    fused, out = ((p.weight * p.weight.grad).abs() for p in (layer.c_attn, layer.c_proj))
    for head in range(HEADS):
        own = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
        blocks = (fused[:, part * width : (part + 1) * width][:, own] for part in range(3))
        expected.append(float(sum(block.sum() for block in blocks).detach() + out[own].sum().detach()))
    np.testing.assert_allclose(score(model_of("gpt2-lm"), "weight-taylor", examples).values[0], expected, **NEAR)


def test_the_shared_model_is_left_alone_and_what_is_gone_stays_gone() -> None:
    model, examples, mask = model_of("bert"), examples_of("bert", 4), Mask.parse_heads("0:1")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    found = score(model, "weight-taylor", examples, setting=Setting(mask))
    assert found.values[0][1] == 0
    assert found.values != score(model, "weight-taylor", examples).values
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())
    assert not any(p.requires_grad or p.grad is not None for p in model.module.parameters())
    with gated(model, Mask()) as module:
        assert module is model.module
