"""Which axes of a model's inputs are dynamic in ONNX, and inputs of other sizes to export with and to check on."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from pruning.language import Later, later, mark

ROWS = 2
SEQUENCES = ("input_ids", "inputs_embeds", "input_values")  # inputs whose second axis may have any length
ALONG = (*SEQUENCES, "attention_mask", "token_type_ids", "position_ids", "bbox")  # inputs that have that axis, too
WAVEFORM = "input_values"
AXES = {"batch": mark("batch"), "length": mark("length"), "decoder_length": mark("decoder length")}  # dynamic ones

Axes = dict[str, dict[int, str]]  # of each input: its dynamic axes and their names
Sizes = dict[str, int]


def dynamic_axes(inputs: dict[str, Tensor]) -> Axes:
    """Rows are free everywhere; the length of token ids, of what goes with them, and of waveforms, too."""
    has_sequence = any(name in inputs and inputs[name].dim() > 1 for name in SEQUENCES)
    has_sequence &= WAVEFORM not in inputs or inputs[WAVEFORM].dim() == 2  # with more, it is a spectrogram
    axes = {}
    for name in inputs:
        if name.startswith("decoder_"):
            axes[name] = {0: "batch", 1: "decoder_length"}
        else:
            axes[name] = {0: "batch", 1: "length"} if has_sequence and name in ALONG else {0: "batch"}
    return axes


def with_one_length(axes: Axes) -> Axes:
    """The same, where the decoder must be given as many tokens as the encoder."""
    return {name: {i: axis.removeprefix("decoder_") for i, axis in named.items()} for name, named in axes.items()}


def sizes_of(inputs: dict[str, Tensor], axes: Axes) -> tuple[Sizes, Sizes, Sizes]:
    """Sizes of the dynamic axes: for the exporter, then for two checks, one of them longer.

    Token ids are made shorter than they came, because positions are limited; waveforms longer, because convolutions
    need a least length. Sizes differ from each other, and none is 1 or 0 for the exporter, which takes those for fixed.
    """
    longest = {name: inputs[key].shape[i] for key, named in axes.items() for i, name in named.items()}
    sizes: list[Sizes] = [{}, {}, {}]
    for name, count in longest.items():
        if name == "batch":
            chosen = ROWS, ROWS + 1, 1
        elif WAVEFORM in inputs:
            chosen = count, count * 3 // 2 + 1, count * 5 // 4
        else:
            count -= count // 4 if name == "decoder_length" else 0
            chosen = max(2, count * 2 // 3), count, max(1, count // 2)
        for size, value in zip(sizes, chosen, strict=True):
            size[name] = value
    return sizes[0], sizes[1], sizes[2]


def sized(inputs: dict[str, Tensor], axes: Axes, sizes: Sizes) -> dict[str, Tensor]:
    """Inputs of other sizes, with random contents of the same kind; the last token of a text stays the last."""
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, tensor in inputs.items():
        tensor = tensor.cpu()
        for axis, size in ((axis, sizes[named]) for axis, named in axes[name].items()):
            tensor = tensor.index_select(axis, torch.arange(size) % tensor.shape[axis])
        if name.endswith("input_ids") and tensor.shape[1] > 1:
            body = inputs[name].cpu()[:1, :-1].expand(len(tensor), -1)
            chosen = torch.randint(body.shape[1], (len(tensor), tensor.shape[1] - 1), generator=generator)
            tensor = torch.cat([body.gather(1, chosen), inputs[name].cpu()[:1, -1:].expand(len(tensor), 1)], dim=1)
        elif tensor.is_floating_point() and not name.endswith("mask"):
            tensor = torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
        found[name] = tensor.contiguous().to(inputs[name].device)
    return found


def padded(inputs: dict[str, Tensor], config: Any) -> tuple[dict[str, Tensor], int]:
    """The same with the second row shortened by a third and padded, and how long that row is (0: nothing to pad)."""
    mask, ids = inputs.get("attention_mask"), inputs.get("input_ids")
    if mask is None or mask.dim() != 2 or len(mask) < 2 or mask.shape[1] < 3:
        return inputs, 0
    length = mask.shape[1] - mask.shape[1] // 3
    mask = mask.clone()
    mask[1, length:] = 0
    if ids is None:
        return {**inputs, "attention_mask": mask}, length
    ids, last = ids.clone(), ids[1, -1].item()
    ids[1, length:] = max(0, getattr(config, "pad_token_id", None) or 0)
    ids[1, length - 1] = last
    return {**inputs, "input_ids": ids, "attention_mask": mask}, length


def in_words(sizes: Sizes, padded_to: int) -> Later:
    """Sizes for whoever reads them.

    >>> str(in_words({"batch": 3, "length": 11}, 8))
    'batch 3, length 11 (one row padded from 8)'
    """
    parts = [later("{axis} {size}", axis=later(AXES[name]), size=size) for name, size in sizes.items()]
    words = reduce(lambda one, other: later("{one}, {other}", one=one, other=other), parts)
    return later("{sizes} (one row padded from {length})", sizes=words, length=padded_to) if padded_to else words
