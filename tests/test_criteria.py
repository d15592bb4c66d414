"""Each criterion against an independent implementation in `tests.reference`, and against answers found by hand.

The tolerance is 1e-5 of a value of at most 1: float32 through two layers, forward and back.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pruning import LoadedModel, Mask, PruningError, criteria, score, wrap_model
from pruning.importance import describe_criterion, get_criterion, register
from pruning.tasks import Examples
from tests import reference
from tests.families import FAMILIES, HEAD_DIM, HEADS, LAYERS, examples_of, model_of

PROJECTIONS = {  # written down here on purpose: the engine has to find them by itself
    "bert": "bert.encoder.layer.{}.attention.output.dense",
    "distilbert": "distilbert.transformer.layer.{}.attention.out_lin",
    "gpt2": "transformer.h.{}.attn.c_proj",
    "gpt2-lm": "transformer.h.{}.attn.c_proj",
    "llama": "model.layers.{}.self_attn.o_proj",
    "llama-lm": "model.layers.{}.self_attn.o_proj",
    "vit": "vit.layers.{}.attention.o_proj",
}
NEAR = {"rtol": 0, "atol": 1e-5}


def projections(name: str) -> list[str]:
    return [PROJECTIONS[name].format(layer) for layer in range(LAYERS)]


def pairs_of(examples: Examples) -> list[tuple[dict[str, Any], int | None]]:
    targets = examples.targets or (None,) * len(examples)
    return list(zip(examples.features, targets, strict=True))


# Against independent implementations -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("batch_size", [1, 32])
def test_gradient_is_the_loop_over_examples(name: str, batch_size: int) -> None:
    examples = examples_of(name, 9)
    expected = reference.absolute_gradients(FAMILIES[name].build(), projections(name), HEADS, pairs_of(examples))
    found = score(model_of(name), "gradient", examples, batch_size=batch_size)
    np.testing.assert_allclose(found.values, expected, **NEAR)
    assert expected.max() > 1e-2, "nothing to compare"


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("batch_size", [1, 32])
def test_ablation_is_the_difference_of_mean_losses(name: str, batch_size: int) -> None:
    examples = examples_of(name, 9)
    expected = reference.ablations(FAMILIES[name].build, projections(name), HEADS, HEAD_DIM, pairs_of(examples))
    found = score(model_of(name), "ablation", examples, batch_size=batch_size)
    np.testing.assert_allclose(found.values, expected, **NEAR)
    assert expected.min() < 0 < expected.max()


@pytest.mark.parametrize("name", PROJECTIONS)
def test_entropy_is_that_of_the_weights_eager_attention_reports(name: str) -> None:
    examples = examples_of(name, 9)
    expected = reference.entropies(FAMILIES[name].build(attn_implementation="eager"), list(examples.features))
    found = score(model_of(name), "entropy", examples)
    np.testing.assert_allclose(found.values, expected, **NEAR)


def test_entropy_of_t5_includes_its_position_bias() -> None:
    """Sites in the order of the forward pass: two of the encoder, then self and cross of each decoder layer."""
    examples = examples_of("t5")
    found = np.array(score(model_of("t5"), "entropy", examples).values)
    module, expected = FAMILIES["t5"].build(attn_implementation="eager"), []
    for features in examples.features:
        inputs = {key: torch.as_tensor(value)[None] for key, value in features.items()}
        with torch.no_grad():
            out = module.transformer(**inputs, decoder_input_ids=module.transformer._shift_right(inputs["input_ids"]),
                                     output_attentions=True)  # fmt: skip
        both = [a for pair in zip(out.decoder_attentions, out.cross_attentions, strict=True) for a in pair]
        weights = [*out.encoder_attentions, *both]
        expected.append([torch.special.entr(p).sum(-1).mean(-1)[0].numpy() for p in weights])
    np.testing.assert_allclose(found, np.mean(expected, axis=0), **NEAR)


def test_entropy_of_swin_is_the_mean_over_its_windows() -> None:
    """Four windows of each image in the first stage, one in the second; 2 heads there and 4 here."""
    examples, module = examples_of("swin"), FAMILIES["swin"].build(attn_implementation="eager")
    expected: list[list[Tensor]] = [[], []]
    for features in examples.features:
        with torch.no_grad():
            attentions = module(features["pixel_values"][None], output_attentions=True).attentions
        assert [len(weights) for weights in attentions] == [4, 1]
        for site, weights in zip(expected, attentions, strict=True):
            site.append(torch.special.entr(weights).sum(-1).mean((0, 2)))
    for found, site in zip(score(model_of("swin"), "entropy", examples).values, expected, strict=True):
        np.testing.assert_allclose(found, torch.stack(site).mean(0), **NEAR)


def test_standard_errors_are_those_of_the_mean_over_examples() -> None:
    """Nine examples scored alone give nine values for each head."""
    examples = examples_of("bert", 9)
    alone = []
    for i in range(9):
        one = Examples(*((part[i],) for part in (examples.features, examples.targets, examples.keys, examples.texts)),
                       examples.class_names, "one")  # fmt: skip
        alone.append(score(model_of("bert"), "gradient", one).values)
    found = score(model_of("bert"), "gradient", examples)
    np.testing.assert_allclose(found.values, np.mean(alone, axis=0), **NEAR)
    np.testing.assert_allclose(found.standard_errors, np.std(alone, axis=0, ddof=1) / 3, **NEAR)


def norm(*parts: Tensor) -> float:
    return math.sqrt(sum(float(part.double().square().sum()) for part in parts))


def bert_magnitude(module: nn.Module, layer: int, head: int) -> float:
    attention, rows = module.bert.encoder.layer[layer].attention, slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
    inner = attention.self
    slices = [linear.weight[rows] for linear in (inner.query, inner.key, inner.value)]
    return norm(*slices, attention.output.dense.weight[:, rows])


def gpt2_magnitude(module: nn.Module, layer: int, head: int) -> float:
    """Query, key and value lie side by side in the columns of one transposed weight."""
    attention, width = module.transformer.h[layer].attn, HEADS * HEAD_DIM
    columns = [slice(part * width + head * HEAD_DIM, part * width + (head + 1) * HEAD_DIM) for part in range(3)]
    rows = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
    return norm(*(attention.c_attn.weight[:, c] for c in columns), attention.c_proj.weight[rows])


def llama_magnitude(module: nn.Module, layer: int, head: int) -> float:
    """Two query heads share one key-value head, which counts for both."""
    attention, rows = module.model.layers[layer].self_attn, slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
    shared = slice(head // 2 * HEAD_DIM, (head // 2 + 1) * HEAD_DIM)
    keys = attention.k_proj.weight[shared], attention.v_proj.weight[shared]
    return norm(attention.q_proj.weight[rows], *keys, attention.o_proj.weight[:, rows])


@pytest.mark.parametrize(
    ("name", "by_hand"), [("bert", bert_magnitude), ("gpt2", gpt2_magnitude), ("llama", llama_magnitude)]
)
def test_magnitude_is_the_norm_of_the_slices(name: str, by_hand: Any) -> None:
    module = FAMILIES[name].build()
    expected = [[by_hand(module, layer, head) for head in range(HEADS)] for layer in range(LAYERS)]
    np.testing.assert_allclose(score(model_of(name), "magnitude").values, expected, rtol=1e-9)


def test_random_is_the_same_for_the_same_seed_only() -> None:
    first, again, other = (score(model_of("bert"), "random", seed=seed).values for seed in (4, 4, 5))
    assert first == again != other


def test_reversed_is_minus_the_gradient_and_ranks_backwards() -> None:
    examples = examples_of("bert")
    plain, turned = (score(model_of("bert"), name, examples) for name in ("gradient", "reversed"))
    np.testing.assert_array_equal(np.array(turned.values), -np.array(plain.values))
    assert turned.ranked() == plain.ranked()[::-1]


# A model whose answers are found by hand ---------------------------------------------------------------------------


class ToyAttention(nn.Module):
    """Three heads of width 1, each of which always holds a 1."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 3
        self.out_proj = nn.Linear(3, 2, bias=False)
        self.out_proj.weight.data = torch.tensor([[2.0, -1.0, -1.0], [0.0, 0.0, 0.0]])

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(x)


