"""The picture of a guess and its truth on the slider's scale. No streamlit here."""

from __future__ import annotations

import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.learning.records import Scale, Truth
from ui.figure import figure_with_heading
from ui.learn.words import amount, finer, told, unit_of
from ui.theme import BODY_PX, Theme, tokens, with_alpha


def guess_and_truth(guess: float, truth: Truth, scale: Scale, theme: Theme, samples: int = 0) -> go.Figure:
    """One line: the interval as a band, the truth in it, and the guess."""
    colours = tokens(theme)
    said, found = amount(guess, scale), amount(truth.value, finer(scale, truth.value))
    title = tr("You said {guess}; it is {truth}", guess=said, truth=found)
    about = told(truth, scale, samples)
    interval = truth.low is not None and truth.high is not None
    text = mark("Truth with its 95% interval: {truth}") if interval else mark("Truth: {truth}")
    subtitle = tr(text, truth=about)
    figure = figure_with_heading(theme, title, subtitle, height_px=74, bottom_px=48)
    edge = 0.02 * (scale.high - scale.low)
    low, high = min(scale.low, truth.value) - edge, max(scale.high, truth.value) + edge
    figure.update_yaxes(visible=False, range=[-1, 1])
    figure.update_xaxes(range=[low, high], ticks="outside", tickcolor=colours.line, title=unit_of(scale))
    figure.add_shape(type="line", x0=low, x1=high, y0=0, y1=0, line={"color": colours.line, "width": 2}, layer="below")
    if interval:
        ends = {"x0": truth.low, "x1": truth.high, "y0": -0.28, "y1": 0.28}
        figure.add_shape(type="rect", **ends, fillcolor=with_alpha(colours.kept, 0.35), line_width=0, layer="below")
    marks = (
        (truth.value, tr("Truth"), found, "diamond", colours.kept, "bottom"),
        (guess, tr("Your guess"), said, "circle", colours.accent, "top"),
    )
    for value, name, text, symbol, colour, side in marks:
        middle = (value - low) / (high - low)
        anchor = "left" if middle < 0.08 else "right" if middle > 0.92 else "center"
        figure.add_trace(
            go.Scatter(
                x=[value], y=[0], mode="markers+text", text=[name], textfont={"color": colour, "size": BODY_PX},
                textposition=f"{side} {SIDES[anchor]}", hovertemplate=f"{name}: {text}<extra></extra>",
                marker={"symbol": symbol, "size": 13, "color": colour, "line": {"color": colours.ground, "width": 2}},
                cliponaxis=False,
            )
        )  # fmt: skip
    return figure


SIDES = {"left": "right", "right": "left", "center": "center"}  # text beside a mark near an end grows away from it
