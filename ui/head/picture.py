"""Attention as a picture that answers: a matrix and lines between tokens, or an image with its patches.

Python sends the weights, and nothing comes back; of large images it sends where one patch looks, and the browser says
which patch comes next.
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
MOST_PATCHES = 600  # tokens of an image whose weights all go to the browser: it has them about as fast as it draws
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
    "mosaic": mark("Chosen patch: the arrow keys choose another"),
    "outside": mark("outside its window: 0%"),
    "beyond": mark("on padding beyond the image:"),
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
    data = picture_data(found, head, run, name, image, chosen_patch(found.queries))
    _attention(key="attention", data=data, on_choose_change=_choose)


def picture_data(
    found: AttentionMap, head: int, run: int, name: str, image: np.ndarray | None = None, chosen: int = 0
) -> dict[str, Any]:
    """What the script draws from; long texts are cut, and of large images there is the row of one patch.

    Args:
        chosen: Whose row that is.
    """
    queries, keys = found.queries, found.keys
    is_image = image is not None and queries.grid is not None and keys.grid is not None
    data = {
        "grid": list(queries.grid) if is_image and queries.grid else None,
        "keyGrid": list(keys.grid) if is_image and keys.grid else None,
        "image": image_uri(image) if is_image and image is not None else "",
        "title": name,
        "file": name.lower().replace(", ", "-").replace(" ", "-"),
        "words": {place: tr(text) for place, text in WORDS.items()},
    }
    if is_image and one_at_a_time(found):
        return data | _one_row(found, head, run, chosen)
    if not is_image:
        queries, keys = queries.first(MOST_TOKENS), keys.first(MOST_TOKENS)
    weights = found.matrix(head, run)[: len(queries), : len(keys)]
    hidden = None if is_image else (found.passes[run][:, : len(queries), : len(keys)] == 0).all(0)
    return data | {
        "weights": np.rint(weights * UNITS).astype(int).tolist(),
        "hidden": hidden.astype(int).tolist() if hidden is not None and hidden.any() else None,
        "queries": list(queries.tokens),
        "keys": list(keys.tokens),
        "windows": regions(found, run),
        "beyond": np.rint(UNITS * (1 - weights.sum(-1))).astype(int).tolist() if _has_padding(found) else None,
    }


def one_at_a_time(found: AttentionMap) -> bool:
    """Whether an image has too many patches for all weights at once, or looks at coarser ones than it has."""
    return len(found.queries) > MOST_PATCHES or found.queries.grid != found.keys.grid


def _one_row(found: AttentionMap, head: int, run: int, chosen: int) -> dict[str, Any]:
    """Where one patch looks, ``[key, weight]`` of all that get anything, and what its window is."""
    row, windows = found.row(head, chosen, run), regions(found, run)
    beyond = UNITS * (1 - float(row.sum())) if _has_padding(found) else 0.0
    own = None if windows is None else [key for key, one in enumerate(windows) if one == windows[chosen]]
    return {
        "weights": None,
        "chosen": chosen,
        "row": [[int(key), round(float(UNITS * row[key]), 2)] for key in row.nonzero()[0]],
        "window": own,
        "queries": list(found.queries.tokens),
        "keys": list(found.keys.tokens),
        "beyond": round(beyond, 2),
    }


def regions(found: AttentionMap, run: int) -> list[int] | None:
    """What each patch of an image sees, by the first patch of it; ``None`` where each sees all.

    A shifted window that goes round the image's edge holds patches that do not see each other: they are apart here.
    """
    if found.places is None:
        return None
    seen = (found.passes[run] > 0).any(0) & (found.places >= 0)
    return np.where(seen, found.places, len(found.keys)).min(1).tolist()


def _has_padding(found: AttentionMap) -> bool:
    return found.places is not None and bool((found.places < 0).any())


def chosen_patch(side: Side) -> int:
    """Whose row is shown of a large image: what was chosen last, else the first token or the patch in the middle."""
    rows, columns = side.grid or (1, 1)
    before = len(side) - rows * columns
    first = 0 if before else rows // 2 * columns + columns // 2
    chosen = st.session_state.get(f"head_patch {len(side)}", first)
    return chosen if 0 <= chosen < len(side) else first


def _choose() -> None:
    """Take the patch that the browser asks for, ``[patch, patches]``."""
    state: Any = st.session_state.get("attention")
    answer = state.get("choose") if state else None
    if isinstance(answer, list) and len(answer) == 2 and all(isinstance(one, int) for one in answer):
        st.session_state[f"head_patch {answer[1]}"] = answer[0]


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
