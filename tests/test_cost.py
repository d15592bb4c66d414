"""What models cost and what cutting heads would save, against hand arithmetic and against really smaller models."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers

from pruning import CostModel, LoadedModel, Mask, count_cost, wrap_model
from pruning.cost import Cost
from pruning.macs import count_macs
from pruning.masks import NeuronId
from pruning.surgery import prune
from tests.families import FAMILIES, HEAD_DIM, HEADS, NAMES, model_of

TOKENS = 128


@pytest.fixture(scope="module")
def minilm(demo: LoadedModel) -> CostModel:
    return count_cost(demo, TOKENS)


def bert(**settings: int) -> LoadedModel:
    return wrap_model(FAMILIES["bert"].build(**settings))


def bert_macs(hidden: int, layers: int, intermediate: int, attention: int, tokens: int, labels: int = 2) -> int:
    """Four projections, scores and weighted values, the feed-forward block; pooler and classifier see one token."""
    per_layer = tokens * (4 * hidden * attention + 2 * hidden * intermediate) + 2 * tokens * tokens * attention
    return layers * per_layer + hidden * hidden + hidden * labels


# The whole ---------------------------------------------------------------------------------------------------------


def test_minilm_by_hand(minilm: CostModel, demo: LoadedModel) -> None:
    embeddings = (30522 + 512 + 2 + 2) * 384
    layer = 4 * (384 * 384 + 384) + (384 * 1536 + 1536) + (1536 * 384 + 384) + 4 * 384
    assert minilm.total.parameters == embeddings + 6 * layer + (384 * 384 + 384) + (384 * 2 + 2)
    assert minilm.total.parameters == sum(p.numel() for p in demo.module.parameters()) == demo.anatomy.parameters
    assert minilm.total.macs == bert_macs(384, 6, 1536, 384, TOKENS)


def test_the_length_that_was_counted_is_told() -> None:
    assert count_cost(bert(max_position_embeddings=40), 128).tokens == 40


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted_once(name: str) -> None:
    """Tied embeddings and ALBERT's shared layer count once."""
    fresh = FAMILIES[name].build()
    assert model_of(name).anatomy.parameters == sum(t.numel() for t in {id(p): p for p in fresh.parameters()}.values())


@pytest.mark.parametrize("tokens", [16, 128])
@pytest.mark.parametrize("settings", [{}, {"num_hidden_layers": 1}, {"intermediate_size": 16}, {"num_labels": 5}])
def test_macs_of_tiny_berts_by_hand(settings: dict[str, int], tokens: int) -> None:
    shape = {"num_hidden_layers": 2, "intermediate_size": 64, "num_labels": 2} | settings
    expected = bert_macs(32, shape["num_hidden_layers"], shape["intermediate_size"], 32, tokens, shape["num_labels"])
    assert count_cost(bert(**settings), tokens).total.macs == expected


# Heads -------------------------------------------------------------------------------------------------------------


def test_a_head_of_minilm_by_hand(minilm: CostModel) -> None:
    """32 rows of query, key and value with their biases, 32 columns of the output projection, whose bias stays."""
    saved = minilm.saved(Mask.parse_heads("3:7"))
    assert saved.parameters == 3 * 32 * (384 + 1) + 32 * 384
    assert saved.macs == TOKENS * 4 * 32 * 384 + 2 * TOKENS * TOKENS * 32
    assert minilm.after(Mask.parse_heads("3:7")) == minilm.total - saved


def test_savings_add_up(minilm: CostModel) -> None:
    one = minilm.saved(Mask.parse_heads("0:0"))
    all_heads = minilm.saved(Mask(frozenset((s, h) for s in range(6) for h in range(12))))  # type: ignore[arg-type]
    zeros = 6 * 2 * TOKENS * TOKENS * 32  # one head of each layer is still computed, on zeros
    assert all_heads == Cost(72 * one.parameters, 72 * one.macs - zeros)
    assert minilm.saved(Mask()) == Cost(0, 0)
    assert minilm.saved(Mask.parse_heads("0:0,5:11")) == one + one


