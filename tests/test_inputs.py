"""Inputs that are made from a signature and a configuration alone run in any kind of model."""

from __future__ import annotations

import pytest
import torch
import transformers as tf

from pruning.conformance.tiny import tiny_model
from pruning.inputs import dry_run_inputs, outputs, run

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
