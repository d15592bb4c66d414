"""What is known about a model before it has run: its forward signature and its configuration."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

SHIFTED = (
    "Roberta", "XLMRoberta", "Camembert", "Longformer", "MPNet", "Data2VecText", "Xmod", "Luke", "Lilt", "Esm",
    "LayoutLMv3", "MarkupLM", "IBert",
)  # fmt: skip
VISION_PARTS = ("vision_config", "image_config", "encoder", "backbone_config", "perception_config", "vlm_config")
AUDIO_PARTS = ("audio_config", "speech_config", "audio_encoder_config", "audio_encoder", "encoder_config", "encoder")
Size = tuple[int, int]


def text_width(config: Any) -> Any:
    """The part of a configuration that describes the text model."""
    return config.get_text_config() if hasattr(config, "get_text_config") else config


def longest_input(config: Any) -> int:
    """The most tokens that the model's positions allow; 512 where its configuration states none."""
    text = text_width(config)
    names = ("max_position_embeddings", "n_positions", "max_target_positions", "max_seq_len")
    stated = (getattr(text, name, None) or 0 for name in names)
    limit = next((count for count in stated if isinstance(count, int) and count > 0), 512)  # XLNet says -1
    offset = getattr(text, "pad_token_id", None) or 0  # RoBERTa's positions start after the padding index
    is_shifted = type(text).__name__.startswith(SHIFTED)
    if type(text).__name__.startswith("ProphetNet"):  # shifted, too, and its second stream is one position ahead
        return max(1, limit - offset - 2)
    return max(1, limit - offset - 1 if is_shifted else limit)


class Request:
    """One model to make inputs for, and how many tokens of text to make.

    Attributes:
        config: The module's own configuration.
        text: The part that describes the text model.
        names: The parameters of ``forward`` in order.
        required: Those of them that have no default.
        made: The inputs so far: one example, the batch first where the model has such a layout.
    """

    def __init__(self, module: nn.Module, tokens: int) -> None:
        self.module, self.config, self.text = module, module.config, text_width(module.config)
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        known = {n: p for n, p in inspect.signature(module.forward).parameters.items() if p.kind in kinds}
        self.names = tuple(known)
        self.required = frozenset(name for name, item in known.items() if item.default is inspect.Parameter.empty)
        self.generator = torch.Generator().manual_seed(0)
        self.tokens = min(tokens, longest_input(self.config))
        self.made: dict[str, Tensor] = {}

    def noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator)

    def has(self, *names: str) -> bool:
        """Does ``forward`` take one of these?"""
        return any(name in self.names for name in names)

    @functools.cached_property
    def kind(self) -> str:
        """The model type that the configuration names."""
        return str(getattr(self.config, "model_type", ""))

    @functools.cached_property
    def main(self) -> str:
        """The parameter that the model calls its main input."""
        name = getattr(self.module, "main_input_name", "input_ids")
        return name if isinstance(name, str) else str(name[0])

    @functools.cached_property
    def vision(self) -> tuple[Any, ...]:
        """The configurations to look into for the sizes of an image, the likeliest first."""
        return (*self._parts(VISION_PARTS), self.config, *self._below(VISION_PARTS))

    @functools.cached_property
    def audio(self) -> tuple[Any, ...]:
        """The configurations to look into for the sizes of a sound, the likeliest first."""
        return (*self._parts(AUDIO_PARTS), self.config, *self._below(AUDIO_PARTS))

    def _parts(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple(part for name in names[:4] if (part := getattr(self.config, name, None)) is not None)

    def _below(self, names: tuple[str, ...]) -> tuple[Any, ...]:
        return tuple(_walk(self.config, set()))

    def of(self, places: tuple[Any, ...], *names: str, default: Any = None) -> Any:
        """The first setting of one of these names that is not ``None``."""
        for place in places:
            for name in names:
                value = place.get(name) if isinstance(place, dict) else getattr(place, name, None)
                if value is not None and not isinstance(value, nn.Module):
                    return value
        return default


def _walk(config: Any, seen: set[int]) -> Iterator[Any]:
    """Every configuration inside this one, outer ones first."""
    inner = [part for part in vars(config).values() if hasattr(part, "model_type") and id(part) not in seen]
    seen.update(map(id, inner))
    yield from inner
    for part in inner:
        yield from _walk(part, seen)


def pair(size: Any) -> Size:
    """``(height, width)`` of whatever way a configuration states a size."""
    if isinstance(size, dict):
        size = (size.get("height") or size.get("shortest_edge"), size.get("width") or size.get("shortest_edge"))
    if isinstance(size, (list, tuple)):
        return (int(size[-2]), int(size[-1])) if len(size) > 1 else (int(size[0]), int(size[0]))
    return int(size), int(size)