def test_bert_without_heads_is_the_smaller_bert() -> None:
    """The measured cost of a BERT built with narrower attention in every layer, weight by weight."""
    model = count_cost(bert(), TOKENS)
    after = model.after(Mask.parse_heads("0:1,1:3"))
    module = FAMILIES["bert"].build()
    for layer in module.bert.encoder.layer:
        inner, narrow = layer.attention.self, (HEADS - 1) * HEAD_DIM
        inner.query, inner.key, inner.value = (torch.nn.Linear(32, narrow) for _ in range(3))
        layer.attention.output.dense = torch.nn.Linear(narrow, 32)
    assert after.parameters == sum(p.numel() for p in module.parameters())
    assert after.macs == bert_macs(32, 2, 64, 24, TOKENS)


@pytest.mark.parametrize(("name", "bias"), [("llama", 0), ("llama-lm", 0), ("qwen3", 0), ("phi3-lm", 0)])
def test_key_value_heads_go_with_the_last_of_their_group(name: str, bias: int) -> None:
    """Two query heads share a key-value head: query rows and output columns for each, keys and values for both."""
    cost = count_cost(model_of(name), TOKENS)
    query = HEAD_DIM * (32 + bias) + HEAD_DIM * 32
    keys = 2 * HEAD_DIM * (32 + bias)
    assert cost.saved(Mask.parse_heads("0:0")).parameters == query
    assert cost.saved(Mask.parse_heads("0:0,0:2")).parameters == 2 * query
    assert cost.saved(Mask.parse_heads("0:0-1")).parameters == 2 * query + keys
    assert cost.saved(Mask.parse_heads("0:0-3")).parameters == 4 * query + 2 * keys
    attention = TOKENS * TOKENS * 2 * HEAD_DIM
    assert cost.saved(Mask.parse_heads("0:0")).macs == TOKENS * query
    assert cost.saved(Mask.parse_heads("0:0-1")).macs == 2 * (TOKENS * query + attention) + TOKENS * keys


def test_fused_and_transposed_projections_cost_the_same_as_separate_ones() -> None:
    """GPT-2 keeps query, key and value in one transposed weight with a bias."""
    saved = count_cost(model_of("gpt2"), TOKENS).saved(Mask.parse_heads("1:2"))
    assert saved.parameters == 3 * HEAD_DIM * 33 + HEAD_DIM * 32
    assert saved.macs == TOKENS * 4 * HEAD_DIM * 32 + 2 * TOKENS * TOKENS * HEAD_DIM


def test_heads_of_a_shared_layer_save_weights_once_and_work_each_time() -> None:
    """ALBERT runs its only layer twice."""
    saved = count_cost(model_of("albert"), TOKENS).saved(Mask.parse_heads("0:0"))
    assert saved.parameters == 3 * HEAD_DIM * 33 + HEAD_DIM * 32
    assert saved.macs == 2 * (TOKENS * 4 * HEAD_DIM * 32 + 2 * TOKENS * TOKENS * HEAD_DIM)


def test_an_image_model_counts_its_patches() -> None:
    """16 patches and a class token."""
    cost = count_cost(model_of("vit"))
    assert cost.tokens == 0, "one image"
    saved = cost.saved(Mask.parse_heads("0:0"))
    assert saved.parameters == 3 * HEAD_DIM * 33 + HEAD_DIM * 32
    assert saved.macs == 17 * 4 * HEAD_DIM * 32 + 2 * 17 * 17 * HEAD_DIM


@pytest.mark.parametrize("name", NAMES)
def test_no_head_saves_more_than_there_is(name: str) -> None:
    cost, anatomy = count_cost(model_of(name), 16), model_of(name).anatomy
    everything = cost.saved(Mask(frozenset(anatomy.head_ids())))
    assert 0 < everything.parameters < cost.total.parameters
    assert 0 < everything.macs < cost.total.macs
    each = [cost.saved(Mask(frozenset({head}))) for head in anatomy.head_ids()]
    assert all(part.parameters > 0 and part.macs > 0 for part in each)


