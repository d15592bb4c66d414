"""Criteria beside each other on the Explore page: pictures, agreement, and how sure a ranking is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr
from ui import certainty, charts, multiples, state
from ui.agreeing import Maps, agreement
from ui.importance import (
    asked,
    choose,
    cost_here,
    displayed,
    displayed_signed,
    follow,
    in_scope,
    known_importance,
    known_maps,
    loaded_model,
    part_names,
)
from ui.maps import KEPT_SCORES, Scoring
from ui.page import Page
from ui.store import session_id, store
from ui.theme import as_sentence, plain

if TYPE_CHECKING:
    from pruning.models import LoadedModel

SMALL_WIDTH_PX = 168  # two beside each other on a telephone, five on a desk


def sections(page: Page, count: int) -> None:
    """Three tabs; only the one that is open is worked out.

    Args:
        count: How many of the lowest units lie below the line that the page has drawn.
    """
    titles = tr("Criteria side by side"), tr("Do they agree?"), tr("How sure is it?")
    first, second, third = st.tabs(titles, key="explore_section", on_change="rerun")
    what = asked()
    if first.open:
        with first:
            side_by_side(page, what, known_maps(what))
    if second.open:
        with second:
            agreement(page, what, known_maps(what))
    if third.open:
        with third:
            how_sure(page, what, known_importance(what), count)


# Criteria side by side -------------------------------------------------------------------------------------------


def side_by_side(page: Page, what: Scoring, maps: Maps) -> None:
    """One small picture a criterion, then what has not been scored yet."""
    if maps:
        st.caption(tr(_scales(what), unit=tr(certainty.NOUNS[what.scope])))
        with st.container(horizontal=True, vertical_alignment="bottom", key="multiples"):
            for name, importance in maps.items():
                _small(name, importance, page, what)
    model = loaded_model()
    if model is None:
        st.caption(tr("The other criteria can be scored when the model is there."))
        return
    missing = [name for name in in_scope(what.scope) if name not in maps]
    _quick(model, what, [name for name in missing if get_criterion(name).quick])
    _slow(model, what, [name for name in missing if not get_criterion(name).quick])


def _scales(what: Scoring) -> str:
    if what.scope == "neurons":
        return mark(
            "Every picture has scales of its own: a row is a block, and stronger where more of its neurons lie: "
            "compare patterns, not shades. Choose a name to show that criterion large."
        )
    return mark(
        "Every picture has a colour scale of its own, from its least to its most important {unit}: compare patterns, "
        "not shades. Choose a name to show that criterion large."
    )


def _small(name: str, importance: ImportanceMap, page: Page, what: Scoring) -> None:
    criterion, shown = get_criterion(name), name == what.criterion
    with st.container(width=SMALL_WIDTH_PX, gap=None):
        st.button(
            tr("**{criterion}** (shown)", criterion=tr(criterion.label)) if shown else tr(criterion.label),
            key=f"show_{name}",
            type="tertiary",
            on_click=choose,
            args=(name,),
        )
        drawn = displayed(importance)
        figure = multiples.small_map(
            drawn.values,
            scope=what.scope,
            signed=displayed_signed(importance),
            reverse=criterion.direction == "low",
            theme=page.theme,
        )
        st.plotly_chart(figure, theme=None, config=charts.CONFIG, key=f"small_{name}", alt=_small_alt(drawn))


def _small_alt(importance: ImportanceMap) -> str:
    names, ranked = part_names(importance), importance.ranked()
    ends = [certainty.unit_name(importance, ranked[place], names) for place in (-1, 0)]
    label = tr(get_criterion(importance.criterion).label)
    text = mark("Small picture of {criterion}. Most important: {most}; least: {least}.")
    return tr(text, criterion=label, most=ends[0], least=ends[1])


def _quick(model: LoadedModel, what: Scoring, missing: list[str]) -> None:
    """One job for all quick criteria; each appears when it is done. What cannot be scored is said."""
    data = state.current().data
    wanted = tuple(replace(what, criterion=name) for name in missing)
    refused = {one.criterion: why for one in wanted if (why := store().maps.refusal(model, data, one))}
    open_ = tuple(one for one in wanted if one.criterion not in refused)
    job = store().scorer.latest((session_id(), "score all"))
    if job is not None and (job.active or job.state == "failed"):
        follow(job, "cancel_score_all")
    elif open_:
        many = (
            tr("Score the quick criterion")
            if len(open_) == 1
            else tr("Score the {n} other quick criteria", n=len(open_))
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(many, on_click=_score_all, args=(model, open_))
            st.caption(tr("A few passes over the calibration rows each, at most."), width="content")
    for name, why in refused.items():
        st.caption(plain(tr("{criterion} is missing: {why}.", criterion=tr(get_criterion(name).label), why=why)))


def _score_all(model: LoadedModel, wanted: tuple[Scoring, ...]) -> None:
    store().maps.score_all(session_id(), model, state.current().data, wanted)


def _slow(model: LoadedModel, what: Scoring, missing: list[str]) -> None:
    """Slow criteria one at a time, each with what it costs."""
    if not missing:
        return
    job = store().scorer.latest((session_id(), "score more"))
    busy = job is not None and job.active
    if job is not None and (busy or job.state == "failed"):
        follow(job, "cancel_score_more")
    st.markdown(tr("**These take longer**"))
    for name in missing:
        one = replace(what, criterion=name)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                tr("Score {criterion}", criterion=tr(get_criterion(name).label)),
                key=f"score_{name}",
                disabled=busy,
                on_click=_score_more,
                args=(model, one),
            )
            st.caption(as_sentence(cost_here(model, one)), width="content")


def _score_more(model: LoadedModel, what: Scoring) -> None:
    store().maps.score(session_id(), model, state.current().data, what, "score more")


# How sure is it? -------------------------------------------------------------------------------------------------


def how_sure(page: Page, what: Scoring, importance: ImportanceMap | None, count: int) -> None:
    """Intervals of the raw values, and how many rows a steady ranking takes."""
    if importance is None:
        st.info(tr("This shows once the criterion above has been scored."))
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        _intervals(page, importance, count)
    with right:
        _stability(page, what, importance)


def _intervals(page: Page, importance: ImportanceMap, count: int) -> None:
    criterion, intervals = get_criterion(importance.criterion), certainty.intervals_of(importance)
    if intervals is None:
        text = mark("{criterion} gives one figure for all rows together, so there is no interval around it.")
        st.info(tr(text, criterion=tr(criterion.label)))
        return
    sentence = certainty.overlap_sentence(importance, intervals, count)
    total = len(importance.keep_values)
    every = mark("All {total:,} {units} with 95% intervals, raw values, n = {n:,} rows")
    lowest = mark("The {shown} lowest of {total:,} {units} with 95% intervals, raw values, n = {n:,} rows")
    subtitle = tr(
        every if total <= certainty.SHOWN else lowest, total=total, shown=certainty.SHOWN, units=tr(importance.scope),
        n=importance.samples,
    )  # fmt: skip
    names = part_names(importance)
    figure = certainty.interval_plot(
        importance, intervals, names=names, count=count, unit=tr(criterion.unit), theme=page.theme, title=sentence,
        subtitle=subtitle,
    )  # fmt: skip
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="intervals_chart", alt=sentence)


def _stability(page: Page, what: Scoring, importance: ImportanceMap) -> None:
    criterion = get_criterion(importance.criterion)
    if not importance.samples:
        st.info(tr("{criterion} looks at no rows, so their number changes nothing.", criterion=tr(criterion.label)))
    elif importance.scores is None:
        _score_rows(what, importance)
    elif len(importance.scores) <= min(certainty.SIZES) or len(importance.keep_values) < 2:
        st.info(tr("There are only {n} rows: too few to draw from.", n=len(importance.scores)))
    else:
        _draw_stability(page, importance)


def _draw_stability(page: Page, importance: ImportanceMap) -> None:
    stability, rows = (
        certainty.stability_of(importance),
        len(importance.scores if importance.scores is not None else ()),
    )
    enough = certainty.rows_enough(stability)
    fewer = tr("Fewer than {n} rows do not reach 0.95", n=rows)
    title = tr("{n} rows are enough for 0.95", n=enough) if enough else fewer
    text = mark(
        "Agreement of the ranking from fewer rows with that from all {n}, five draws each. Every draw is a part of the "
        "same rows, so large ones agree by construction, too."
    )
    subtitle = tr(text, n=rows)
    figure = certainty.stability_plot(stability, title=title, subtitle=subtitle, theme=page.theme)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="stability_chart", alt=f"{title}. {subtitle}")


def _score_rows(what: Scoring, importance: ImportanceMap) -> None:
    """The kept maps hold no scores of single rows: score again to have them."""
    criterion, model = get_criterion(importance.criterion), loaded_model()
    if not criterion.per_example:
        text = mark(
            "{criterion} gives one figure for all rows together. How steady it is takes a scoring for every draw: "
            "`pruning.importance.agreement.stability` does that from a notebook."
        )
        st.info(tr(text, criterion=tr(criterion.label)))
        return
    if importance.samples * len(importance.keep_values) > KEPT_SCORES:
        st.info(tr("The scores of single rows are not kept for so many {units}.", units=tr(importance.scope)))
        return
    st.markdown(tr("**How many rows does a steady ranking take?**"))
    text = mark(
        "That can be read off the scores of single rows, which are not kept with the built-in model. Scoring takes "
        "{cost}."
    )
    st.markdown(tr(text, cost=tr(criterion.cost)))
    if model is None:
        st.caption(tr("The button appears when the model is there."))
        return
    job = store().scorer.latest((session_id(), "score more"))
    if job is not None and (job.active or job.state == "failed"):
        follow(job, "cancel_score_more")
    else:
        st.button(tr("Score the {n:,} rows", n=importance.samples), on_click=_score_more, args=(model, what))
