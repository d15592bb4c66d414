"""Token ids, with a placeholder for each feature of an image or a sound."""

from __future__ import annotations

import inspect
import re
from typing import Any

import torch
from torch import Tensor

from pruning.inputs.request import Request

TOKEN_ID = re.compile(r".*(token_(id|index|idx)|token)$")
PLACEHOLDERS = {
    "image": (("pixel_values",), ("image_token_id", "image_token_index", "media_placeholder_token_id", "im_patch_id")),
    "video": (("pixel_values_videos",), ("video_token_id", "video_token_index")),
    "audio": (("input_features", "input_values", "audio_values"), ("audio_token_id", "audio_token_index")),
}


def vocabulary(request: Request) -> int:
    return request.of((request.text, request.config), "vocab_size", default=0) or 100


def input_ids(request: Request) -> Tensor | None:
    """Random words ``(1, token)``; the placeholders of images and sounds come first."""
    has_other = request.has("pixel_values", "input_values", "input_features") and request.main != "input_ids"
    if has_other and not _is_multimodal(request):
        return None
    words = _words(request)
    before = [part for kind in PLACEHOLDERS if (part := placeholders(request, kind)) is not None]
    return torch.cat([words[:, :1], *before, words[:, 1:]], dim=1) if before else words


def _is_multimodal(request: Request) -> bool:
    return hasattr(request.config, "text_config") or "input_ids" in request.required


def _words(request: Request) -> Tensor:
    text, size = request.text, vocabulary(request)
    ids = torch.randint(min(10, size - 1), size, (1, request.tokens), generator=request.generator)
    ids[ids == _first(getattr(text, "pad_token_id", None), 0)] = 1
    for special in _special_ids(request.config) | _special_ids(text):
        ids[ids == special] = 1 if special != 1 else min(2, size - 1)
    eos = _first(getattr(text, "eos_token_id", None), None)
    if getattr(request.config, "is_encoder_decoder", False) and eos is not None and eos < size:
        ids = ids.where(ids != eos, 1)
        ids[:, -1] = eos
    return ids


def _first(value: Any, default: int | None) -> Any:
    value = value[0] if isinstance(value, (list, tuple)) and value else value
    return default if value is None else value


def _special_ids(config: Any) -> set[int]:
    """The ids that stand for an image, a sound, or their borders: a random word must not be one of them."""
    media = re.compile(r".*(image|video|audio|vision|boi|eoi|boa|eoa|media|speech).*")
    named = {n: v for n, v in vars(config).items() if TOKEN_ID.match(n) and media.match(n)}
    return {value for value in named.values() if isinstance(value, int)}


def placeholders(request: Request, kind: str) -> Tensor | None:
    """As many placeholder tokens ``(1, token)`` as the model makes features of the image or sound."""
    inputs, names = PLACEHOLDERS[kind]
    token = request.of((request.config,), *names)
    given = [name for name in inputs if name in request.made]
    if not isinstance(token, int) or not given:
        return None
    count = features(request, kind)
    if count is None:  # the model cannot say: leave the image out and give it text alone
        for name in [name for name in request.made if name in given or name.startswith(kind)]:
            del request.made[name]
        return None
    return torch.tensor([[*_border(request, kind, "start"), *[token] * count, *_border(request, kind, "end")]])


def _border(request: Request, kind: str, side: str) -> list[int]:
    """The token before or after an image, where Qwen's models count images by it."""
    found = request.of((request.config,), f"vision_{side}_token_id") if kind == "image" else None
    return [found] if isinstance(found, int) else []


def features(request: Request, kind: str) -> int | None:
    """How many features the model's own tower makes of what it was given."""
    module = request.module
    inner = getattr(module, "base_model", None)
    for owner in (getattr(module, "model", None), inner, getattr(inner, "model", None), module):
        getter = getattr(owner, f"get_{kind}_features", None)
        if getter is None:
            continue
        try:
            with torch.no_grad():
                return _rows(getter(**_accepted(getter, request)))
        except Exception:  # whatever is amiss with the tower: the model still reads text
            continue
    return None


def _accepted(getter: Any, request: Request) -> dict[str, Tensor]:
    parameter = next(request.module.parameters())
    names = inspect.signature(getter).parameters
    given = {name: value for name, value in request.made.items() if name in names}
    return {n: v.to(parameter.device, parameter.dtype if v.is_floating_point() else v.dtype) for n, v in given.items()}


def _rows(output: Any) -> int:
    if hasattr(output, "pooler_output") and output.pooler_output is not None:
        output = output.pooler_output
    elif hasattr(output, "last_hidden_state"):
        output = output.last_hidden_state
    if isinstance(output, Tensor):
        return output.numel() // output.shape[-1]
    return sum(_rows(part) for part in output if part is not None)


def attention_mask(request: Request) -> Tensor | None:
    """Every token counts. Sounds need no mask: none is made for them."""
    ids = request.made.get("input_ids")
    return None if ids is None else torch.ones_like(ids)


def decoder_input_ids(request: Request) -> Tensor | None:
    """What the decoder has said so far: the encoder's words where it reads words."""
    if not getattr(request.config, "is_encoder_decoder", False) and "decoder_input_ids" not in request.required:
        return None
    ids = request.made.get("input_ids")
    return ids if ids is not None else _words(request)


def question(request: Request) -> Tensor:
    """What InstructBLIP's query transformer is asked, in the words of its own vocabulary."""
    size = request.of((getattr(request.config, "qformer_config", None),), "vocab_size", default=100)
    return torch.randint(min(10, size - 1), size, (1, request.tokens), generator=request.generator)


def bbox(request: Request) -> Tensor | None:
    """A box ``(1, token, 4)`` on the page for each word."""
    ids = request.made.get("input_ids")
    return None if ids is None else torch.tensor([1, 2, 3, 4]).expand(*ids.shape, 4).contiguous()


def mm_token_type_ids(request: Request) -> Tensor | None:
    """0 for words, 1 for an image, 2 for a video, 3 for a sound."""
    ids = request.made.get("input_ids")
    if ids is None or not any(name in request.made for name in ("pixel_values", "pixel_values_videos")):
        return None
    types = torch.zeros_like(ids)
    for value, kind in enumerate(PLACEHOLDERS, start=1):
        token = request.of((request.config,), *PLACEHOLDERS[kind][1])
        if isinstance(token, int):
            types[ids == token] = value
    return types
