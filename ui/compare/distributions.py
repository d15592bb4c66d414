"""The lower part of Compare: answers that changed, confidence, losses, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pruning.calibration import ReliabilityBin, reliability
from pruning.evaluation import Flip
from ui import theme as look
from ui.charts import CONFIG
from ui.compare import words
from ui.compare.charts import confidence_chart, histogram_table, loss_chart, reliability_chart, thinned
from ui.compare.pairs import Pair
from ui.details import draw_flip
from ui.theme import Theme

FLIPS_SHOWN = 4
WAYS = {
    "worse": "A right, B wrong",
    "better": "A wrong, B right",
    "other": "Both wrong, in different ways",
}


# Flips -----------------------------------------------------------------------------------------------------------


def draw_flips(pair: Pair) -> None:
    """The examples that both answer differently, one way and the other."""
    st.header("Answers that changed")
    if not pair.a.class_names:
        st.caption("A language model gives no single answer that could change: see the loss of each text below.")
        return
    flips = pair.comparison.flips
    if not flips:
        st.markdown(f"**No answer differs** among {pair.comparison.samples:,} examples.")
        return
    worse, better = pair.comparison.count("worse"), pair.comparison.count("better")
    st.markdown(
        f"**{len(flips):,} of {pair.comparison.samples:,} answers differ:** {worse:,} became wrong, {better:,} right."
    )
    columns = st.columns(2, gap="large")
    for column, kind in zip(columns, ("worse", "better"), strict=True):
        with column:
            _one_way(kind, flips)
    if any(flip.kind == "other" for flip in flips):
        _one_way("other", flips)
    st.download_button(
        "Download all as CSV", flips_table(flips).to_csv(index=False), "flips.csv", "text/csv", on_click="ignore",
        help="Row, text, label, and what A and B answer, with their confidence.",
    )  # fmt: skip


def _one_way(kind: str, flips: Sequence[Flip]) -> None:
    found = [flip for flip in flips if flip.kind == kind]
    st.subheader(f"{WAYS[kind]}: {len(found):,}")
    if not found:
        st.caption("None.")
        return
    everything = len(found) <= FLIPS_SHOWN or st.toggle(f"Show all {len(found):,}", key=f"compare_all_{kind}")
    for flip in found if everything else found[:FLIPS_SHOWN]:
        draw_flip(flip, ("A", "B"))


def flips_table(flips: Sequence[Flip]) -> pd.DataFrame:
    """All flips with text and confidences, one row each."""
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
    st.header("Confidence and loss")
    left, right = st.columns(2, gap="large")
    with left:
        _confidence(pair, theme)
    with right:
        _losses(pair, theme)


def _confidence(pair: Pair, theme: Theme) -> None:
    found = pair.comparison.differences["confidence"]
    clear, change = words.is_clear(found), look.points(found)
    title = (
        f"{words.verdict('confidence', found)}: {change.partition(' (')[0]}"
        if clear
        else "Equally sure, as far as seen"
    )
    unit = "confidence in the answer" if pair.a.class_names else "mean probability of the predicted tokens"
    subtitle = f"B − A: {change}, n = {pair.comparison.samples:,}"
    table = histogram_table(pair.a.outcome.confidences, pair.b.outcome.confidences)
    figure = confidence_chart(table, title=title, subtitle=subtitle, unit=unit, theme=theme)
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=f"{title}. {subtitle}", key="compare_confidence")
    with st.expander("As a table"):
        st.dataframe(table, hide_index=True)


def _losses(pair: Pair, theme: Theme) -> None:
    first, second, kinds = common(pair)
    higher = float((second > first).mean())
    title = f"B has the higher loss on {look.percent(higher)} of the examples"
    subtitle = f"Mean difference {look.difference(pair.comparison.differences['loss'])}; above the line B is worse"
    if pair.comparison.flips:
        subtitle += "; ▲ B became wrong, ▼ B became right"
    if (every := thinned(len(kinds))) > 1:
        subtitle += f"; of equal answers one in {every} is drawn"
    figure = loss_chart((first, second), kinds, title=title, subtitle=subtitle, theme=theme)
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=f"{title}. {subtitle}", key="compare_losses")
    with st.expander("As a table"):
        rows = np.intersect1d(pair.a.positions, pair.b.positions)
        table = pd.DataFrame({"row": rows, "A": first, "B": second, "B − A": second - first})
        st.dataframe(table.sort_values("B − A", ascending=False), hide_index=True)


def common(pair: Pair) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The losses of A and B on what both have seen, and how each answer changed."""
    rows, at, to = np.intersect1d(pair.a.positions, pair.b.positions, return_indices=True)
    kinds = {flip.position: flip.kind for flip in pair.comparison.flips if flip.kind != "other"}
    return pair.a.outcome.losses[at], pair.b.outcome.losses[to], [kinds.get(int(row), "") for row in rows]


# Calibration -----------------------------------------------------------------------------------------------------


def draw_calibration(pair: Pair, theme: Theme) -> None:
    """Whether each is right as often as it is sure."""
    st.header("Calibration")
    if not pair.a.class_names:
        st.caption("Calibration is measured on classes, and a language model has none: nothing is shown here.")
        return
    bins = [reliability(one.outcome.confidences, one.outcome.hits) for one in (pair.a, pair.b)]
    found = pair.comparison.differences["calibration_error"]
    said = words.verdict("calibration_error", found)
    title = "No clear difference in calibration" if said.startswith("no") else f"{said} calibrated"
    errors = [look.measured(one.metrics["calibration_error"]) for one in (pair.a, pair.b)]
    subtitle = f"Calibration error: A {errors[0]}, B {errors[1]}. On the dotted line a model is right as often as sure"
    figure = reliability_chart(*bins, title=title, subtitle=subtitle, theme=theme)
    left, right = st.columns([3, 2], gap="large")
    left.plotly_chart(figure, theme=None, config=CONFIG, alt=f"{title}. {subtitle}", key="compare_calibration")
    with right:
        st.caption(f"Calibration error, B − A: {look.difference(found)}, paired bootstrap.")
        st.dataframe(bins_table(*bins), hide_index=True, column_config=_percentages())
        st.caption("Low and high: Wilson's 95% interval of the share that is right, drawn as bars.")


def _percentages() -> dict[str, Any]:
    names = ("from", "to", "mean confidence", "right", "low", "high")
    return {name: st.column_config.NumberColumn(format="percent") for name in names}


def bins_table(a: Sequence[ReliabilityBin], b: Sequence[ReliabilityBin]) -> pd.DataFrame:
    """The bins of both, one row each."""
    return pd.DataFrame(
        {
            "model": name, "examples": one.count, "mean confidence": one.confidence, "right": one.accuracy.value,
            "low": one.accuracy.low, "high": one.accuracy.high, "from": one.low, "to": one.high,
        }
        for name, bins in (("A", a), ("B", b))
        for one in bins
    )  # fmt: skip
