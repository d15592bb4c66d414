"""How a training went, as a figure. Pure: a record in, a figure out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.recovery.settings import History, by_cut
from ui import theme as look
from ui.figure import figure_with_heading
from ui.theme import Theme

PLOT_PX, LABEL_PX = 220, 72
NO_BOX = "<extra></extra>"  # beside the hover text


def kept_row(history: Sequence[History]) -> History | None:
    """The row whose state would be kept now: the lowest held-out loss since the last cut, or else the last row."""
    last = next(reversed(by_cut(history)), ())
    judged = [row for row in last if row.held_out_loss is not None and math.isfinite(row.held_out_loss)]
    return min(judged, key=lambda row: row.held_out_loss or 0.0) if judged else next(reversed(history), None)


def training_title(history: Sequence[History]) -> str:
    """The finding.

    >>> training_title([History(0, 0, None, 0.5, 0.8), History(9, 4, 0.6, 0.4, 0.85)])
    'The held-out loss fell from 0.500 to 0.400'
    >>> training_title([History(0, 0, None, 0.5, 0.8), History(0, 0, None, 0.6, 0.8), History(9, 4, 0.6, 0.4, 0.85)])
    'After cut 2 the held-out loss fell to 0.400'
    """
    kept = kept_row(history)
    if not history or kept is None or kept.held_out_loss is None:
        return tr("Nothing is held out: the last state is kept")
    cuts, lowest = by_cut(history), look.number(kept.held_out_loss)
    if len(cuts) > 1:
        text = mark("After cut {n} the held-out loss has not fallen below {loss}")
        text = mark("After cut {n} the held-out loss fell to {loss}") if kept.step else text
        text = mark("After cut {n} the held-out loss is {loss}") if len(cuts[-1]) == 1 else text
        return tr(text, n=len(cuts), loss=lowest)
    first = look.number(history[0].held_out_loss)
    if len(history) == 1:
        return tr("The held-out loss is {loss} before training", loss=first)
    if kept.step == history[0].step:
        return tr("Training has not lowered the held-out loss")
    return tr("The held-out loss fell from {first} to {lowest}", first=first, lowest=lowest)


def counted_through(history: Sequence[History]) -> list[tuple[History, ...]]:
    """The record of each cut, with the steps counted through all of them.

    >>> rows = [History(step, 0, None, 0.5, 0.8) for step in (0, 4, 0, 6)]
    >>> [[row.step for row in cut] for cut in counted_through(rows)]
    [[0, 4], [4, 10]]
    """
    found, before = [], 0
    for rows in by_cut(history):
        found.append(tuple(replace(row, step=before + row.step) for row in rows))
        before = found[-1][-1].step
    return found


def training_chart(
    history: Sequence[History],
    *,
    title: str = "",
    kept: History | None = None,
    subtitle: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """Loss over the steps: of training thin, held out bold, and the state that is kept ringed.

    Args:
        history: A row before the first step and one after every epoch; with several cuts, of each of them.
        title: Instead of `training_title`.
        kept: The row that is ringed, instead of `kept_row`.
    """
    colours, cuts, kept = look.tokens(theme), counted_through(history), kept or kept_row(history)
    figure = figure_with_heading(theme, title or training_title(history), subtitle, PLOT_PX, hovermode="closest")
    figure.update_layout(margin_r=LABEL_PX)
    _cut_lines(figure, [rows[0].step for rows in cuts], colours.secondary)
    lines = (
        (tr("training"), "train_loss", colours.secondary, 1.2, 4),
        (tr("held out"), "held_out_loss", colours.accent, 3, 7),
    )
    for name, column, colour, width, size in lines:
        parts = [
            [(row.step, getattr(row, column)) for row in rows if getattr(row, column) is not None] for rows in cuts
        ]
        if any(parts):
            _line(figure, name, list(filter(None, parts)), colour, width, size)
    if kept:
        _ring(figure, kept, (cuts[-1][0].step if cuts else 0) + kept.step, colours.kept)
    figure.update_xaxes(title_text=tr("steps"), fixedrange=True, rangemode="tozero", nticks=7)
    figure.update_yaxes(title_text=tr("loss"), fixedrange=True, nticks=5)
    return figure


def _cut_lines(figure: go.Figure, steps: list[int], colour: str) -> None:
    """A dotted line at every cut but the first, with its number."""
    for number, step in enumerate(steps[1:], 2):
        figure.add_vline(step, line={"color": colour, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=step, y=1, yref="paper", text=tr("cut {n}", n=number) if number == 2 else str(number), showarrow=False,
            xanchor="right", yanchor="top", xshift=-3, font={"color": colour, "size": look.CAPTION_PX},
        )  # fmt: skip


def _line(
    figure: go.Figure, name: str, parts: list[list[tuple[int, float]]], colour: str, width: float, size: float
) -> None:
    """One loss with its name at its end; between two cuts it is broken."""
    points: list[tuple[int | None, float | None]] = []
    for part in parts:
        points += [*([(None, None)] if points else []), *part]
    x, y = [step for step, _ in points], [loss for _, loss in points]
    figure.add_scatter(
        x=x, y=y, mode="lines+markers", name=name, line={"color": colour, "width": width}, cliponaxis=False,
        marker={"color": colour, "size": size}, customdata=[loss and look.number(loss) for loss in y],
        hovertemplate=tr("{line}: loss {loss} after {n} steps", line=name, loss="%{customdata}", n="%{x}") + NO_BOX,
    )  # fmt: skip
    figure.add_annotation(
        x=x[-1], y=y[-1], text=name, showarrow=False, xanchor="left", xshift=10,
        font={"color": colour, "size": look.CAPTION_PX},
    )  # fmt: skip


def _ring(figure: go.Figure, kept: History, step: int, colour: str) -> None:
    loss = kept.held_out_loss if kept.held_out_loss is not None else kept.train_loss
    if loss is None:
        return
    figure.add_scatter(
        x=[step], y=[loss], mode="markers", name=tr("kept"), cliponaxis=False, hoverinfo="skip",
        marker={"symbol": "circle-open", "size": 15, "color": colour, "line": {"width": 2.5}},
    )  # fmt: skip
    figure.add_annotation(
        x=step, y=loss, text=tr("kept"), showarrow=False, yanchor="top", yshift=-12,
        font={"color": colour, "size": look.CAPTION_PX},
    )  # fmt: skip


def describe_training(history: Sequence[History], title: str = "") -> str:
    """The same in words, for those who do not see the chart."""
    rows = [
        tr(
            "after {n} steps training loss {loss}, held out {held}",
            n=row.step,
            loss=look.number(row.train_loss),
            held=look.number(row.held_out_loss),
        )
        for rows in counted_through(history)
        for row in rows
    ]
    return f"{title or training_title(history)}. " + "; ".join(rows)
