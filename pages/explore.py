"""Explore: which heads matter, under which criterion, and how sure that is."""

from typing import Any

import streamlit as st

from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr, trn
from pruning.masks import HeadId, Mask
from pruning.scopes import units_of
from ui import certainty, charts, comparing, multiples, state
from ui.controls import mirror_key, on_move
from ui.head.choosing import open_head
from ui.importance import (
    SCOPE_LABELS,
    asked,
    criterion_picker,
    displayed,
    displayed_signed,
    displayed_unit,
    known_importance,
    part_names,
    provenance,
    scoring_state,
    view_options,
)
from ui.naming import finding, head_name
from ui.page import Page, begin

FEW = 16  # so few units are counted in whole numbers
ROW_PX, TABLE_PX = 35, 360
HEADERS = {
    "heads": mark("All heads, least important first"),
    "neurons": mark("All neurons, least important first"),
    "layers": mark("All layers, least important first"),
}
DIRECTIONS = {"high": mark("High values are important."), "low": mark("Low values are important.")}
NUMBERS = (mark("importance"), mark("standard error"), mark("low"), mark("high"))  # columns of the table
WORDS = (mark("rank"), mark("site"), mark("block"), mark("removed"))


def main() -> None:
    page = begin("Explore", tr("Which attention heads does this model need for its task?"))
    if st.session_state.pop("open_head", False):
        st.switch_page("pages/head.py")
    left, right = st.columns([3, 2], gap="large")
    with right:
        criterion_picker(asked().scope)
        view_options()
        about()
    importance = known_importance(asked())
    with left:
        if importance is None:
            with st.container(height=420, border=False):
                scoring_state(asked())
        else:
            draw_hero(importance, page)
    count = 0
    if importance is not None:
        with right:
            st.caption(provenance(importance))
        count = draw_details(importance, page)
    comparing.sections(page, count)


def about() -> None:
    """The criterion in two sentences, with its source."""
    criterion = get_criterion(state.current().criterion)
    st.markdown(tr(criterion.about))
    cost = tr("{reference}. Costs {cost}.", reference=criterion.reference, cost=tr(criterion.cost))
    st.caption(f"{cost} {tr(DIRECTIONS[criterion.direction])}")


def draw_hero(importance: ImportanceMap, page: Page) -> None:
    """Heads as a heatmap, neurons as the distribution in each block, layers as bars."""
    draw = {"heads": draw_heatmap, "neurons": draw_neurons, "layers": draw_layers}
    draw[importance.scope](importance, page)


def draw_heatmap(importance: ImportanceMap, page: Page) -> None:
    criterion, rows, drawn = get_criterion(importance.criterion), part_names(importance), displayed(importance)
    figure = charts.heatmap(
        drawn.values,
        mask=state.current().mask,
        site_names=rows,
        title=finding(importance, rows) if drawn is importance else ends_of(drawn),
        subtitle=tr("{criterion} of each head; a click opens it", criterion=tr(criterion.label)),
        unit=displayed_unit(importance),
        signed=displayed_signed(importance),
        reverse=criterion.direction == "low",
        theme=page.theme,
        clickable=True,
    )
    alt = charts.describe_heatmap(drawn.values, mask=state.current().mask, site_names=rows, unit=tr(criterion.unit))
    sizes, key = [len(row) for row in drawn.values], "explore_heatmap"

    def clicked() -> None:
        heads = charts.clicked_heads(st.session_state[key].get("selection"), sizes)
        if len(heads) == 1:
            go_to(heads.pop())

    st.plotly_chart(
        figure, theme=None, config=charts.CONFIG, alt=alt, key=key, on_select=clicked, selection_mode="points"
    )
    head_picker(importance, rows)


def go_to(head: HeadId) -> None:
    """Open the page of a head with the next run: a callback cannot."""
    open_head(head)
    st.session_state["open_head"] = True


def head_picker(importance: ImportanceMap, names: list[str]) -> None:
    """The way to a head's own page without a pointer, the most important ones first."""
    heads = [HeadId(*unit) for unit in reversed(importance.ranked())]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        head = st.selectbox(
            tr("Look into a head"),
            heads,
            format_func=lambda one: head_name(one, names),
            width=240,
            help=tr("What it looks at and what the task loses without it. A click on its cell opens it, too."),
        )
        st.button(tr("Open this head"), on_click=go_to, args=(head,))


def draw_neurons(importance: ImportanceMap, page: Page) -> None:
    criterion, drawn = get_criterion(importance.criterion), displayed(importance)
    title, names = ends_of(drawn), part_names(importance)
    figure = multiples.neuron_strips(
        drawn.values,
        names=names,
        title=title,
        subtitle=tr(
            "{criterion}: where the neurons of each block lie, stronger where there are more",
            criterion=tr(criterion.label),
        ),
        unit=displayed_unit(importance),
        theme=page.theme,
    )
    alt = tr("Neurons by importance. {title}.", title=title)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key="neurons")


