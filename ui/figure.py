"""The one look that all charts share: plotly's template, and a heading that fits on a telephone."""

from __future__ import annotations

import re
import textwrap
from unicodedata import east_asian_width

import pandas  # noqa: F401  plotly takes it from sys.modules, where another thread may have put it half imported
import plotly.graph_objects as go

from ui import theme as look
from ui.theme import Theme

WIDE = r"[\u2e80-\u9fff\uf900-\ufaff\uff01-\uff60]"  # Chinese letters and their punctuation
CLOSING = r"[，。：；！？、）》”…%]"  # never at the beginning of a line


def template(theme: Theme) -> go.layout.Template:
    """The one template of all charts: no frame, light horizontal grid, type and colours of the tokens."""
    colours = look.tokens(theme)
    axis = {
        "showline": False, "zeroline": False, "ticks": "", "automargin": True, "gridcolor": colours.line,
        "tickfont": {"color": colours.secondary, "size": look.CAPTION_PX},
        "title": {"font": {"color": colours.secondary, "size": look.CAPTION_PX}, "standoff": 8}, "ticklabelstandoff": 4,
    }  # fmt: skip
    layout = {
        "font": {"family": look.FONT_FAMILY, "size": look.BODY_PX, "color": colours.text},
        "title": {"x": 0, "xref": "container", "xanchor": "left", "yref": "container",
                  "pad": {"l": 2}, "font": {"size": look.TITLE_PX, "color": colours.text}},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": {**axis, "showgrid": False}, "yaxis": axis,
        "colorway": [colours.accent, colours.kept, colours.pruned, colours.secondary],
        "hoverlabel": {"bgcolor": colours.raised, "bordercolor": colours.line, "align": "left",
                       "font": {"family": look.FONT_FAMILY, "size": look.BODY_PX, "color": colours.text}},
        "showlegend": False, "dragmode": False, "autosize": True, "separators": ".,",
    }  # fmt: skip
    return go.layout.Template(layout=layout)


def figure_with_heading(
    theme: Theme, title: str, subtitle: str, height_px: int, bottom_px: int = 44, **layout: object
) -> go.Figure:
    """An empty figure with its heading; ``height_px`` is the drawing area's, without the heading."""
    colours = look.tokens(theme)
    heading, small = _wrapped(title, 46), _wrapped(subtitle, 60)
    lines = [f"<b>{line}</b>" for line in heading] + [_caption(line, colours.secondary) for line in small]
    top = 12 + 21 * len(heading) + 19 * len(small)
    height = top + height_px + bottom_px
    figure = go.Figure(layout={"template": template(theme), **layout})
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": top, "b": bottom_px, "pad": 0},
        # Plotly puts the first of several lines with its foot at y, whatever yanchor says; "bottom" treats one alike.
        title={"text": "<br>".join(lines), "y": 1 - 20 / height, "yanchor": "bottom"} if lines else None,
    )
    return figure


def _caption(line: str, colour: str) -> str:
    """A line of the subtitle; plotly's own subtitle leaves a gap above and none below."""
    return f'<span style="font-size:{look.CAPTION_PX}px;font-weight:400;color:{colour}">{line}</span>'


def _wrapped(text: str, width: int) -> list[str]:
    """Break long headings, since plotly never does and a telephone shows about this many letters.

    Chinese has no spaces to break at: a line may end after any of its characters, which are twice as wide.

    >>> _wrapped("one two three", 8), _wrapped("on n = 220", 8), _wrapped("第5层占总重要性的26%。", 10)
    (['one two', 'three'], ['on', 'n = 220'], ['第5层占总', '重要性的', '26%。'])
    """
    text = text.replace(" = ", "\0=\0")  # "n =" and its number stay together
    if not any(map(_is_wide, text)):
        return [line.replace("\0", " ") for line in textwrap.wrap(text, width)]
    lines = [""]
    for piece in re.findall(rf"\s*(?:{WIDE}|(?:(?!{WIDE})\S)+){CLOSING}*", text):
        if lines[-1] and sum(1 + _is_wide(one) for one in lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece if lines[-1] else piece.lstrip()
    return [line.replace("\0", " ") for line in lines]


def _is_wide(letter: str) -> bool:
    return east_asian_width(letter) in "WF"
