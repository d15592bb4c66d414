"""Criteria that look at attention, activations and weights, each against hooks and formulas of this file's own.

1e-5 of values around 1: float32 through two layers. Sums over tokens are compared relative to their size.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pruning import Mask, UnsupportedError, score, wrap_model
from pruning.attention import Watcher
from pruning.importance import get_criterion
from pruning.importance.context import Setting
from pruning.importance.distance import mean_distance
from pruning.importance.similarity import linear_cka
from pruning.masks import NeuronId
from pruning.recovery.compensation import Compensation, Refit
from pruning.scopes import SCOPES, units_of
from pruning.tasks import Examples
from tests.families import FAMILIES, HEAD_DIM, HEADS, LAYERS, SIZE, examples_of, model_of

NEAR = {"rtol": 1e-5, "atol": 1e-5}
WIDTH = HEADS * HEAD_DIM
PATHS = {  # of a layer, of its heads' projection and of its neurons': the engine has to find them by itself
    "bert": ("bert.encoder.layer.{}", ".attention.output.dense", ".output.dense"),
    "gpt2": ("transformer.h.{}", ".attn.c_proj", ".mlp.c_proj"),
}
MINE = ("confidence", "distance", "magnitude", "magnitude-l1", "output-norm", "wanda", "fluctuation", "similarity",
        "fusion")  # fmt: skip
PAIRS = [(name, scope) for name in MINE for scope in get_criterion(name).scopes]


def examples_for(name: str, criterion: str, count: int = 6) -> Examples | None:
    return examples_of(name, count) if get_criterion(criterion).needs_data else None


def inputs_of(features: dict[str, Any]) -> dict[str, Tensor]:
    return {key: torch.as_tensor(value)[None] for key, value in features.items()}


def weight_of(module: nn.Module, path: str) -> np.ndarray:
    """``(out, in)`` in float64."""
    weight = module.get_submodule(path).weight.double().numpy()
    return weight if path.startswith("bert") else weight.T


def seen_by(module: nn.Module, paths: list[str], examples: Examples) -> list[list[np.ndarray]]:
    """What each layer receives from each example by itself, ``[path][example] (token, width)``."""
    found: list[list[np.ndarray]] = [[] for _ in paths]
    for path, kept in zip(paths, found, strict=True):
        module.get_submodule(path).register_forward_pre_hook(
            lambda child, args, kept=kept: kept.append(args[0][0].double().numpy())
        )
    for features in examples.features:
        with torch.no_grad():
            module(**inputs_of(features))
    return found


def parts(name: str, scope: str, examples: Examples) -> list[tuple[np.ndarray, list[np.ndarray], list[slice]]]:
    """For each part the weight of its projection, what that receives and the inputs of each unit."""
    module = FAMILIES[name].build()
    paths = [(PATHS[name][0] + PATHS[name][1 + (scope == "neurons")]).format(layer) for layer in range(LAYERS)]
    found = []
    for path, rows in zip(paths, seen_by(module, paths, examples), strict=True):
        weight = weight_of(module, path)
        size = HEAD_DIM if scope == "heads" else 1
        found.append((weight, rows, [slice(i, i + size) for i in range(0, weight.shape[1], size)]))
    return found


# Attention ---------------------------------------------------------------------------------------------------------


def test_distance_by_hand() -> None:
    """The first query looks at itself; the second half at itself and half at its neighbour; the third at the first."""
    weights = torch.tensor([[[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]]])
    assert mean_distance(weights).tolist() == [[[0.0, 0.5, 2.0]]]


def confidence_of(p: Tensor) -> Tensor:
    return p.max(-1).values.mean(-1)


def distance_of(p: Tensor) -> Tensor:
    total = torch.zeros(p.shape[:-1])
    for i in range(p.shape[-2]):
        for j in range(p.shape[-1]):
            total[..., i] += p[..., i, j] * abs(i - j)
    return total.mean(-1)


STATISTICS = {"confidence": confidence_of, "distance": distance_of}


@pytest.mark.parametrize("criterion", STATISTICS)
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "deberta-v2", "bloom-lm"])
def test_attention_is_what_eager_attention_reports(name: str, criterion: str) -> None:
    examples, module = examples_of(name, 6), FAMILIES[name].build(attn_implementation="eager")
    expected = []
    for features in examples.features:
        with torch.no_grad():
            attentions = module(**inputs_of(features), output_attentions=True).attentions
        expected.append([STATISTICS[criterion](p)[0].numpy() for p in attentions])
    found = score(model_of(name), criterion, examples)
    np.testing.assert_allclose(found.values, np.mean(expected, axis=0), **NEAR)
    assert found.scores is not None
    np.testing.assert_allclose(found.scores, np.reshape(expected, (6, -1)), **NEAR)


@pytest.mark.parametrize("criterion", STATISTICS)
def test_cross_attention_counts_queries_here_and_keys_there(criterion: str) -> None:
    examples, module = examples_of("t5", 4), FAMILIES["t5"].build(attn_implementation="eager")
    expected = []
    for features in examples.features:
        inputs = inputs_of(features)
        with torch.no_grad():
            out = module.transformer(**inputs, decoder_input_ids=module.transformer._shift_right(inputs["input_ids"]),
                                     output_attentions=True)  # fmt: skip
        both = [p for pair in zip(out.decoder_attentions, out.cross_attentions, strict=True) for p in pair]
        expected.append([STATISTICS[criterion](p)[0].numpy() for p in (*out.encoder_attentions, *both)])
    np.testing.assert_allclose(score(model_of("t5"), criterion, examples).values, np.mean(expected, axis=0), **NEAR)


@pytest.mark.parametrize("criterion", STATISTICS)
def test_image_windows_count_positions_inside_the_window(criterion: str) -> None:
    examples, module = examples_of("swin", 3), FAMILIES["swin"].build(attn_implementation="eager")
    expected: list[list[Tensor]] = [[], []]
    for features in examples.features:
        with torch.no_grad():
            attentions = module(features["pixel_values"][None], output_attentions=True).attentions
        for site, weights in zip(expected, attentions, strict=True):
            site.append(STATISTICS[criterion](weights).mean(0))
    for found, site in zip(score(model_of("swin"), criterion, examples).values, expected, strict=True):
        np.testing.assert_allclose(found, torch.stack(site).mean(0), **NEAR)


@pytest.mark.parametrize("criterion", STATISTICS)
def test_attention_that_cannot_be_seen_is_refused(criterion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeBERTa does not use the interface, and here no product has a factor of shares."""
    monkeypatch.setattr("pruning.attention_products._are_shares", lambda factor: False)
    with pytest.raises(UnsupportedError, match=r"attention weights of .* cannot be seen"):
        score(model_of("deberta-v2"), criterion, examples_of("deberta-v2", 2))
    hooks = [hook for m in model_of("deberta-v2").module.modules() for hook in m._forward_pre_hooks.values()]
    assert not any(isinstance(hook, Watcher) for hook in hooks)


