"""How a training went, as a figure. Pure: a record in, a figure out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from pruning.recovery.settings import History
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

PLOT_PX, LABEL_PX = 220, 72


def kept_row(history: Sequence[History]) -> History | None:
    """The row whose state would be kept now: the lowest held-out loss; the last row where nothing is held out."""
    judged = [row for row in history if row.held_out_loss is not None and math.isfinite(row.held_out_loss)]
    return min(judged, key=lambda row: row.held_out_loss or 0.0) if judged else next(reversed(history), None)


def training_title(history: Sequence[History]) -> str:
    """The finding.

    >>> training_title([History(0, 0, None, 0.5, 0.8), History(9, 4, 0.6, 0.4, 0.85)])
    'The held-out loss fell from 0.500 to 0.400'
    """
    kept = kept_row(history)
    if not history or kept is None or kept.held_out_loss is None:
        return "Nothing is held out: the last state is kept"
    first = look.number(history[0].held_out_loss)
    if len(history) == 1:
        return f"The held-out loss is {first} before training"
    if kept.step == history[0].step:
        return "Training has not lowered the held-out loss"
    return f"The held-out loss fell from {first} to {look.number(kept.held_out_loss)}"


def training_chart(history: Sequence[History], *, subtitle: str = "", theme: Theme = "light") -> go.Figure:
    """Loss over the steps: of training thin, held out bold, and the state that is kept ringed.

    Args:
        history: A row before the first step and one after every epoch.
    """
    colours = look.tokens(theme)
    figure = figure_with_heading(theme, training_title(history), subtitle, PLOT_PX, hovermode="closest")
    figure.update_layout(margin_r=LABEL_PX)
    lines = (
        ("training", "train_loss", colours.secondary, 1.2, 4),
        ("held out", "held_out_loss", colours.accent, 3, 7),
    )
    for name, column, colour, width, size in lines:
        found = [(row.step, getattr(row, column)) for row in history if getattr(row, column) is not None]
        if found:
            _line(figure, name, found, colour, width, size)
    if kept := kept_row(history):
        _ring(figure, kept, colours.kept)
    figure.update_xaxes(title_text="steps", fixedrange=True, rangemode="tozero", nticks=7)
    figure.update_yaxes(title_text="loss", fixedrange=True, nticks=5)
    return figure


def _line(figure: go.Figure, name: str, found: list[tuple[int, float]], colour: str, width: float, size: float) -> None:
    """One loss with its name at its end."""
    x, y = [step for step, _ in found], [loss for _, loss in found]
    figure.add_scatter(
        x=x, y=y, mode="lines+markers", name=name, line={"color": colour, "width": width}, cliponaxis=False,
        marker={"color": colour, "size": size}, customdata=[look.number(loss) for loss in y],
        hovertemplate=f"{name} loss %{{customdata}} after %{{x}} steps<extra></extra>",
    )  # fmt: skip
    figure.add_annotation(
        x=x[-1], y=y[-1], text=name, showarrow=False, xanchor="left", xshift=10,
        font={"color": colour, "size": look.CAPTION_PX},
    )  # fmt: skip


def _ring(figure: go.Figure, kept: History, colour: str) -> None:
    loss = kept.held_out_loss if kept.held_out_loss is not None else kept.train_loss
    if loss is None:
        return
    figure.add_scatter(
        x=[kept.step], y=[loss], mode="markers", name="kept", cliponaxis=False, hoverinfo="skip",
        marker={"symbol": "circle-open", "size": 15, "color": colour, "line": {"width": 2.5}},
    )  # fmt: skip
    figure.add_annotation(
        x=kept.step, y=loss, text="kept", showarrow=False, yanchor="top", yshift=-12,
        font={"color": colour, "size": look.CAPTION_PX},
    )  # fmt: skip


def describe_training(history: Sequence[History]) -> str:
    """The same in words, for those who do not see the chart."""
    rows = [
        f"after {row.step} steps training loss {look.number(row.train_loss)}, held out {look.number(row.held_out_loss)}"
        for row in history
    ]
    return f"{training_title(history)}. " + "; ".join(rows)
