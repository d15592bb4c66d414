"""The figures that can be taken away, by name. Pure: values in, plotly figures out."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import plotly.graph_objects as go

from pruning.anatomy import Anatomy
from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr, trn
from pruning.masks import HeadId, Mask
from pruning.scopes import parts_of, units_of
from ui import certainty, charts, multiples
from ui import theme as look
from ui.export.subject import Measured, Subject
from ui.history.words import in_line, small
from ui.naming import finding, names_of
from ui.removed import OF_ALL, count_words, neurons_removed, shown_mask
from ui.theme import Theme
from ui.tradeoff import tradeoff
from ui.tradeoff_text import KEY, LINES_AT_FIRST, SAVED, keys_of
from ui.tradeoff_text import finding as tradeoff_finding
from ui.tradeoff_text import subtitle as tradeoff_subtitle

PALE = 5.0  # times a kept head's value: so it is pale, and crosses stand out
POINTS = {"accuracy": mark("Accuracy"), "f1": mark("F1"), "precision": mark("Precision"), "recall": mark("Recall")}
UNITS = {"heads": mark("heads"), "neurons": mark("neurons"), "layers": mark("layers")}
BY = {
    "heads": mark("Heads by {criterion}"),
    "neurons": mark("Neurons by {criterion}"),
    "layers": mark("Layers by {criterion}"),
}
LABELS = {
    "heads": mark("Importance: {criterion}"),
    "neurons": mark("Importance of neurons: {criterion}"),
    "layers": mark("Importance of layers: {criterion}"),
}
OF = {
    "heads": mark("{criterion} of heads"),
    "neurons": mark("{criterion} of neurons"),
    "layers": mark("{criterion} of layers"),
}


@dataclass(frozen=True)
class Picture:
    """One figure.

    Attributes:
        draw: The figure in one theme.
        alt: What it shows, in words.
    """

    name: str
    label: str
    draw: Callable[[Theme], go.Figure]
    alt: str


def pictures(subject: Subject) -> list[Picture]:
    """All figures that there are values for; the one of the criterion that the session looks at comes first."""
    maps = sorted(subject.maps, key=lambda one: (one.scope != "heads", one.criterion != subject.criterion))
    found = [_importance(one, subject) for one in maps]
    found += _mask(subject) if subject.mask else []
    found += [_histogram(one, subject) for one in maps[:1]]
    if subject.measured and subject.mask and subject.measured.before.class_names:
        found.append(_differences(subject.measured, subject))
    if subject.sweep is not None and len(subject.sweep) > 1:
        found.append(_tradeoff(subject))
    return found


def sized(figure: go.Figure, theme: Theme, width: int, ratio: float | None = None) -> go.Figure:
    """The figure as a file: with a width, a height and a ground of its own.

    Args:
        ratio: Height over width; the figure's own height where there is none.
    """
    figure.update_layout(width=width, paper_bgcolor=look.tokens(theme).ground)
    figure.update_layout(margin={"l": 16, "r": 16})
    if ratio is not None:
        figure.update_layout(height=max(figure.layout.height or 0, round(width * ratio)))
    return figure


# Importance ------------------------------------------------------------------------------------------------------


def part_names(scope: str, anatomy: Anatomy) -> list[str]:
    """A short name of each site, block or layer."""
    if scope == "heads":
        return names_of(anatomy, len(anatomy.sites))
    parts = range(len(parts_of(anatomy, scope)))  # type: ignore[arg-type]
    return [tr("Block {n}", n=part) if scope == "neurons" else tr("Layer {n}", n=part) for part in parts]


def _importance(found: ImportanceMap, subject: Subject) -> Picture:
    criterion, anatomy = get_criterion(found.criterion), subject.model.anatomy
    names = part_names(found.scope, anatomy)
    title = finding(found, names) if found.scope == "heads" else _ends(found, names)
    label = tr(criterion.label)
    subtitle = " · ".join(filter(None, [tr(OF[found.scope], criterion=label), _rows(found)]))
    units = count_words(len(found.keep_values), found.scope)
    about = tr("Importance of {units} by {criterion}", units=units, criterion=small(label))
    alt = in_line([look.as_sentence(title), look.as_sentence(about)])

    def draw(theme: Theme) -> go.Figure:
        about: dict[str, Any] = {"title": title, "subtitle": subtitle, "unit": tr(criterion.unit), "theme": theme}
        if found.scope == "neurons":
            return multiples.neuron_strips(found.values, names=names, **about)
        if found.scope == "layers":
            gone = [layer in subject.mask.layers for layer in range(len(names))]
            return multiples.layer_bars(found.flat().tolist(), names=names, removed=gone, **about)
        return charts.heatmap(
            found.values, mask=shown_mask(subject.mask, anatomy), site_names=names, signed=criterion.signed,
            reverse=criterion.direction == "low", **about,
        )  # fmt: skip

    name = f"importance-{found.criterion}-{found.scope}"
    return Picture(name, tr(LABELS[found.scope], criterion=label), draw, alt)


def _rows(found: ImportanceMap) -> str:
    return tr("n = {n:,} calibration rows", n=found.samples) if found.samples else ""


def _ends(found: ImportanceMap, names: list[str]) -> str:
    ranked = found.ranked()
    best, worst = (certainty.unit_name(found, ranked[place], names) for place in (-1, 0))
    return tr("Most important: {most}; least: {least}", most=best, least=worst)


def _histogram(found: ImportanceMap, subject: Subject) -> Picture:
    removed = units_of(subject.mask, found.scope)
    crossed = Mask(frozenset(HeadId(*unit) for unit in removed))  # the chart's cells, of any scope
    total, label = len(found.keep_values), tr(get_criterion(found.criterion).label)
    title = tr("All {units}", units=count_words(total, found.scope))
    if removed:
        title = tr("{units} are removed", units=tr(OF_ALL[found.scope], n=len(removed), total=total))

    def draw(theme: Theme) -> go.Figure:
        figure = charts.histogram(
            found.values, mask=crossed, title=title, subtitle=tr(BY[found.scope], criterion=small(label)),
            unit=tr(get_criterion(found.criterion).unit), theme=theme,
        )  # fmt: skip
        return figure.update_yaxes(title_text=tr(UNITS[found.scope]))

    alt = tr("{title}, by {criterion}.", title=title, criterion=small(label))
    return Picture("histogram", tr("Histogram: {criterion}", criterion=label), draw, alt)


# The mask --------------------------------------------------------------------------------------------------------


def _mask(subject: Subject) -> list[Picture]:
    """Removed heads as crosses; where neurons go, a bar for each block, too."""
    found, anatomy = [], subject.model.anatomy
    if shown_mask(subject.mask, anatomy).heads:
        title = tr("Removed: {parts}", parts=subject.removed)
        alt = tr("{title}. A cross is a head.", title=title)
        found.append(Picture("mask", tr("The mask"), partial(_crossed, subject, title), alt))
    if subject.mask.neurons:
        shares = [100 * gone / total for gone, total in neurons_removed(subject.mask, anatomy)]
        title = tr("Up to {share:.0f}% of the neurons of a block are removed", share=max(shares))
        bars = partial(
            multiples.layer_bars, shares, names=part_names("neurons", anatomy), removed=[share > 0 for share in shares],
            title=title, subtitle=tr("neurons removed from each feed-forward block"), unit=tr("% removed"),
        )  # fmt: skip
        found.append(
            Picture("mask-neurons", tr("The mask: neurons"), lambda theme: bars(theme=theme), look.as_sentence(title))
        )
    return found


def _crossed(subject: Subject, title: str, theme: Theme) -> go.Figure:
    anatomy = subject.model.anatomy
    figure = charts.heatmap(
        [[1.0] * heads for heads in anatomy.heads_per_site], mask=shown_mask(subject.mask, anatomy),
        site_names=part_names("heads", anatomy), title=title, subtitle=tr("a cross marks a removed head"),
        ends=(0.0, PALE), theme=theme,
    )  # fmt: skip
    figure.update_traces(showscale=False, selector={"type": "heatmap"})
    figure.layout.annotations = ()  # what names the scale
    figure.update_layout(height=figure.layout.height - 48, margin_b=44)
    return figure


# What was measured -----------------------------------------------------------------------------------------------


def _differences(measured: Measured, subject: Subject) -> Picture:
    change = measured.change
    rows = [(tr(label), change.differences[name]) for name, label in POINTS.items() if name in change.differences]
    title = tr("Accuracy changes by {change}", change=look.points(change.differences["accuracy"]))
    parts = [tr("pruned minus unpruned, paired, 95% intervals"), subject.data_label, f"n = {change.samples:,}"]
    subtitle = " · ".join(parts)

    def draw(theme: Theme) -> go.Figure:
        return charts.metrics_intervals(rows, title=title, subtitle=html.escape(subtitle), theme=theme)

    alt = trn("{title}, {n} example.", "{title}, {n:,} examples.", change.samples, title=title)
    return Picture("differences", tr("Differences of metrics"), draw, alt)


def _tradeoff(subject: Subject) -> Picture:
    """The first lines, as the page draws them before anybody has chosen others."""
    assert subject.sweep is not None
    lines = keys_of(subject.sweep)[:LINES_AT_FIRST]
    keys = zip(*(subject.sweep[name] for name in KEY), strict=True)
    table = subject.sweep[[key in lines for key in keys]].reset_index(drop=True)
    saved = next((name for name in SAVED if name in table and table[name].nunique() > 1), "heads")
    kept = "perplexity" if "perplexity" in table else "accuracy"
    title, shown = tradeoff_finding(table, saved, kept)
    subtitle = html.escape(tradeoff_subtitle(table, shown, subject.data_label, False))

    def draw(theme: Theme) -> go.Figure:
        return tradeoff(table, saved=saved, kept=kept, title=title, subtitle=subtitle, theme=theme)

    return Picture("tradeoff", tr("Trade-off"), draw, look.as_sentence(title))
