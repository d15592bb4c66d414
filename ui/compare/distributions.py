"""The lower part of Compare: answers that changed, confidence, losses, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pruning.calibration import ReliabilityBin, reliability
from pruning.evaluation import Flip
from pruning.language import mark, tr, trn
from ui import theme as look
from ui.charts import CONFIG
from ui.compare import words
from ui.compare.charts import confidence_chart, histogram_table, loss_chart, reliability_chart, thinned
from ui.compare.pairs import Pair
from ui.compare.words import said
from ui.details import draw_flip
from ui.theme import Theme

FLIPS_SHOWN = 4
RANGE = {"from": mark("range from"), "to": mark("range to")}  # headings of columns
WAYS = {
    "worse": mark("A right, B wrong"),
    "better": mark("A wrong, B right"),
    "other": mark("Both wrong, in different ways"),
}


# Flips -----------------------------------------------------------------------------------------------------------


def draw_flips(pair: Pair) -> None:
    """The examples that both answer differently, one way and the other."""
    st.header(tr("Answers that changed"))
    if not pair.a.class_names:
        st.caption(tr("A language model gives no single answer that could change: see the loss of each text below."))
        return
    flips = pair.comparison.flips
    if not flips:
        st.markdown(
            trn(
                "**No answer differs** in the only example.",
                "**No answer differs** among {n:,} examples.",
                pair.comparison.samples,
            )
        )
        return
    worse, better = pair.comparison.count("worse"), pair.comparison.count("better")
    st.markdown(
        tr(
            "**{n:,} of {total:,} answers differ:** {worse:,} became wrong, {better:,} right.",
            n=len(flips),
            total=pair.comparison.samples,
            worse=worse,
            better=better,
        )
    )
    columns = st.columns(2, gap="large")
    for column, kind in zip(columns, ("worse", "better"), strict=True):
        with column:
            _one_way(kind, flips)
    if any(flip.kind == "other" for flip in flips):
        _one_way("other", flips)
    st.download_button(
        tr("Download all as CSV"), flips_table(flips).to_csv(index=False), "flips.csv", "text/csv", on_click="ignore",
        help=tr("Row, text, label, and what A and B answer, with their confidence."),
    )  # fmt: skip


def _one_way(kind: str, flips: Sequence[Flip]) -> None:
    found = [flip for flip in flips if flip.kind == kind]
    st.subheader(tr("{what}: {n:,}", what=tr(WAYS[kind]), n=len(found)))
    if not found:
        st.caption(tr("None."))
        return
    everything = len(found) <= FLIPS_SHOWN or st.toggle(tr("Show all {n:,}", n=len(found)), key=f"compare_all_{kind}")
    for flip in found if everything else found[:FLIPS_SHOWN]:
        draw_flip(flip, ("A", "B"))


def flips_table(flips: Sequence[Flip]) -> pd.DataFrame:
    """All flips with text and confidences, one row each: a file for programs, so it is in English."""
    return pd.DataFrame(
        {
            "row": flip.position, "text": flip.text, "label": flip.label, "A answers": flip.before,
            "A confidence": flip.confidence_before, "B answers": flip.after, "B confidence": flip.confidence_after,
            "change": WAYS[flip.kind],
        }
        for flip in flips
    )  # fmt: skip


# Confidence and losses ---------------------------------------------------------------------------------------------


def draw_confidence(pair: Pair, theme: Theme) -> None:
    """Both distributions of confidence, and the loss of every example under both."""
    st.header(tr("Confidence and loss"))
    left, right = st.columns(2, gap="large")
    with left:
        _confidence(pair, theme)
    with right:
        _losses(pair, theme)


def _confidence(pair: Pair, theme: Theme) -> None:
    found = pair.comparison.differences["confidence"]
    clear, change = words.is_clear(found), look.points(found)
    title = tr("Equally sure, as far as seen")
    if clear:
        title = tr("{what}: {change}", what=words.verdict("confidence", found), change=change.partition(" (")[0])
    unit = tr("confidence in the answer") if pair.a.class_names else tr("mean probability of the predicted tokens")
    subtitle = tr("B − A: {change}, n = {n:,}", change=change, n=pair.comparison.samples)
    table = histogram_table(pair.a.outcome.confidences, pair.b.outcome.confidences)
    figure = confidence_chart(table, title=title, subtitle=subtitle, unit=unit, theme=theme)
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=said(title, subtitle), key="compare_confidence")
    with st.expander(tr("As a table")):
        st.dataframe(table.rename(columns=_heading), hide_index=True)


def _losses(pair: Pair, theme: Theme) -> None:
    first, second, kinds = common(pair)
    higher = float((second > first).mean())
    title = tr("B has the higher loss on {share} of the examples", share=look.percent(higher))
    change = look.difference(pair.comparison.differences["loss"])
    parts = [tr("Mean difference {change}", change=change), tr("above the line B is worse")]
    if pair.comparison.flips:
        parts.append(tr("▲ B became wrong, ▼ B became right"))
    if (every := thinned(len(kinds))) > 1:
        parts.append(tr("of equal answers one in {every} is drawn", every=every))
    subtitle = tr("; ").join(parts)
    figure = loss_chart((first, second), kinds, title=title, subtitle=subtitle, theme=theme)
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=said(title, subtitle), key="compare_losses")
    with st.expander(tr("As a table")):
        rows = np.intersect1d(pair.a.positions, pair.b.positions)
        table = pd.DataFrame({tr("row"): rows, "A": first, "B": second, "B − A": second - first})
        st.dataframe(table.sort_values("B − A", ascending=False), hide_index=True)


def common(pair: Pair) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The losses of A and B on what both have seen, and how each answer changed."""
    rows, at, to = np.intersect1d(pair.a.positions, pair.b.positions, return_indices=True)
    kinds = {flip.position: flip.kind for flip in pair.comparison.flips if flip.kind != "other"}
    return pair.a.outcome.losses[at], pair.b.outcome.losses[to], [kinds.get(int(row), "") for row in rows]