def draw_layers(importance: ImportanceMap, page: Page) -> None:
    criterion, drawn = get_criterion(importance.criterion), displayed(importance)
    intervals = certainty.intervals_of(importance) if drawn is importance else None
    title, sure = ends_of(drawn), mark("{criterion} of each layer, with 95% intervals")
    plain_text = mark("{criterion} of each layer")
    figure = multiples.layer_bars(
        drawn.flat().tolist(),
        names=part_names(importance),
        intervals=[row[0] for row in intervals] if intervals else None,
        removed=[layer in state.current().mask.layers for layer in range(len(drawn.values))],
        title=title,
        subtitle=tr(sure if intervals else plain_text, criterion=tr(criterion.label)),
        unit=displayed_unit(importance),
        theme=page.theme,
    )
    alt = tr("Layers by importance. {title}.", title=title)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key="layers")


def ends_of(importance: ImportanceMap) -> str:
    """The most and the least important unit."""
    names, ranked = part_names(importance), importance.ranked()
    best, worst = (certainty.unit_name(importance, ranked[place], names) for place in (-1, 0))
    return tr("Most important: {most}; least: {least}", most=best, least=worst)


# Ranking ---------------------------------------------------------------------------------------------------------


def draw_details(importance: ImportanceMap, page: Page) -> int:
    """The table and the line; returns how many units lie below it."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.header(tr(HEADERS[importance.scope]))
        draw_table(importance)
    with right:
        st.header(tr("Where to draw the line"))
        return draw_histogram(displayed(importance), page)


def draw_table(importance: ImportanceMap) -> None:
    mask, drawn = state.current().mask, displayed(importance)
    table = charts.ranked_table(drawn, mask, part_names(importance))
    ranked, noun = drawn.ranked(), certainty.NOUNS[importance.scope]
    table["removed"] = [unit in units_of(mask, importance.scope) for unit in ranked]
    if importance.scope == "layers":
        table = table.drop(columns="head").rename(columns={"site": noun})
    else:
        table = table.rename(columns={"head": noun, "site": "site" if noun == "head" else "block"})
    intervals = certainty.intervals_of(importance) if drawn is importance else None
    if intervals:
        for end in ("high", "low"):
            table.insert(
                table.columns.get_loc("importance") + 1, end, [getattr(intervals[p][u], end) for p, u in ranked]
            )
    config = {tr(name): st.column_config.NumberColumn(format="%.4g") for name in NUMBERS}
    table = table.rename(columns=tr)
    st.dataframe(table, hide_index=True, height=min(TABLE_PX, ROW_PX * (len(table) + 1) + 3), column_config=config)


def draw_histogram(importance: ImportanceMap, page: Page) -> int:
    """A threshold to try out; the mask changes only when it is taken over."""
    total, scope, units = len(importance.keep_values), importance.scope, tr(importance.scope)
    shown = min(st.session_state.get(f"{scope}_count", total // 5), total)
    key = mirror_key(f"{scope}_count", (total, shown))
    count = st.slider(
        tr("Lowest {units}", units=units),
        0,
        total,
        shown,
        key=key,
        on_change=on_move(f"{scope}_count", key, lambda value: preview(scope, value, total)),
        help=tr(
            "How many of the least important {units} lie below the line. Nothing is removed until you say so.",
            units=units,
        ),
    )
    marked = Mask(frozenset(HeadId(*unit) for unit in importance.ranked()[:count]))  # the chart's cells, of any scope
    figure = charts.histogram(
        importance.values,
        mask=marked,
        threshold=importance.threshold_for(count),
        title=tr("{n:,} of {total:,} {units} would go", n=count, total=total, units=units),
        subtitle=tr("{units} by importance", units=tr(SCOPE_LABELS[scope])),
        unit=displayed_unit(importance),
        theme=page.theme,
    )
    figure.update_yaxes(title_text=units, dtick=1 if total <= FEW else None)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="explore_histogram")
    if scope == "heads":
        removal_button(importance, key, count)
    return count


def removal_button(importance: ImportanceMap, key: str, count: int) -> None:
    def take_over() -> None:  # the line as it stands by now
        state.edit_mask(importance.lowest(st.session_state.get(key, count)))

    label = trn("Remove this head and see what happens", "Remove these {n} heads and see what happens", count)
    if st.button(label, type="primary", disabled=not count, on_click=take_over):
        st.switch_page("pages/prune.py")


def preview(scope: str, count: Any, total: int) -> tuple[int, int]:
    """Keep how many units lie below the line, for the next visit to this page."""
    st.session_state[f"{scope}_count"] = count
    return total, count


main()
