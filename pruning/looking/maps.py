"""The attention of one site on one input, with what stands at either side of it.

Vig, "A Multiscale Visualization of Attention in the Transformer Model", ACL 2019 (demonstrations), draws such maps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pruning.errors import DataError, UnsupportedError
from pruning.looking.watching import Words, special_ids, watch

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.models import LoadedModel

MOST_BEFORE = 16  # tokens before the patches: classification, distillation, registers


@dataclass(frozen=True)
class Side:
    """What attends, or what is attended to.

    Attributes:
        tokens: As they are shown.
        special: Which of them are no part of the text or image.
        grid: Rows and columns of patches, in reading order, after the special tokens; ``None`` for what is no image.
    """

    tokens: tuple[str, ...]
    special: tuple[bool, ...]
    grid: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def first(self, count: int) -> Side:
        """The first ``count`` tokens."""
        return Side(self.tokens[:count], self.special[:count])


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Attention of all heads of one site on one input.

    Attributes:
        passes: ``(head, query, key)`` float32 for each time that the site is run: once, but for shared layers. Within
            windows ``(head, query, place)``.
        places: ``(query, place)``: the keys in the window of each query, −1 for padding beyond the image; ``None``
            where every query may attend to the whole.
    """

    site: int
    passes: tuple[np.ndarray, ...]
    queries: Side
    keys: Side
    places: np.ndarray | None = None

    @property
    def weights(self) -> np.ndarray:
        """Of the first pass, ``(head, query, key)``, zero outside windows."""
        return np.stack([self.matrix(head) for head in range(len(self.passes[0]))])

    @property
    def size_bytes(self) -> int:
        return sum(one.nbytes for one in self.passes)

    def matrix(self, head: int, run: int = 0) -> np.ndarray:
        """The attention of one head, ``(query, key)``."""
        return self._spread(self.passes[run][head], slice(None))

    def row(self, head: int, query: int, run: int = 0) -> np.ndarray:
        """Where one query looks, ``(key,)``; within windows with padding it adds up to less than one."""
        return self._spread(self.passes[run][head][[query]], [query])[0]

    def window(self, query: int) -> np.ndarray | None:
        """The keys in the window of a query, ascending; ``None`` where there are no windows."""
        if self.places is None:
            return None
        own = self.places[query]
        return np.sort(own[own >= 0])

    def _spread(self, rows: np.ndarray, which: slice | list[int]) -> np.ndarray:
        if self.places is None:
            return rows
        whole = np.zeros((len(rows), len(self.keys) + 1), rows.dtype)
        np.put_along_axis(whole, self.places[which], rows, 1)  # −1 is the last column
        return whole[:, :-1]


def attention_map(model: LoadedModel, features: dict[str, Any], site: int) -> AttentionMap:
    """The attention of one site on one example; padding of texts is left out.

    Args:
        features: Model inputs without a batch dimension, as in `pruning.tasks.Examples`.

    Raises:
        UnsupportedError: The attention of this site cannot be seen, with the reason.
    """
    import torch

    inputs = {name: torch.as_tensor(value)[None].to(model.device) for name, value in features.items()}
    found: list[Tensor] = []
    noted: list[Words] = []

    def look(_: int, weights: Tensor, words: Words) -> None:
        found.append(weights[0].float().cpu())
        noted.append(words)

    refused = watch(model, inputs, {site}, look, windows=True)
    if site in refused:
        raise UnsupportedError(
            "the attention of {site} cannot be shown: {reason}",
            site=model.anatomy.sites[site].name,
            reason=refused[site],
        )
    windows = noted[0].windows.get(site)
    if windows is not None:
        patches = patch_side(windows.patches, windows.grid)
        passes = tuple(one.numpy() for one in found)
        return AttentionMap(site, passes, patches, patches, windows.keys.cpu().numpy())
    kind, shape = model.anatomy.sites[site].kind, found[0].shape
    sides, places = [], []
    for side, length in (("query", shape[-2]), ("key", shape[-1])):
        kept = _unpadded(inputs, kind, side, length)
        sides.append(_side(model, inputs, noted[0].of(kind, side), kept, length))
        places.append(kept)
    rows, columns = places
    return AttentionMap(site, tuple(one[:, rows][:, :, columns].numpy() for one in found), sides[0], sides[1])


