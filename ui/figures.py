"""A measured model as one large figure with its interval, n and paired difference: the same on every page part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pruning.language import tr
from ui import theme as look
from ui.details import NAMES

if TYPE_CHECKING:
    from pruning.evaluation import Comparison, Evaluation


def main_metric(evaluation: Evaluation) -> str:
    """What a model is known by: a language model by its perplexity, every other by its accuracy."""
    return "perplexity" if "perplexity" in evaluation.metrics else "accuracy"


def value_text(evaluation: Evaluation, name: str | None = None) -> str:
    """Value, interval and n.

    Args:
        name: Of the metric; the main one by default.
    """
    name = name or main_metric(evaluation)
    if name == "accuracy":
        return look.proportion(evaluation.metrics[name], evaluation.samples)
    return look.measured(evaluation.metrics[name], count=evaluation.samples)


def change_text(change: Comparison, name: str) -> str:
    """A paired difference with its interval; of a perplexity that of the loss, which is its logarithm."""
    if name == "accuracy":
        return look.points(change.differences["accuracy"])
    return look.difference(change.differences["loss"], tr("in loss"))


def delta_of(text: str, unclear: bool, lower_is_better: bool = False) -> dict[str, Any]:
    """What ``st.metric`` needs to show a difference: by itself it knows arrow and colour by the minus of ASCII only.

    Args:
        text: The signed difference; empty where there is none.
        unclear: Nothing is known to have changed, so it is grey.

    >>> delta_of("−0.8 points", False)
    {'delta': '−0.8 points', 'delta_arrow': 'down', 'delta_color': 'red'}
    """
    if not text:
        return {}
    arrow = {look.MINUS: "down", "+": "up"}.get(text[0], "off")
    colour = "off" if unclear or arrow == "off" else "green" if (arrow == "down") == lower_is_better else "red"
    return {"delta": text, "delta_arrow": arrow, "delta_color": colour}


def metric_card(where: Any, label: str, evaluation: Evaluation, change: Comparison | None = None) -> None:
    """Draw the figure; the difference is grey as long as its interval holds zero.

    Args:
        where: A column or container.
        change: From another model to this one, on the same rows.
    """
    name = main_metric(evaluation)
    value, _, interval = value_text(evaluation).partition(" (")
    difference = change.differences["loss" if name == "perplexity" else name] if change else None
    text = change_text(change, name).partition(" (") if change else None
    unclear = difference is None or difference.low <= 0 <= difference.high
    where.metric(label, value, **delta_of(text[0] if text else "", unclear, lower_is_better=name == "perplexity"))
    lines = [f"{tr(NAMES[name])}{tr(', ')}{interval.rstrip(')')}"]
    if text:
        change_words = tr("change {interval}") if name == "perplexity" else tr("change {interval} points")
        lines.append(change_words.format(interval=text[2].rstrip(")")))
    where.caption("  \n".join(lines))


def no_figure(where: Any, label: str, why: str) -> None:
    """The same place where nothing is known."""
    where.metric(label, tr(look.NOT_MEASURED))
    where.caption(look.plain(why))