def test_a_neuron_and_a_layer_of_minilm_by_hand(minilm: CostModel) -> None:
    """A neuron is a row with its bias and a column; a layer takes its norms and all of its attention along."""
    neuron = minilm.saved(Mask(neurons=frozenset({NeuronId(2, 7)})))
    assert neuron == Cost(384 + 1 + 384, TOKENS * 2 * 384)
    layer = minilm.saved(Mask(layers=frozenset({3})))
    assert layer.parameters == 4 * (384 * 384 + 384) + (384 * 1536 + 1536) + (1536 * 384 + 384) + 4 * 384
    assert layer.macs == bert_macs(384, 1, 1536, 384, TOKENS) - 384 * 384 - 384 * 2


def test_what_goes_with_a_layer_is_not_counted_twice(minilm: CostModel) -> None:
    layer = Mask(layers=frozenset({3}))
    inside = Mask.parse_heads("3:0-11") | Mask(neurons=frozenset({NeuronId(3, 1)}))
    assert minilm.saved(layer | inside) == minilm.saved(layer)


def test_counting_leaves_no_hooks_behind() -> None:
    module = transformers.BertForSequenceClassification(FAMILIES["bert"].build().config)
    model = wrap_model(module)
    _ = model.anatomy
    hooks = [len(child._forward_pre_hooks) + len(child._forward_hooks) for child in module.modules()]
    count_cost(model)
    assert [len(child._forward_pre_hooks) + len(child._forward_hooks) for child in module.modules()] == hooks


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "vit", "t5"])
def test_the_attention_implementation_does_not_change_the_count(name: str) -> None:
    """Eager attention is plain matrix products; fused kernels have to be counted as the same work."""
    counts = {
        implementation: wrap_model(FAMILIES[name].build(attn_implementation=implementation)).anatomy.macs
        for implementation in ("eager", "sdpa")
    }
    assert counts["eager"] == counts["sdpa"] > 0


def test_the_experts_of_a_mixture_count() -> None:
    """Two of four experts see each token: gate and up are one product ``32 → 2 · 48``, down is ``48 → 32``."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    mixture = {"intermediate_size": 48, "num_local_experts": 4, "num_experts_per_tok": 2, "vocab_size": 50}
    module = transformers.MixtralForSequenceClassification(transformers.MixtralConfig(**sizes, **mixture)).eval()
    cost = count_cost(wrap_model(module), TOKENS)
    experts = TOKENS * 2 * (32 * 96 + 48 * 32)
    projections, router, attention = TOKENS * (2 * 32 * 32 + 2 * 32 * 16), TOKENS * 32 * 4, 2 * TOKENS * TOKENS * 32
    assert cost.layers[0].macs == projections + router + attention + experts
    assert cost.total.macs == 2 * cost.layers[0].macs + TOKENS * 32 * 2


@pytest.mark.parametrize("heads", ["0:0", "0:0-1", "0:0-3", "0:0,0:2,1:0-3"])
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_what_is_predicted_is_what_a_real_cut_leaves(name: str, heads: str) -> None:
    """Also where a key-value group is cut in part, or a layer loses every head."""
    model, mask = model_of(name), Mask.parse_heads(heads)
    module = prune(model, mask).module
    reached = Cost(sum(p.numel() for p in module.parameters()), count_macs(module, 16)[0])
    assert count_cost(model, 16).after(mask) == reached


def test_weights_that_layers_share_go_with_the_last_of_them() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    module = transformers.BertForSequenceClassification(transformers.BertConfig(**sizes, vocab_size=50)).eval()
    plain = count_cost(wrap_model(module), TOKENS).saved(Mask.parse_heads("0:0"))
    module = copy.deepcopy(module)
    first, second = module.bert.encoder.layer
    for name in ("query", "key", "value"):
        for part in ("weight", "bias"):
            setattr(getattr(second.attention.self, name), part, getattr(getattr(first.attention.self, name), part))
    cost = count_cost(wrap_model(module), TOKENS)
    rows = 3 * 8 * (32 + 1)
    assert cost.saved(Mask.parse_heads("0:0")) == plain - Cost(rows, 0)
    assert cost.saved(Mask.parse_heads("0:0,1:0")) == plain + plain - Cost(rows, 0)
    shared = sum(p.numel() for p in first.parameters()) - cost.layers[0].parameters
    assert shared == 3 * 32 * (32 + 1)