def _unpadded(inputs: dict[str, Tensor], kind: str, side: str, length: int) -> list[int]:
    """The positions that are no padding."""
    in_target = "decoder" in kind and not ("cross" in kind and side == "key")
    name = "decoder_attention_mask" if in_target and "decoder_attention_mask" in inputs else "attention_mask"
    mask = inputs.get(name)
    if mask is None or mask.shape != (1, length) or not mask.any():
        return list(range(length))
    return mask[0].nonzero()[:, 0].tolist()


def _side(model: LoadedModel, inputs: dict[str, Tensor], ids: Tensor | None, kept: list[int], length: int) -> Side:
    if ids is not None and ids.shape[-1] == length:
        tokens, special = [int(ids[0, i]) for i in kept], special_ids(model)
        return Side(token_texts(model, tokens), tuple(one in special for one in tokens))
    grid = patch_grid(inputs, length)
    if grid is None:
        return Side(tuple(f"{i + 1}" for i in kept), (False,) * len(kept))
    return patch_side(length, grid)


def patch_side(length: int, grid: tuple[int, int]) -> Side:
    """Patches by row and column, behind what comes before them."""
    before, columns = length - grid[0] * grid[1], grid[1]
    names = ["CLS" if i == 0 else f"special {i + 1}" for i in range(before)]
    names += [f"row {i // columns + 1}, column {i % columns + 1}" for i in range(length - before)]
    return Side(tuple(names), (True,) * before + (False,) * (length - before), grid)


def patch_grid(inputs: dict[str, Tensor], length: int) -> tuple[int, int] | None:
    """Rows and columns of patches in the image's own proportions, behind a few other tokens; ``None`` for no image.

    >>> import torch
    >>> patch_grid({"pixel_values": torch.zeros(1, 3, 32, 64)}, 9)
    (2, 4)
    """
    pixels = inputs.get("pixel_values")
    if pixels is None or pixels.dim() != 4:
        return None
    height, width = pixels.shape[-2:]
    for before in range(min(MOST_BEFORE, length)):
        rows = math.isqrt((length - before) * height // width)
        if rows and rows * width % height == 0 and rows * (rows * width // height) == length - before:
            return rows, rows * width // height
    return None


def token_texts(model: LoadedModel, ids: list[int]) -> tuple[str, ...]:
    """Tokens as people read them; their numbers where there is no tokenizer."""
    if not hasattr(model.processor, "convert_ids_to_tokens"):
        return tuple(f"#{i}" for i in ids)
    pieces = model.processor.convert_ids_to_tokens(ids)
    texts = [model.processor.decode([i]).strip() for i in ids]
    return tuple(text or repr(piece)[1:-1] for text, piece in zip(texts, pieces, strict=True))


def features_of_text(model: LoadedModel, text: str) -> dict[str, Any]:
    """Model inputs of a text of one's own.

    Raises:
        DataError: The text is empty.
        UnsupportedError: The model reads no text.
    """
    from pruning.data import Dataset, DataSpec
    from pruning.tasks import task_of
    from pruning.tasks.text import tokenize

    if not text.strip():
        raise DataError("type a sentence first")
    (features,), _ = tokenize(model, Dataset(DataSpec("own text"), (text,), (), (0,), 0, ""))
    if task_of(model).name == "language-modeling":  # a causal model takes no segments
        features = {name: features[name] for name in ("input_ids", "attention_mask") if name in features}
    return features


def image_of(model: LoadedModel, features: dict[str, Any]) -> np.ndarray:
    """The image as the model sees it, cut and scaled, ``(height, width, 3)`` uint8."""
    pixels = np.asarray(features["pixel_values"].float().cpu(), dtype=np.float64)
    pixels = pixels.transpose(1, 2, 0)
    mean, spread = (getattr(model.processor, name, None) for name in ("image_mean", "image_std"))
    if mean is not None and spread is not None and getattr(model.processor, "do_normalize", True):
        pixels = pixels * np.asarray(spread) + np.asarray(mean)
    else:
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / max(high - low, 1e-12)
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    return (255 * pixels.clip(0, 1)).round().astype(np.uint8)
