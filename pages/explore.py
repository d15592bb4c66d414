"""Explore: which heads matter, under which criterion, and how sure that is."""

from typing import Any

import streamlit as st

from pruning.importance import ImportanceMap, get_criterion
from ui import charts, state
from ui.controls import mirror_key, on_move
from ui.importance import criterion_picker, known_importance, provenance, scoring_state
from ui.naming import finding, names_of
from ui.page import Page, begin
from ui.store import store


def main() -> None:
    page = begin("Explore", "Which attention heads does this model need for its task?")
    left, right = st.columns([3, 2], gap="large")
    with right:
        criterion_picker()
        about()
    importance = known_importance()
    with left:
        if importance is None:
            with st.container(height=420, border=False):
                scoring_state()
            return
        draw_heatmap(importance, page)
    with right:
        st.caption(provenance(importance))
    draw_details(importance, page)


def about() -> None:
    """The criterion in two sentences, with its source."""
    criterion = get_criterion(state.current().criterion)
    st.markdown(criterion.about)
    st.caption(
        f"{criterion.reference}. Costs {criterion.cost}. {criterion.direction.capitalize()} values are important."
    )


def names(importance: ImportanceMap) -> list[str]:
    loading = store().request_model(state.current().model)
    return names_of(loading.model.anatomy if loading.model else None, len(importance.values))


def draw_heatmap(importance: ImportanceMap, page: Page) -> None:
    criterion, rows = get_criterion(importance.criterion), names(importance)
    figure = charts.heatmap(
        importance.values,
        mask=state.current().mask,
        site_names=rows,
        title=finding(importance, rows),
        subtitle=f"{criterion.label} of each head",
        unit=criterion.unit,
        signed=criterion.signed,
        reverse=criterion.direction == "low",
        theme=page.theme,
    )
    alt = charts.describe_heatmap(importance.values, mask=state.current().mask, site_names=rows, unit=criterion.unit)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key="explore_heatmap")


def draw_details(importance: ImportanceMap, page: Page) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.header("All heads, least important first")
        draw_table(importance)
    with right:
        st.header("Where to draw the line")
        draw_histogram(importance, page)


def draw_table(importance: ImportanceMap) -> None:
    table = charts.ranked_table(importance, state.current().mask, names(importance))
    numbers = {name: st.column_config.NumberColumn(format="%.4g") for name in ("importance", "standard error")}
    st.dataframe(table, hide_index=True, height=360, column_config=numbers)


def draw_histogram(importance: ImportanceMap, page: Page) -> None:
    """A threshold to try out; the mask changes only when it is taken over."""
    criterion = get_criterion(importance.criterion)
    total = len(importance.keep_values)
    shown = min(st.session_state.get("explore_count", total // 5), total)
    key = mirror_key("explore_count", (total, shown))
    count = st.slider(
        "Lowest heads",
        0,
        total,
        shown,
        key=key,
        on_change=on_move("explore_count", key, lambda value: preview(value, total)),
        help="How many of the least important heads lie below the line. Nothing is removed until you say so.",
    )
    mask = importance.lowest(count)
    figure = charts.histogram(
        importance.values,
        mask=mask,
        threshold=importance.threshold_for(count),
        title=f"{count} of {total} heads would go",
        subtitle="Heads by importance",
        unit=criterion.unit,
        theme=page.theme,
    )
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="explore_histogram")

    def take_over() -> None:  # the line as it stands by now
        state.edit_mask(importance.lowest(st.session_state.get(key, count)))

    label = f"Remove these {count} heads and see what happens"
    if st.button(label, type="primary", disabled=not count, on_click=take_over):
        st.switch_page("pages/prune.py")


def preview(count: Any, total: int) -> tuple[int, int]:
    """Keep how many heads lie below the line, for the next visit to this page."""
    st.session_state["explore_count"] = count
    return total, count


main()
