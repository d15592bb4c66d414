"""What a head attends to on average, as figures. Pure: values in, figures out."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from pruning.language import mark, tr
from pruning.looking.patterns import OFFSETS, PROFILE, HeadPattern
from pruning.statistics import Estimate
from ui import theme as look
from ui.figure import figure_with_heading
from ui.head.words import SHARES, Kind
from ui.theme import MINUS, Theme

ROW_PX = 30
COLUMNS = (mark("what"), mark("unit"), mark("value"), mark("low"), mark("high"))
FAR = {"further back": f"< {MINUS}{OFFSETS}", "further ahead": f"> +{OFFSETS}"}


def share_bars(pattern: HeadPattern, kind: Kind, title: str, theme: Theme) -> go.Figure:
    """The shares that a head can be named after, with 95% intervals; the longest in the accent."""
    colours, names, shares = look.tokens(theme), SHARES[kind], pattern.shares
    most = max(shares, key=lambda name: shares[name].value)
    figure = figure_with_heading(theme, title, tr("Share of its attention"), ROW_PX * len(shares))
    figure.add_bar(
        x=[100 * one.value for one in shares.values()], y=[tr(names[name]) for name in shares], orientation="h",
        error_x=_bars(list(shares.values()), colours.text),
        marker_color=[colours.accent if name == most else look.with_alpha(colours.accent, 0.4) for name in shares],
        text=[look.proportion(one) for one in shares.values()], textposition="none",
        hovertemplate="%{y}: %{text}<extra></extra>",
    )  # fmt: skip
    top = max(100 * one.high for one in shares.values())
    figure.update_xaxes(title_text=tr("% of attention"), range=[0, min(100.0, max(20.0, 1.1 * top))], fixedrange=True)
    figure.update_yaxes(fixedrange=True, autorange="reversed", showgrid=False)
    return figure.update_layout(bargap=0.3)


def profile_bars(pattern: HeadPattern, theme: Theme) -> go.Figure:
    """The share by distance, back to the left and ahead to the right."""
    colours, values = look.tokens(theme), [one.value for one in pattern.profile]
    title, named = profile_finding(pattern), list(zip(PROFILE, pattern.profile, strict=True))
    figure = figure_with_heading(theme, title, tr("Share of its attention by place, relative to its own"), 170)
    figure.add_bar(
        x=list(range(len(PROFILE))), y=[100 * value for value in values],
        error_y=_bars(list(pattern.profile), colours.text),
        marker_color=[look.with_alpha(colours.secondary if name in FAR else colours.accent, 0.6) for name in PROFILE],
        text=[f"{place_name(name)}: {look.proportion(one)}" for name, one in named],
        textposition="none", hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip
    shown = [place for place, name in enumerate(PROFILE) if name in FAR or int(name) in range(-6, 7, 2)]
    figure.update_xaxes(
        title_text=tr("tokens ahead of its own place (negative: back)"), tickmode="array", tickvals=shown,
        ticktext=[FAR.get(PROFILE[place]) or place_name(PROFILE[place]) for place in shown], tickangle=0,
        fixedrange=True,
    )  # fmt: skip
    figure.update_yaxes(title_text=tr("% of attention"), rangemode="tozero", fixedrange=True, nticks=5)
    return figure.update_layout(bargap=0.2)


def profile_finding(pattern: HeadPattern) -> str:
    """How much of the attention goes back and how much ahead."""
    middle = len(PROFILE) // 2
    back, ahead = (sum(one.value for one in part) for part in (pattern.profile[:middle], pattern.profile[middle + 1 :]))
    away = look.number(pattern.distance.value, 2)
    text = mark("{back:.0%} of it looks back, {ahead:.0%} ahead; {n} tokens away on average")
    return tr(text, back=back, ahead=ahead, n=away)


def place_name(name: str) -> str:
    """
    >>> place_name("-3"), place_name("+0"), place_name("further back")
    ('−3', '0', 'further back')
    """
    return "0" if name == "+0" else name.replace("-", MINUS) if name not in FAR else tr(name)


def pattern_table(pattern: HeadPattern, kind: Kind) -> pd.DataFrame:
    """Everything that is measured of a head's habits: name, value and interval, shares in percent."""
    names = SHARES[kind]
    percent = {tr(names[name]): one for name, one in pattern.shares.items()}
    percent |= {tr("all special tokens"): pattern.special, tr("breadth, of what it can see"): pattern.broad}
    percent |= {
        tr("offset {place}", place=place_name(name)): one for name, one in zip(PROFILE, pattern.profile, strict=True)
    }
    rows = [(name, "%", *(100 * value for value in (one.value, one.low, one.high))) for name, one in percent.items()]
    for name, one in ((tr("tokens looked at"), pattern.effective), (tr("mean distance"), pattern.distance)):
        rows.append((name, tr("tokens"), one.value, one.low, one.high))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _bars(estimates: list[Estimate], colour: str) -> dict[str, object]:
    up = [100 * (one.high - one.value) for one in estimates]
    return {"type": "data", "array": up, "color": colour, "thickness": 1.5, "width": 0}