# Weights -----------------------------------------------------------------------------------------------------------


def bert_weights(module: nn.Module, scope: str, layer: int, unit: int) -> list[Tensor]:
    block = module.bert.encoder.layer[layer]
    if scope == "neurons":
        return [block.intermediate.dense.weight[unit], block.output.dense.weight[:, unit]]
    if scope == "layers":
        return [p for name, p in block.named_parameters() if name.endswith("weight") and "LayerNorm" not in name]
    rows = slice(unit * HEAD_DIM, (unit + 1) * HEAD_DIM)
    own, out = block.attention.self, block.attention.output.dense
    return [own.query.weight[rows], own.key.weight[rows], own.value.weight[rows], out.weight[:, rows]]


def gpt2_weights(module: nn.Module, scope: str, layer: int, unit: int) -> list[Tensor]:
    block = module.transformer.h[layer]
    if scope == "neurons":
        return [block.mlp.c_fc.weight[:, unit], block.mlp.c_proj.weight[unit]]
    if scope == "layers":
        return [linear.weight for linear in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)]
    rows = slice(unit * HEAD_DIM, (unit + 1) * HEAD_DIM)
    columns = [slice(part * WIDTH + rows.start, part * WIDTH + rows.stop) for part in range(3)]
    return [*(block.attn.c_attn.weight[:, c] for c in columns), block.attn.c_proj.weight[rows]]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("name", "by_hand"), [("bert", bert_weights), ("gpt2", gpt2_weights)])