# Calibration -----------------------------------------------------------------------------------------------------


def draw_calibration(pair: Pair, theme: Theme) -> None:
    """Whether each is right as often as it is sure."""
    st.header(tr("Calibration"))
    if not pair.a.class_names:
        st.caption(tr("Calibration is measured on classes, and a language model has none: nothing is shown here."))
        return
    bins = [reliability(one.outcome.confidences, one.outcome.hits) for one in (pair.a, pair.b)]
    samples = pair.comparison.samples
    found = words.trusted("calibration_error", pair.comparison.differences["calibration_error"], samples)
    assert found is not None
    better = words.is_better("calibration_error", found)
    title = tr("B is better calibrated") if better else tr("B is worse calibrated")
    title = tr("No clear difference in calibration") if better is None else title
    errors = [look.measured(one.metrics["calibration_error"]) for one in (pair.a, pair.b)]
    subtitle = tr(
        "Calibration error: A {a}, B {b}. On the dotted line a model is right as often as sure",
        a=errors[0],
        b=errors[1],
    )
    figure = reliability_chart(*bins, title=title, subtitle=subtitle, theme=theme)
    left, right = st.columns([3, 2], gap="large")
    left.plotly_chart(figure, theme=None, config=CONFIG, alt=said(title, subtitle), key="compare_calibration")
    with right:
        st.caption(tr("Calibration error, B − A: {change}, paired bootstrap.", change=look.difference(found)))
        st.dataframe(bins_table(*bins).rename(columns=_heading), hide_index=True, column_config=_percentages())
        st.caption(tr("Low and high: Wilson's 95% interval of the share that is right, drawn as bars."))


def _heading(column: str) -> str:
    """A column of a table as it is shown."""
    return tr(RANGE.get(column, column))


def _percentages() -> dict[str, Any]:
    names = ("from", "to", "mean confidence", "right", "low", "high")
    return {_heading(name): st.column_config.NumberColumn(format="percent") for name in names}


def bins_table(a: Sequence[ReliabilityBin], b: Sequence[ReliabilityBin]) -> pd.DataFrame:
    """The bins of both, one row each."""
    return pd.DataFrame(
        {
            mark("model"): name, mark("examples"): one.count, mark("mean confidence"): one.confidence,
            mark("right"): one.accuracy.value, mark("low"): one.accuracy.low, mark("high"): one.accuracy.high,
            "from": one.low, "to": one.high,
        }
        for name, bins in (("A", a), ("B", b))
        for one in bins
    )  # fmt: skip
