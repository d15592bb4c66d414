"""Images and videos in the layouts that models want them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pruning.inputs.request import Request, Size, pair

IMAGE_SIZE = 224
GRID = (1, 4, 4)  # frames, rows and columns of patches where the model takes images of any size


def image_size(request: Request) -> Size:
    """Height and width that the configuration names, or the usual ones."""
    return pair(
        request.of(
            request.vision, "image_size", "input_size", "img_size", "crop_size", "resolution", default=IMAGE_SIZE
        )
    )


def channels(request: Request) -> int:
    found = request.of(request.vision, "num_channels", "in_channels", "in_chans", "channels", default=3)
    return found if isinstance(found, int) else 3


def patch(request: Request) -> Size:
    return pair(request.of(request.vision, "patch_size", "spatial_patch_size", default=16))


def pixel_values(request: Request) -> Tensor:
    """One image: ``(1, channel, height, width)``, or as patches, tiles or frames where the model wants those."""
    image = (channels(request), *image_size(request))
    if request.kind in LAYOUTS:
        return LAYOUTS[request.kind](request)
    if request.has("image_grid_thw", "grid_thw", "image_grid_hw"):
        return patches(request)
    if request.has("spatial_shapes", "pixel_position_ids", "image_position_ids"):
        return patches(request)[None]
    if request.has("aspect_ratio_ids"):  # images × tiles
        return request.noise(1, 1, request.of(request.vision, "max_num_tiles", default=4), *image)
    pinpoints = request.of((request.config,), "image_grid_pinpoints")
    if pinpoints and request.has("image_sizes"):
        return request.noise(1, tiles(request, pinpoints), *image)
    if request.has("pixel_attention_mask") and request.has("input_ids"):
        return request.noise(1, 1, *image)
    frames = request.of(request.vision[:1], "num_frames", "frames_per_clip", "video_length")
    is_video = frames is not None and (request.main == "pixel_values" or request.kind == "xclip")
    return request.noise(1, frames, *image) if is_video else request.noise(1, *image)


def tiles(request: Request, pinpoints: list[list[int]]) -> int:
    """The tiles that LLaVA-NeXT cuts an image of the tower's own size into, and the whole image."""
    from transformers.image_processing_utils import select_best_resolution

    height, width = image_size(request)
    best = select_best_resolution((height, width), pinpoints)
    return math.ceil(best[0] / height) * math.ceil(best[1] / width) + 1


def patches(request: Request) -> Tensor:
    """All patches of all images in one row each: ``(patch, channel × frames × height × width)``."""
    return request.noise(GRID[0] * GRID[1] * GRID[2], patch_width(request))


def patch_width(request: Request) -> int:
    """How many numbers make a patch: the weights of the patch embedding know, and else the configuration does."""
    for name, child in request.module.named_modules():
        weight = getattr(child, "weight", None)
        is_embedding = "patch_embed" in name and not isinstance(child, nn.Embedding)
        if is_embedding and isinstance(weight, Tensor) and weight.dim() > 1:
            return weight[0].numel()
    height, width = patch(request)
    return channels(request) * request.of(request.vision, "temporal_patch_size", default=1) * height * width


def pair_of_images(request: Request) -> Tensor:
    return request.noise(1, 2, channels(request), *image_size(request))


def one_row_of_patches(request: Request) -> Tensor:
    return patches(request)[None]


def patch_images(request: Request) -> Tensor:
    return request.noise(GRID[1] * GRID[2], channels(request), *patch(request))


def images_of_one(request: Request) -> Tensor:
    return request.noise(1, 1, channels(request), *image_size(request))


LAYOUTS: dict[str, Callable[[Request], Tensor]] = {
    "superglue": pair_of_images, "lightglue": pair_of_images, "efficientloftr": pair_of_images,
    "paddleocr_vl_vision": lambda request: patch_images(request)[None],
    "kimi_k25_vision": patch_images, "kimi_k25": patch_images,
    "idefics": images_of_one, "colmodernvbert": images_of_one, "modernvbert": images_of_one,
    "fuyu": one_row_of_patches,
}  # fmt: skip


def hidden_states(request: Request) -> Tensor | None:
    """The patches under the name that Qwen's vision towers give them; features for other inner parts."""
    if request.has("grid_thw"):
        return patches(request)
    return features(request) if "hidden_states" in request.required else None


def features(request: Request) -> Tensor | None:
    """Features ``(1, token, feature)`` for a part that begins after the embeddings."""
    width = request.of((request.config, request.text), "hidden_size", "d_model", "hidden_dim", "embed_dim")
    return request.noise(1, request.tokens, width) if isinstance(width, int) else None


def high_resolution(request: Request) -> Tensor:
    size = pair(request.of((getattr(request.config, "high_res_vision_config", None),), "image_size", default=1024))
    return request.noise(1, channels(request), *size)


def noise(request: Request) -> Tensor | None:
    """The numbers ``(1, patch)`` that masked autoencoders sort to choose what they hide: else each call differs."""
    if request.of((request.config,), "mask_ratio") is None:
        return None
    (height, width), (rows, columns) = image_size(request), patch(request)
    return request.noise(1, (height // rows) * (width // columns))


def merge_sizes(request: Request) -> Tensor:
    return torch.tensor([request.of(request.vision, "spatial_merge_size", "merge_size", default=1)])


def grid(request: Request) -> Tensor:
    """``(1, 3)``: frames, rows and columns of patches of the one image."""
    return torch.tensor([GRID])


def grid_hw(request: Request) -> Tensor:
    return torch.tensor([GRID[1:]])


def frames_first(request: Request) -> Tensor | None:
    """One video: ``(1, frame, channel, height, width)``; none where an image is given already."""
    if "pixel_values" in request.made and "pixel_values_videos" not in request.required:
        return None
    frames = request.of(request.vision, "num_frames", "frames_per_clip", "video_length", default=2)
    return request.noise(1, frames, channels(request), *image_size(request))


def ones_like_image(request: Request) -> Tensor | None:
    """The mask that says that every pixel, or every patch, counts."""
    pixels = request.made.get("pixel_values")
    if pixels is None:
        return None
    if request.has("spatial_shapes"):
        return torch.ones(pixels.shape[:-1], dtype=torch.long)
    return torch.ones(*pixels.shape[:-3], *pixels.shape[-2:], dtype=torch.long)


def image_sizes(request: Request) -> Tensor | None:
    """Height and width of the one image, for towers that read it at its own size; LLaVA's plain towers want none."""
    is_free = request.of((request.config,), "image_grid_pinpoints") or (
        hasattr(request.vision[0], "model_type") and (request.vision[0].model_type in ("pixtral", "lighton_ocr_vision"))
    )
    if request.has("input_ids") and not is_free and "image_sizes" not in request.required:
        return None
    return torch.tensor([image_size(request)])


def spatial_shapes(request: Request) -> Tensor:
    return torch.tensor([GRID[1:]])