def test_magnitudes_are_norms_of_the_units_own_weights(name: str, by_hand: Any, scope: Any) -> None:
    module = FAMILIES[name].build()
    for criterion, order in (("magnitude", 2), ("magnitude-l1", 1)):
        found = score(model_of(name), criterion, scope=scope).values
        for layer, row in enumerate(found):
            for unit, value in enumerate(row):
                flat = torch.cat([w.flatten() for w in by_hand(module, scope, layer, unit)]).double()
                assert value == pytest.approx(float(flat.norm(p=order)), rel=1e-9)


def test_gated_neurons_count_both_layers_that_feed_them() -> None:
    mlp = FAMILIES["llama"].build().model.layers[1].mlp
    flat = torch.cat([mlp.gate_proj.weight[5], mlp.up_proj.weight[5], mlp.down_proj.weight[:, 5]]).double()
    found = score(model_of("llama"), "magnitude-l1", scope="neurons")
    assert found.values[1][5] == pytest.approx(float(flat.abs().sum()))


# Activations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["heads", "neurons"])
@pytest.mark.parametrize("name", PATHS)
def test_output_norm_is_that_of_what_the_projection_makes_of_the_unit(name: str, scope: Any) -> None:
    examples = examples_of(name, 6)
    found = score(model_of(name), "output-norm", examples, scope=scope, batch_size=4)
    for (weight, rows, slices), values in zip(parts(name, scope, examples), found.values, strict=True):
        expected = [np.mean([np.linalg.norm(x[:, s] @ weight[:, s].T, axis=1).mean() for x in rows]) for s in slices]
        np.testing.assert_allclose(values, expected, **NEAR)


@pytest.mark.parametrize("name", PATHS)
def test_output_norm_of_a_layer_is_that_of_what_it_adds(name: str) -> None:
    module, examples = FAMILIES[name].build(), examples_of(name, 6)
    added: list[list[float]] = [[] for _ in range(LAYERS)]
    for layer, norms in enumerate(added):

        def note(child: nn.Module, args: Any, output: Any, norms: list[float] = norms) -> None:
            y = output if isinstance(output, Tensor) else output[0]
            norms.append(float((y - args[0]).norm(dim=-1).mean()))

        module.get_submodule(PATHS[name][0].format(layer)).register_forward_hook(note)
    for features in examples.features:
        with torch.no_grad():
            module(**inputs_of(features))
    found = score(model_of(name), "output-norm", examples, scope="layers")
    np.testing.assert_allclose(np.array(found.values)[:, 0], np.mean(added, axis=1), **NEAR)


@pytest.mark.parametrize("scope", ["heads", "neurons"])
@pytest.mark.parametrize("name", PATHS)
def test_wanda_and_fluctuation_are_sums_over_columns(name: str, scope: Any) -> None:
    examples = examples_of(name, 6)
    wanda, fluctuation = (score(model_of(name), c, examples, scope=scope).values for c in ("wanda", "fluctuation"))
    for part, (weight, rows, slices) in enumerate(parts(name, scope, examples)):
        x = np.concatenate(rows)
        by_weight = np.abs(weight) * np.sqrt((x**2).sum(0))  # one score for each weight, as in the paper
        by_channel = x.var(axis=0, ddof=1) * np.linalg.norm(weight, axis=0) ** 2
        np.testing.assert_allclose(wanda[part], [by_weight[:, s].sum() for s in slices], rtol=1e-5)
        np.testing.assert_allclose(fluctuation[part], [by_channel[s].sum() for s in slices], rtol=1e-4)


