"""Inputs that are made from a signature and a configuration alone run in any kind of model."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
import transformers as tf

from pruning import Mask, score, wrap_model
from pruning.conformance.tiny import tiny_model
from pruning.errors import UnsupportedError
from pruning.gating import gated
from pruning.inputs import dry_run_inputs, longest_input, outputs, run
from pruning.sites import find_sites
from pruning.surgery import prune
from pruning.tasks.text import _check_tokens
from tests.families import examples_of, model_of

BATCH_FIRST = {
    "bert": "input_ids",
    "llama": "input_ids",
    "t5": "decoder_input_ids",
    "layoutlm": "bbox",
    "vit": "pixel_values",
    "detr": "pixel_values",
    "videomae": "pixel_values",
    "wav2vec2": "input_values",
    "audio-spectrogram-transformer": "input_values",
    "whisper": "input_features",
    "clip": "pixel_values",
    "llava": "pixel_values",
    "blip-2": "pixel_values",
    "patchtst": "past_values",
    "vit_mae": "noise",
}


@pytest.mark.parametrize(("model_type", "name"), BATCH_FIRST.items())
def test_inputs_run_and_rows_are_equal(model_type: str, name: str) -> None:
    module = tiny_model(model_type)
    inputs = dry_run_inputs(module, batch=3)
    assert inputs[name].shape[0] == 3
    assert all(torch.equal(value[0], row) for value in inputs.values() for row in value)
    with torch.no_grad():
        found = run(module, inputs)
    assert found.shape[0] == 3
    # the rows of one batch go through the same kernels, but a vectorised tail may round differently
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_an_image_gets_as_many_placeholders_as_it_has_features() -> None:
    module = tiny_model("llava")
    inputs = dry_run_inputs(module)
    assert int((inputs["input_ids"] == module.config.image_token_id).sum()) == (32 // 8) ** 2
    assert set(inputs) == {"pixel_values", "input_ids", "attention_mask"}


def test_a_batch_of_flattened_patches_repeats_patches_and_grids() -> None:
    module = tiny_model("qwen2_vl")
    one, two = dry_run_inputs(module), dry_run_inputs(module, batch=2)
    assert two["image_grid_thw"].shape == (2, 3)
    assert len(two["pixel_values"]) == 2 * len(one["pixel_values"])
    assert run(module, two).shape[0] == 2


def test_whisper_gets_the_frames_that_its_encoder_wants() -> None:
    module = tiny_model("whisper")
    frames = 2 * module.config.max_source_positions
    assert dry_run_inputs(module)["input_features"].shape == (1, module.config.num_mel_bins, frames)
    assert set(dry_run_inputs(module.model.encoder)) == {"input_features"}


@pytest.mark.parametrize("inner", [tf.CLIPVisionModel, tf.T5EncoderModel])
def test_inner_models_run(inner: type) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = inner.config_class(**sizes)  # type: ignore[attr-defined]
    module = inner(config).eval()
    with torch.no_grad():
        assert run(module, dry_run_inputs(module, batch=2)).shape[0] == 2


def test_outputs_are_named_without_caches_and_the_same_at_every_call() -> None:
    module = tiny_model("vit_mae")
    inputs = dry_run_inputs(module)
    first, second = outputs(module, inputs), outputs(module, inputs)
    assert first.keys() == second.keys() >= {"last_hidden_state"}
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not any(
        "past_key_values" in name for name in outputs(tiny_model("llama"), dry_run_inputs(tiny_model("llama")))
    )


def test_fewer_tokens_where_the_positions_end() -> None:
    config = tf.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=4
    )
    assert dry_run_inputs(tf.BertModel(config), tokens=9)["input_ids"].shape == (1, 4)


def test_a_short_text_does_not_change_how_big_bird_reads_long_ones() -> None:
    """The figures of a model that has read a short text before, and of its copies, are those of a fresh one."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    sparse = {"attention_type": "block_sparse", "block_size": 2, "num_random_blocks": 1, "vocab_size": 40}
    module = tf.BigBirdForSequenceClassification(tf.BigBirdConfig(**sizes, **sparse, max_position_embeddings=64)).eval()
    fresh = copy.deepcopy(module)
    model = wrap_model(module)
    assert model.anatomy.support == "prune"
    short, long = dry_run_inputs(module, tokens=7), dry_run_inputs(module, tokens=42)
    mask = Mask.parse_heads("0:1")
    pruned = prune(model, mask).module
    with torch.no_grad():
        run(module, short)
        torch.testing.assert_close(run(module, long), run(fresh, long), rtol=0, atol=0)
        with gated(model, mask):
            masked = run(module, long)
        torch.testing.assert_close(run(pruned, long), masked, rtol=1e-5, atol=1e-5)
        run(fresh, short)
        assert not torch.equal(run(fresh, long), run(module, long)), "the test would show it"


@pytest.mark.parametrize(
    ("model_type", "sizes", "longest"),
    [
        ("ibert", {"max_position_embeddings": 40, "pad_token_id": 1}, 38),
        ("mpt", {"max_seq_len": 40}, 40),
        ("prophetnet", {"max_position_embeddings": 40, "pad_token_id": 0}, 38),
    ],
)
def test_the_longest_input_of_models_that_count_positions_their_own_way(
    model_type: str, sizes: dict[str, int], longest: int
) -> None:
    assert longest_input(tf.AutoConfig.for_model(model_type, **sizes)) == longest


@pytest.mark.parametrize("model_type", ["imagegpt", "mpt", "openai-gpt", "xglm"])
def test_causal_models_are_decoders_whatever_their_parts_are_called(model_type: str) -> None:
    assert find_sites(tiny_model(model_type))[0][0].kind == "decoder self"


def test_a_model_without_token_embeddings_is_not_asked_for_them() -> None:
    """CANINE hashes characters: no token is unknown to it."""
    module = tiny_model("canine")
    model, data = SimpleNamespace(module=module), SimpleNamespace(rows=[0])
    _check_tokens(model, data, [[72, 105]])  # type: ignore[arg-type]


def test_a_model_without_gradients_at_its_heads_is_refused_with_a_reason() -> None:
    """As Reformer, whose reversible layers detach."""
    model, examples = model_of("bert"), examples_of("bert")
    whole = model.with_module(copy.deepcopy(model.module))
    whole.module.classifier.register_forward_pre_hook(lambda _, args: tuple(x.detach() for x in args))
    whole.module.requires_grad_(False)
    with pytest.raises(UnsupportedError, match="no gradients"):
        score(whole, "gradient", examples)
