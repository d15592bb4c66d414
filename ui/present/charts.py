"""Before and after as a picture: two bars for each quantity. Pure: values in, a plotly figure out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from pruning.language import tr
from pruning.presenting.figures import Pair, Verdict
from ui import theme as look
from ui.figure import figure_with_heading
from ui.present.words import LABELS, change, write
from ui.theme import Theme, Tokens

FULL, ROOM_FOR_TEXT = 100.0, 110.0  # percent: the longer bar, and at least what stands beside it
NARROW_PX, MOST_TEXT, GAP_PX = 380, 0.7, 8  # the narrowest that it is drawn, and the share of it that text may take
ROW_PX, LARGE_PX = 104, 18
MANY, SMALL_ROW_PX, SMALL_PX = 5, 60, 15  # so many quantities and more are drawn closer


@dataclass(frozen=True)
class Bars:
    """One quantity as it is drawn.

    Attributes:
        before, after: Length of the bars in percent of the longer one; of 100 percent where it is a share.
    """

    label: str
    before: float
    after: float
    before_text: str
    after_text: str
    change: str
    verdict: Verdict


def bars_of(pairs: Sequence[Pair]) -> list[Bars]:
    """The bars in the language of now."""
    found = []
    for pair in pairs:
        values = pair.before.value, pair.after.value
        longest = 1.0 if pair.before.unit == "share" else max(*values) or 1.0
        before, after = (FULL * value / longest for value in values)
        texts = write(pair.before), write(pair.after)
        found.append(Bars(tr(LABELS[pair.name]), before, after, texts[0], texts[1], change(pair), pair.verdict))
    return found


def before_after(pairs: Sequence[Pair], *, title: str = "", subtitle: str = "", theme: Theme = "light") -> go.Figure:
    """Draw the pairs from top to bottom, large enough to be read from the last row."""
    colours, bars = look.tokens(theme), bars_of(pairs)
    height, size = (ROW_PX, LARGE_PX) if len(bars) < MANY else (SMALL_ROW_PX, SMALL_PX)
    figure = figure_with_heading(theme, title, subtitle, height * len(bars), 8, bargap=0, dragmode=False)
    for row, bar in enumerate(bars):
        _draw(figure, row, bar, size, colours)
    figure.update_xaxes(visible=False, range=[0, FULL + room_for_text(bars, size)], fixedrange=True)
    figure.update_yaxes(visible=False, range=[len(bars), -0.05], fixedrange=True)
    return figure


def room_for_text(bars: Sequence[Bars], size: int) -> float:
    """What the longest text takes beside the longer bar on a narrow screen, in percent of that bar.

    Args:
        size: Of the type, in pixels: about twice the mean width of a Latin letter, and the width of a Chinese one.
    """
    texts = [f"{bar.after_text}  {bar.change}" for bar in bars]
    widest = max(sum(size if ord(letter) > 0x2E80 else 0.52 * size for letter in text) for text in texts)
    share = min(MOST_TEXT, (widest + GAP_PX) / NARROW_PX)
    return max(ROOM_FOR_TEXT, FULL * share / (1 - share))


def colour_of(verdict: Verdict, colours: Tokens) -> str:
    """Of what came after: a gain, a loss, or neither."""
    return {"better": colours.kept, "worse": colours.pruned}.get(verdict, colours.accent)


def _draw(figure: go.Figure, row: int, bar: Bars, size: int, colours: Tokens) -> None:
    """The name, and below it both bars with what they say at their ends."""
    colour = colour_of(bar.verdict, colours)
    font: dict[str, object] = {"size": size, "color": colours.text}
    written = {"xanchor": "left", "yanchor": "middle", "showarrow": False, "font": font, "align": "left"}
    figure.add_annotation(text=bar.label, x=0, y=row + 0.14, **written)
    changed = f"{bar.after_text}  <b><span style='color:{colour}'>{bar.change}</span></b>"
    sides = (
        (0.42, bar.before, tr("before"), bar.before_text, bar.before_text, colours.secondary),
        (0.72, bar.after, tr("after"), bar.after_text, changed, colour),
    )
    for place, length, when, text, beside, fill in sides:
        figure.add_bar(
            x=[length], y=[row + place], width=0.24, orientation="h", marker_color=fill, marker_opacity=0.9,
            hovertemplate=f"{bar.label}, {when}: {text}<extra></extra>",
        )  # fmt: skip
        figure.add_annotation(text=beside, x=length, xshift=GAP_PX, y=row + place, **written)


def describe(pairs: Sequence[Pair]) -> str:
    """The picture in words."""
    return " ".join(
        tr("{label}: {before} before, {after} after ({change}).", label=tr(LABELS[pair.name]),
           before=write(pair.before), after=write(pair.after), change=change(pair))
        for pair in pairs
    )  # fmt: skip
