"""Inputs that a model accepts, made from its configuration alone, and what comes out of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

DRY_RUN_TOKENS = 7
SHIFTED = (
    "Roberta", "XLMRoberta", "Camembert", "Longformer", "MPNet", "Data2VecText", "Xmod", "Luke", "Lilt", "Esm",
    "LayoutLMv3", "MarkupLM",
)  # fmt: skip
NO_PADDING = -1


def text_width(config: Any) -> Any:
    """The part of a configuration that describes the text model."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def dry_run_inputs(module: nn.Module, tokens: int = DRY_RUN_TOKENS, batch: int = 1) -> dict[str, Tensor]:
    """Inputs that the model accepts, made from its configuration alone; every row is the same."""
    config, device = module.config, next(module.parameters()).device
    generator = torch.Generator().manual_seed(0)
    name = getattr(module, "main_input_name", "input_ids")
    if name == "pixel_values":
        vision = getattr(config, "vision_config", config)
        size = getattr(vision, "image_size", 224)
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        shape = (1, getattr(vision, "num_channels", 3), height, width)
        pixels = torch.randn(shape, generator=generator).expand(batch, -1, -1, -1).contiguous()
        return {name: pixels.to(device, next(module.parameters()).dtype)}
    text = text_width(config)
    tokens = min(tokens, longest_input(config))
    ids = torch.randint(min(10, text.vocab_size - 1), text.vocab_size, (1, tokens), generator=generator)
    ids[ids == (getattr(text, "pad_token_id", None) or 0)] = 1
    if getattr(config, "is_encoder_decoder", False) and getattr(text, "eos_token_id", None) is not None:
        ids = ids.where(ids != text.eos_token_id, 1)
        ids[:, -1] = text.eos_token_id
    ids = ids.expand(batch, -1).contiguous().to(device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return {**inputs, "decoder_input_ids": ids} if getattr(config, "is_encoder_decoder", False) else inputs


def longest_input(config: Any) -> int:
    """The most tokens that the model's positions allow; 512 where its configuration states none."""
    text = text_width(config)
    stated = (getattr(text, name, None) or 0 for name in ("max_position_embeddings", "n_positions"))
    limit = next((count for count in stated if count > 0), 512)  # XLNet says -1
    offset = getattr(text, "pad_token_id", None) or 0  # RoBERTa's positions start after the padding index
    is_shifted = type(text).__name__.startswith(SHIFTED)
    return max(1, limit - offset - 1 if is_shifted else limit)


def allow_batches(module: nn.Module) -> None:
    """Let decoders that classify the last token take batches although they name no padding token.

    They look for the last token that is not padding; -1 never occurs, so rows of equal length all end at their end.
    """
    config = text_width(module.config)
    if type(module).__name__.endswith("ForSequenceClassification") and getattr(config, "pad_token_id", 0) is None:
        config.pad_token_id = NO_PADDING


def run(module: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """The main output of one forward pass: logits, or the last hidden state."""
    output = module(**inputs)
    logits = getattr(output, "logits", None)
    if logits is None:
        logits = getattr(output, "last_hidden_state", None)
    return output[0] if logits is None else logits