class ToyForSequenceClassification(nn.Module):
    """Logits (2a - b - c, 0) for gates a, b, c: both classes are equally likely while all heads are there."""

    main_input_name = "input_ids"

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            vocab_size=20, pad_token_id=0, id2label={0: "no", 1: "yes"}, to_json_string=lambda: "toy"
        )
        self.attention = ToyAttention()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
        return SimpleNamespace(logits=self.attention(torch.ones(*input_ids.shape, 3)).mean(1))


@pytest.fixture
def toy() -> LoadedModel:
    return wrap_model(ToyForSequenceClassification(), name="toy")


@pytest.fixture
def toy_examples() -> Examples:
    """Three examples; the right answer is class 0, 0 and 1."""
    return Examples(({"input_ids": [5, 6]},) * 3, (0, 0, 1), (2,) * 3, ("a", "b", "c"), ("no", "yes"), "toy")


def test_toy_gradients_by_hand(toy: LoadedModel, toy_examples: Examples) -> None:
    """∂ loss / ∂ gate = ±½ · weight, and without the absolute value the two classes would cancel to a third of it."""
    assert score(toy, "gradient", toy_examples).values == ((1.0, 0.5, 0.5),)
    assert score(toy, "reversed", toy_examples).values == ((-1.0, -0.5, -0.5),)


def test_toy_ablation_by_hand(toy: LoadedModel, toy_examples: Examples) -> None:
    """Without head 0 the margin is -2, without one of the others it is +1; with all of them the loss is ln 2."""

    def loss(margin: float) -> float:
        right, wrong = math.log1p(math.exp(-margin)), math.log1p(math.exp(margin))
        return (2 * right + wrong) / 3

    expected = [loss(margin) - math.log(2) for margin in (-2, 1, 1)]
    np.testing.assert_allclose(score(toy, "ablation", toy_examples).values, [expected], atol=1e-7)


def test_toy_evaluation_by_hand(toy: LoadedModel, toy_examples: Examples) -> None:
    from pruning import evaluate

    right = evaluate(toy, toy_examples, Mask.parse_heads("0:1"))
    wrong = evaluate(toy, toy_examples, Mask.parse_heads("0:0"))
    assert right.metrics["accuracy"].value == pytest.approx(2 / 3)
    assert wrong.metrics["accuracy"].value == pytest.approx(1 / 3)
    assert right.metrics["confidence"].value == pytest.approx(1 / (1 + math.exp(-1)))


# The registry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", criteria())
def test_every_criterion_says_what_it_is(name: str) -> None:
    row = describe_criterion(get_criterion(name))
    assert row["name"] == name
    assert row["direction"] in ("high", "low")
    assert all(len(str(row[key]).strip()) >= 4 for key in ("label", "unit", "cost", "about", "reference"))
    assert get_criterion(name)() == get_criterion(name)(), "settings are its fields, and there is no other state"


def test_names_that_are_taken_are_refused() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register(get_criterion("gradient"))


def test_unknown_criteria_are_answered_with_the_known_ones() -> None:
    with pytest.raises(PruningError, match="there are gradient, ablation,"):
        score(model_of("bert"), "magic")
