"""Tiny models of any type: built by rule, the same every time, and refused with a reason where that cannot be."""

from __future__ import annotations

import pytest
import torch

from pruning.conformance.tiny import MODEL_TYPES, heads_of, tiny_model
from pruning.errors import UnsupportedError
from pruning.inputs import dry_run_inputs, outputs

SOME = (
    "bert",
    "llama",
    "t5",
    "vit",
    "swin",
    "wav2vec2",
    "whisper",
    "clip",
    "llava",
    "qwen2_vl",
    "jamba",
    "deepseek_v3",
)
LARGEST = 2_000_000


@pytest.mark.parametrize("model_type", SOME)
def test_a_tiny_model_runs_and_is_finite(model_type: str) -> None:
    module = tiny_model(model_type)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert sum(parameter.numel() for parameter in module.parameters()) < LARGEST
    found = outputs(module, dry_run_inputs(module))
    assert found
    assert all(value.isfinite().all() for value in found.values())


@pytest.mark.parametrize("model_type", ["bert", "mixtral", "vit_mae", "wav2vec2"])
def test_two_builds_are_equal(model_type: str) -> None:
    first, second = tiny_model(model_type), tiny_model(model_type)
    torch.testing.assert_close(dict(first.named_parameters()), dict(second.named_parameters()), rtol=0, atol=0)
    one, other = outputs(first, dry_run_inputs(first)), outputs(second, dry_run_inputs(second))
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_building_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    tiny_model("bert")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_head_can_be_chosen() -> None:
    assert type(tiny_model("bert")).__name__ == "BertForSequenceClassification"
    assert type(tiny_model("bert", head="masked-lm")).__name__ == "BertForMaskedLM"
    assert type(tiny_model("llama", head="base")).__name__ == "LlamaModel"
    assert next(iter(heads_of("llama"))) == "causal-lm"


@pytest.mark.parametrize(
    ("model_type", "head", "reason"),
    [
        ("no-such-type", None, "knows no model type"),
        ("rag", None, "retriever"),
        ("qwen2_vl_vision", None, "no model class"),
        ("bert", "ctc", "has no head 'ctc'"),
    ],
)
def test_what_cannot_be_built_says_why(model_type: str, head: str | None, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason) as caught:
        tiny_model(model_type, head=head)
    assert "\n" not in str(caught.value)


def test_every_type_is_listed() -> None:
    assert len(MODEL_TYPES) == len(set(MODEL_TYPES)) > 700
    assert {"bert", "llama", "whisper"} <= set(MODEL_TYPES)


def test_grouped_heads_stay_grouped() -> None:
    config = tiny_model("mistral").config
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
