"""Inputs that a model accepts, made from its forward signature and configuration alone, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pruning.inputs import audio, series, text, vision
from pruning.inputs.request import Request, longest_input, text_width
from pruning.inputs.sparse import stay_sparse

__all__ = [
    "DRY_RUN_TOKENS", "allow_batches", "dry_run_inputs", "longest_input", "outputs", "run", "stay_sparse", "text_width",
]  # fmt: skip

DRY_RUN_TOKENS = 7
NO_PADDING = -1
CACHES = ("past_key_values", "mems", "cache_params", "state", "past_buckets_states", "encoder_past_key_values")
Maker = Callable[[Request], Tensor | None]

MAKERS: dict[str, Maker] = {  # in this order: words come after the images and sounds that they hold a place for
    "pixel_values": vision.pixel_values,
    "pixel_values_videos": vision.frames_first,
    "high_res_pixel_values": vision.high_resolution,
    "hidden_states": vision.hidden_states,
    "noise": vision.noise,
    "image_merge_sizes": vision.merge_sizes,
    "merge_sizes": vision.merge_sizes,
    "image_grid_thw": vision.grid,
    "grid_thw": vision.grid,
    "image_grid_hw": vision.grid_hw,
    "image_sizes": vision.image_sizes,
    "spatial_shapes": vision.spatial_shapes,
    "pixel_attention_mask": vision.ones_like_image,
    "input_values": audio.input_values,
    "input_features": audio.input_features,
    "input_features_mask": audio.features_mask,
    "past_values": series.past_values,
    "past_time_features": series.past_time_features,
    "past_observed_mask": series.past_observed_mask,
    "qformer_input_ids": text.question,
    "input_ids": text.input_ids,
    "attention_mask": text.attention_mask,
    "bbox": text.bbox,
    "mm_token_type_ids": text.mm_token_type_ids,
    "decoder_input_ids": text.decoder_input_ids,
}


def dry_run_inputs(module: nn.Module, tokens: int = DRY_RUN_TOKENS, batch: int = 1) -> dict[str, Tensor]:
    """Inputs that the model accepts, made from its signature and configuration alone; every row is the same.

    Args:
        module: A transformers model, or a part of one that has a configuration.
        tokens: How many words a text gets, as far as the model's positions allow.
        batch: How often the one example is repeated along the first dimension.
    """
    request = Request(module, tokens)
    for name, make in MAKERS.items():
        if name in request.names and (value := make(request)) is not None:
            request.made[name] = value
    parameter = next(module.parameters())
    return {name: _place(value, batch, parameter) for name, value in request.made.items()}


def _place(value: Tensor, batch: int, parameter: Tensor) -> Tensor:
    rows = value.repeat(batch, *[1] * (value.dim() - 1))
    return rows.to(parameter.device, parameter.dtype if value.is_floating_point() else value.dtype)


def allow_batches(module: nn.Module) -> None:
    """Let decoders that classify the last token take batches although they name no padding token.

    They look for the last token that is not padding; -1 never occurs, so rows of equal length all end at their end.
    """
    config = text_width(module.config)
    if type(module).__name__.endswith("ForSequenceClassification") and getattr(config, "pad_token_id", 0) is None:
        config.pad_token_id = NO_PADDING


def run(module: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """The main output of one forward pass: logits, the last hidden state, or the first tensor of real numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        output = module(**inputs)
    for name in ("logits", "last_hidden_state"):
        if getattr(output, name, None) is not None:
            return getattr(output, name)
    return next(iter(flatten(output).values()))


def outputs(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor of real numbers in the output by its dotted name, without caches; the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        output = module(**inputs)
    return flatten(output if isinstance(output, (Tensor, dict, list, tuple)) else vars(output))


def flatten(output: Any, name: str = "") -> dict[str, Tensor]:
    """The tensors of real numbers inside dictionaries and sequences, by their dotted names."""
    if isinstance(output, Tensor):
        return {name or "output": output} if output.is_floating_point() else {}
    if isinstance(output, dict):
        items = [(key, value) for key, value in output.items() if key not in CACHES]
    elif isinstance(output, (list, tuple)):
        items = [(str(index), value) for index, value in enumerate(output)]
    else:
        return {}
    found: dict[str, Tensor] = {}
    for key, value in items:
        found |= flatten(value, f"{name}.{key}" if name else str(key))
    return found