def hsic(one: np.ndarray, two: np.ndarray) -> float:
    """Tr(K H L H) of the linear kernels K = XX' and L = YY', with the centring matrix H."""
    count = len(one)
    centring = np.eye(count) - 1 / count
    return float(np.trace(one @ one.T @ centring @ two @ two.T @ centring))


@pytest.mark.parametrize("name", PATHS)
def test_similarity_is_cka_by_centred_kernels(name: str) -> None:
    examples = examples_of(name, 5)
    found = score(model_of(name), "similarity", examples, batch_size=2).values
    for values, (_, rows, slices) in zip(found, parts(name, "heads", examples), strict=True):
        heads = [np.concatenate(rows)[:, s] for s in slices]
        table = [[hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b)) for b in heads] for a in heads]
        np.testing.assert_allclose(values, [(sum(row) - 1) / (HEADS - 1) for row in table], **NEAR)


def test_cka_is_one_for_turned_and_scaled_heads() -> None:
    """Head 1 is head 0 turned by a right angle and doubled; head 2 is another; head 3 is constant."""
    x = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    heads = torch.cat([x[:, :2], 2 * x[:, [1, 0]] * torch.tensor([-1, 1]), x[:, 2:], torch.zeros(50, 2)], 1)
    heads = heads - heads.mean(0)
    table = linear_cka(heads.T @ heads, 4)
    assert table[0, 1] == pytest.approx(1)
    assert 0 < table[0, 2] < 0.5
    assert table[3].tolist() == [0, 0, 0, 0]


# A model whose answers are found by hand ---------------------------------------------------------------------------


