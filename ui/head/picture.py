"""Attention as a picture that answers: a matrix and lines between tokens, or an image with its patches.

Everything happens in the browser: Python sends the weights, and nothing comes back.
"""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pruning.language import mark, tr
from ui import theme as look

if TYPE_CHECKING:
    from pruning.looking import AttentionMap, Side

MOST_TOKENS = 64  # of a text; what comes after them is not drawn
MOST_PATCHES = 600  # tokens of an image: their weights go to the browser as one message
LEVELS = 33  # steps of the colour scale, as in the script
UNITS = 10_000  # weights are sent as whole numbers of hundredths of a percent
_FOLDER = Path(__file__).parent
WORDS = {
    "query": mark("looks at"),
    "key": mark("is looked at by"),
    "token": mark("Token"),
    "from": mark("from"),
    "to": mark("looks at"),
    "matrix": mark(
        "Matrix of attention weights: one row for each token that looks, one column for each it looks at. The tokens "
        "beside it say the same in words."
    ),
    "lines": mark("Tokens that look, and tokens that are looked at"),
    "image": mark("The image: choose a patch to see where it looks"),
    "map": mark("Attention of the chosen patch over the image"),
    "choose": mark("choose who looks"),
    "hint": mark("Point at a token to see where it looks, and click to keep it. Keys: arrows, Enter, Esc."),
    "save": mark("Download SVG"),
}


def attention_picture(found: AttentionMap, head: int, run: int, name: str, image: np.ndarray | None = None) -> None:
    """Draw one head's attention.

    Args:
        head: Index in its site.
        run: Which of the map's passes.
        name: Of the head, for the file and its heading.
        image: ``(height, width, 3)`` uint8, under the patches.
    """
    _attention(key="attention", data=picture_data(found, head, run, name, image))


def picture_data(
    found: AttentionMap, head: int, run: int, name: str, image: np.ndarray | None = None
) -> dict[str, Any]:
    """What the script draws from; long texts are cut."""
    weights, queries, keys = found.passes[run][head], found.queries, found.keys
    is_image = image is not None and queries.grid is not None and queries.grid == keys.grid
    if not is_image:
        weights = weights[:MOST_TOKENS, :MOST_TOKENS]
        queries, keys = queries.first(MOST_TOKENS), keys.first(MOST_TOKENS)
    hidden = (found.passes[run][:, : len(queries), : len(keys)] == 0).all(0)  # masked: no head may look there
    return {
        "weights": np.rint(weights * UNITS).astype(int).tolist(),
        "hidden": hidden.astype(int).tolist() if hidden.any() else None,
        "queries": list(queries.tokens),
        "keys": list(keys.tokens),
        "grid": list(queries.grid) if is_image and queries.grid else None,
        "image": image_uri(image) if is_image and image is not None else "",
        "title": name,
        "file": name.lower().replace(", ", "-").replace(" ", "-"),
        "words": {place: tr(text) for place, text in WORDS.items()},
    }


def too_large(side: Side) -> bool:
    """Whether an image has more patches than can be sent."""
    return side.grid is not None and len(side) > MOST_PATCHES


def image_uri(pixels: np.ndarray) -> str:
    """``(height, width, 3)`` uint8 as a PNG in a data URI."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def stylesheet() -> str:
    """The component's CSS, with every colour for both themes through ``light-dark()``."""
    light, dark = look.tokens("light"), look.tokens("dark")
    roles = [f"--{r}: light-dark({getattr(light, r)}, {getattr(dark, r)});" for r in light.__dataclass_fields__]
    pairs = zip(look.sequential("light", LEVELS), look.sequential("dark", LEVELS), strict=True)
    scale = [f'[data-level="{level}"]{{fill:light-dark({a},{b})}}' for level, (a, b) in enumerate(pairs)]
    own = (_FOLDER / "picture.css").read_text(encoding="utf-8")
    return "\n".join([".attention{" + "".join(roles) + "}", *scale, own])


_attention = st.components.v2.component(  # at module level: registering again with every run would warn
    "headroom_attention",
    html='<div class="attention"></div>',
    css=stylesheet(),
    js=(_FOLDER / "picture.js").read_text(encoding="utf-8"),
)
