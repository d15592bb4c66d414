"""What a mask changed, in full: every metric with its paired difference, and the examples that flipped."""

from __future__ import annotations

import html
from collections.abc import Sequence

import streamlit as st

from pruning.evaluation import Flip
from pruning.language import mark, tr, trn
from pruning.statistics import Estimate
from ui import state
from ui import theme as look
from ui.measuring import Live

NAMES = {
    "accuracy": mark("Accuracy"),
    "f1": mark("F1"),
    "precision": mark("Precision"),
    "recall": mark("Recall"),
    "loss": mark("Loss"),
    "perplexity": mark("Perplexity"),
    "confidence": mark("Mean confidence"),
    "calibration_error": mark("Calibration error"),
}  # translated where they are drawn
LOWER_IS_BETTER = {"loss", "perplexity", "calibration_error"}
PERCENT = {"accuracy", "f1", "precision", "recall"}
FLIPS_SHOWN = 6


def draw_table(live: Live) -> None:
    """All metrics side by side, with paired differences."""
    before, after, comparison = live.before, live.after, live.comparison
    rows = []
    for name, estimate in before.metrics.items():
        cells = [tr(NAMES.get(name, name)), value_html(name, estimate)]
        if after is not before:
            cells += [value_html(name, after.metrics[name]), difference_html(name, comparison.differences.get(name))]
        rows.append(cells)
    heads = [tr("Unpruned, n = {n:,}", n=before.samples)]
    if after is not before:
        heads += [tr("Pruned, n = {n:,}", n=after.samples), tr("Paired difference (95% interval)")]
    figures_table(tr("All metrics"), heads, rows)


def figures_table(name: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw a table of figures.

    Args:
        heads: Of all columns but the first, in HTML.
        rows: The name of each row and its cells, in HTML.
    """
    head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for cells in rows)
    table = f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    # On a telephone the table scrolls within its frame, and the keyboard must get there.
    st.html(f"<div class='headroom-figures' role='region' tabindex='0' aria-label='{name}'>{table}</div>")


def value_html(name: str, estimate: Estimate) -> str:
    """A metric with its interval in grey."""
    text = look.proportion(estimate) if name in PERCENT else look.measured(estimate)
    value, _, interval = text.partition(" (")
    return f"{value} <span class='interval'>({interval}</span>" if interval else value


def difference_html(name: str, estimate: Estimate | None) -> str:
    """A paired difference, in grey as long as its interval holds zero."""
    if estimate is None:
        return tr(look.NOT_MEASURED)
    text = look.points(estimate) if name in PERCENT else look.difference(estimate)
    if estimate.low <= 0 <= estimate.high:
        return f"<span class='interval'>{text}</span>"
    better = (estimate.value < 0) == (name in LOWER_IS_BETTER)
    return text if name == "confidence" else f"<span class='{'better' if better else 'worse'}'>{text}</span>"


# Flips -----------------------------------------------------------------------------------------------------------


def draw_flips(live: Live) -> None:
    """The examples that are answered differently, in full."""
    comparison, after = live.comparison, live.after
    if not after.class_names or not state.current().mask:
        return
    if not comparison.flips:
        st.markdown(
            trn(
                "**No prediction has flipped** in the only example.",
                "**No prediction has flipped** among {n:,} examples.",
                comparison.samples,
            )
        )
        return
    worse, better = comparison.count("worse"), comparison.count("better")
    flips = len(comparison.flips)
    changes = trn(
        "**{n} prediction flipped:** {worse} became wrong, {better} became right.",
        "**{n} predictions flipped:** {worse} became wrong, {better} became right.",
        flips, worse=worse, better=better,
    )  # fmt: skip
    st.markdown(changes)
    st.caption(mcnemar_words(comparison.p_value))
    everything = flips <= FLIPS_SHOWN or st.toggle(tr("Show all {n}", n=flips), key="all_flips")
    for flip in comparison.flips if everything else _mixed(comparison.flips):
        draw_flip(flip)


def mcnemar_words(p_value: float | None) -> str:
    """The test of the flips, as a sentence."""
    return tr("McNemar's exact test of equally many losses and gains: p = {p}.", p=look.number(p_value, 2))


def _mixed(flips: tuple[Flip, ...]) -> list[Flip]:
    """A few of each kind, the new errors first."""
    worse = [flip for flip in flips if flip.kind == "worse"][: FLIPS_SHOWN * 2 // 3]
    others = [flip for flip in flips if flip.kind != "worse"]
    return [*worse, *others[: FLIPS_SHOWN - len(worse)]]


def _example(text: str) -> str:
    """An example as it was, enlarged where it is a small image."""
    if not text.startswith("data:image/"):
        return html.escape(text)
    style = "height:4rem;image-rendering:pixelated"
    return f"<img src='{html.escape(text)}' style='{style}' alt='{tr('the image that was classified')}'>"


def draw_flip(flip: Flip, names: tuple[str, str] | None = None) -> None:
    """One example with what both models make of it; ``names`` are those of the models, before and after by default."""
    names = names or (tr("before"), tr("after"))
    kind = {"worse": tr("became wrong"), "better": tr("became right"), "other": tr("still wrong")}[flip.kind]
    css = {"worse": "worse", "better": "better", "other": "interval"}[flip.kind]
    st.html(
        f"<div class='headroom-figures'><p style='margin:0'>{_example(flip.text)}</p>"
        f"<p class='interval' style='margin:0;white-space:normal'><span class='{css}'>{kind}</span>"
        f" · {tr('label')} {html.escape(flip.label)}"
        f" · {names[0]}: {html.escape(flip.before)} {flip.confidence_before:.2f}"
        f" · {names[1]}: {html.escape(flip.after)} {flip.confidence_after:.2f}</p></div>"
    )