class ToyAttention(nn.Module):
    """Three heads of width 1: the token's number, always 0.1, and minus twice the number."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 3
        self.out_proj = nn.Linear(3, 2, bias=False)
        self.out_proj.weight.data = torch.tensor([[3.0, 0.0, 1.0], [4.0, 2.0, 0.0]])

    def forward(self, ids: Tensor) -> Tensor:
        number = ids.float()
        return self.out_proj(torch.stack([number, torch.full_like(number, 0.1), -2 * number], -1))


class ToyForSequenceClassification(nn.Module):
    main_input_name = "input_ids"

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            vocab_size=20, pad_token_id=0, id2label={0: "no", 1: "yes"}, to_json_string=lambda: "toy"
        )
        self.attention = ToyAttention()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
        return SimpleNamespace(logits=self.attention(input_ids).mean(1))


def test_toy_by_hand() -> None:
    """Tokens 1, 3 and 2, 6: mean 3, sum of squares 50, sample variance 14/3."""
    toy = wrap_model(ToyForSequenceClassification(), name="toy")
    features = ({"input_ids": [1, 3]}, {"input_ids": [2, 6]})
    examples = Examples(features, (0, 1), (2, 2), ("a", "b"), ("no", "yes"), "toy")
    expected = {
        "output-norm": (5 * 3, 0.1 * 2, 2 * 3),
        "wanda": (7 * 50**0.5, 2 * 0.04**0.5, 1 * 200**0.5),
        "fluctuation": (25 * 14 / 3, 0, 4 * 14 / 3),
        "similarity": (0.5, 0, 0.5),
    }
    for criterion, values in expected.items():
        np.testing.assert_allclose(score(toy, criterion, examples).values, [values], rtol=1e-6, err_msg=criterion)
    norms = score(toy, "output-norm", examples)
    assert norms.scores is not None
    np.testing.assert_allclose(norms.scores, [[10, 0.2, 4], [20, 0.2, 8]], rtol=1e-6)


# Every criterion and scope -----------------------------------------------------------------------------------------


REMOVED = {
    "heads": Mask.parse_heads("0:1,1:2"),
    "neurons": Mask(neurons=frozenset({NeuronId(0, 3), NeuronId(1, 0), NeuronId(1, 7)})),
    "layers": Mask(layers=frozenset({1})),
}


@pytest.mark.parametrize(("criterion", "scope"), PAIRS)
def test_what_is_removed_scores_zero_and_the_others_see_that_it_is_gone(criterion: str, scope: Any) -> None:
    mask, examples = REMOVED[scope], examples_for("bert", criterion)
    plain = score(model_of("bert"), criterion, examples, scope=scope)
    found = score(model_of("bert"), criterion, examples, scope=scope, setting=Setting(mask))
    for part, unit in units_of(mask, scope):
        assert found.values[part][unit] == 0 != plain.values[part][unit]
    if examples and scope != "layers":
        assert found.values[0][0] == plain.values[0][0] or criterion in ("similarity", "fusion")
        assert found.values[1][1] != plain.values[1][1], "the second layer does not see that the first lacks a unit"


@pytest.mark.parametrize(("criterion", "scope"), [pair for pair in PAIRS if pair[1] != "heads"])
@pytest.mark.parametrize("name", ["bert", "t5", "swin"])
def test_the_batch_size_plays_no_part(name: str, criterion: str, scope: Any) -> None:
    """As for heads in `tests/laws`; ranks may change places where two values are as near as rounding."""
    examples = examples_for(name, criterion)
    one, many = (score(model_of(name), criterion, examples, scope=scope, batch_size=size).flat() for size in (1, 4))
    assert np.isfinite(one).all()
    tolerance = 0.01 if criterion == "fusion" else 1e-6
    assert np.abs(one - many).max() <= tolerance * max(1.0, np.abs(one).max())


@pytest.mark.parametrize("name", MINE)
def test_only_scores_of_single_examples_have_standard_errors(name: str) -> None:
    found = score(model_of("bert"), name, examples_for("bert", name, 3))
    alone = get_criterion(name).per_example
    assert (found.scores is not None) == bool(found.standard_errors) == alone


@pytest.mark.parametrize(
    ("criterion", "scope"), [("output-norm", "layers"), ("wanda", "neurons"), ("distance", "heads")]
)
def test_no_hook_stays_after_an_exception(criterion: str, scope: Any) -> None:
    model = model_of("bert")
    score(model, criterion, examples_of("bert", 2), scope=scope)  # the gates' own hooks stay for good

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules())

    before, broken = hooks(), Examples(({"input_ids": [SIZE]},), (0,), (1,), ("no such token",), ("a", "b"), "broken")
    with pytest.raises(IndexError):
        score(model, criterion, broken, scope=scope)
    assert hooks() == before


@pytest.mark.parametrize("criterion", ["output-norm", "wanda", "magnitude-l1"])
def test_compensated_weights_are_the_ones_that_count(criterion: str) -> None:
    """The second site's projection doubled: its output norm and Wanda double, and nothing before it changes."""
    weight = FAMILIES["bert"].build().bert.encoder.layer[1].attention.output.dense.weight
    setting = Setting(compensation=Compensation("reconstruct", {1: Refit(torch.zeros(WIDTH), 2 * weight)}))
    examples = examples_for("bert", criterion)
    plain, doubled = (
        np.array(score(model_of("bert"), criterion, examples, setting=each).values) for each in (None, setting)
    )
    np.testing.assert_allclose(doubled[0], plain[0], rtol=1e-6)
    if criterion == "magnitude-l1":
        more = weight.abs().double().sum(0).view(HEADS, HEAD_DIM).sum(1)
        np.testing.assert_allclose(doubled[1], plain[1] + more.numpy(), rtol=1e-9)
    else:
        np.testing.assert_allclose(doubled[1], 2 * plain[1], rtol=1e-6)
