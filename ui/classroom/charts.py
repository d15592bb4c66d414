"""The guesses of a class as a strip: a dot for each, stacked where several say the same. No streamlit here."""

from __future__ import annotations

from collections import Counter

import plotly.graph_objects as go

from pruning.language import tr, trn
from pruning.learning.records import Answer
from ui.classroom.answers import Question
from ui.figure import figure_with_heading
from ui.learn.words import amount, finer, told, unit_of
from ui.theme import BODY_PX, CAPTION_PX, Theme, tokens, with_alpha

BINS, LEAST_ROWS, ROW_PX = 40, 5, 22


def guesses(question: Question, names: dict[int, str], theme: Theme, revealed: bool) -> go.Figure:
    """What everybody has guessed, and the truth once it is revealed."""
    truth, scale = question.answers[0].truth, question.answers[0].scale
    colours, stacks = tokens(theme), stacked(question.answers)
    rows = max(LEAST_ROWS, *(row + 1 for _, row, _ in stacks))
    title = finding(question, revealed)
    subtitle = trn("{n} guess, a dot for each", "{n} guesses, a dot for each", len(question.answers))
    figure = figure_with_heading(theme, title, subtitle, height_px=40 + min(16, rows) * ROW_PX, bottom_px=52)
    edge = 0.03 * (scale.high - scale.low)
    low, high = scale.low - edge, scale.high + edge
    if revealed:
        low, high = min(low, truth.value - edge), max(high, truth.value + edge)
        _mark_truth(figure, question, colours.kept, rows, (low + high) / 2)
    figure.add_trace(
        go.Scatter(
            x=[place for place, _, _ in stacks],
            y=[row + 0.5 for _, row, _ in stacks],
            mode="markers",
            marker={
                "size": 14 if rows <= 16 else 8,
                "color": colours.accent,
                "line": {"color": colours.ground, "width": 1},
            },
            text=[f"{names.get(one.member, '')}: {amount(one.guess, scale)}" for _, _, one in stacks],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    unit = unit_of(scale)
    name = tr("Guess ({unit})", unit=unit) if unit else tr("Guess")
    figure.update_xaxes(range=[low, high], title=name, ticks="outside", showline=True, linecolor=colours.line)
    figure.update_yaxes(visible=False, range=[0, rows + 1.5])
    figure.update_layout(hoverlabel_font_size=CAPTION_PX)
    return figure


def _mark_truth(figure: go.Figure, question: Question, colour: str, rows: int, middle: float) -> None:
    """A line with its interval behind the dots, and above them what it is."""
    truth, scale = question.answers[0].truth, question.answers[0].scale
    found = tr("Truth: {truth}", truth=amount(truth.value, finer(scale, truth.value)))
    if truth.low is not None and truth.high is not None:
        figure.add_vrect(truth.low, truth.high, fillcolor=with_alpha(colour, 0.25), line_width=0, layer="below")
    figure.add_vline(truth.value, line={"color": colour, "width": 2}, layer="below")
    figure.add_annotation(
        x=truth.value, y=rows + 0.9, text=f" {found} ",
        showarrow=False, xanchor="left" if truth.value < middle else "right",
        font={"color": colour, "size": BODY_PX},
    )  # fmt: skip


def finding(question: Question, revealed: bool) -> str:
    """What the picture shows, in a sentence; nothing of the truth before it is revealed."""
    truth, scale = question.answers[0].truth, question.answers[0].scale
    said = [one.guess for one in question.answers]
    if not revealed:
        low, high = amount(min(said), scale), amount(max(said), scale)
        if low == high:
            return tr("The class guesses {guess}", guess=low)
        return tr("The class guesses {low} to {high}", low=low, high=high)
    close = sum(one.missed_by == 0 for one in question.answers)
    answer = told(truth, scale)
    return tr("It is {truth}; {close} of {all} were spot on", truth=answer, close=close, all=len(said))


def stacked(answers: tuple[Answer, ...]) -> list[tuple[float, int, Answer]]:
    """Place, row and answer of each dot: what falls into one of `BINS` columns stands on what is there already."""
    scale, heights, found = answers[0].scale, Counter[int](), []
    width = max(scale.step, (scale.high - scale.low) / BINS)
    for one in sorted(answers, key=lambda one: (one.guess, one.member)):
        column = round((one.guess - scale.low) / width)
        found.append((min(scale.low + column * width, scale.high), heights[column], one))
        heights[column] += 1
    return found
