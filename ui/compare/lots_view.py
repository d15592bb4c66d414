"""One side drawn by lot several times: the mean over the draws, how far they are apart, what that says of chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pruning.language import mark, tr
from pruning.statistics import Estimate
from ui import charts, state
from ui import theme as look
from ui.compare import words
from ui.compare.charts import DataRow, domain_chart
from ui.compare.measured import measured_draws
from ui.compare.pairs import Pair, Side, couples
from ui.compare.picks import DRAWS, MOST_DRAWS, Pick
from ui.compare.sides import removal, shown_draw
from ui.controls import mirror_key, on_move
from ui.details import NAMES, difference_html, figures_table, value_html
from ui.figures import delta_of, main_metric, no_figure
from ui.history.words import in_line
from ui.store import store
from ui.theme import Theme, plain

if TYPE_CHECKING:
    from pruning.evaluation import Evaluation
    from pruning.models import LoadedModel
    from pruning.statistics_of_draws import Pooled

OFFERED = (1, 3, DRAWS, 10, MOST_DRAWS)


# What is drawn ---------------------------------------------------------------------------------------------------


def draws_picker(name: str, pick: Pick) -> None:
    """How many masks are drawn; the number is in the link."""
    key = mirror_key(f"compare_draws_{name}", pick.draws)

    def choose(count: Any) -> int:
        state.update(**{name: Pick(pick.kind, pick.mask, pick.replacement, int(count)).code})
        return int(count)

    st.segmented_control(
        tr("Draws of {side}", side=name.upper()), sorted({*OFFERED, pick.draws}), default=pick.draws, required=True,
        key=key, on_change=on_move(f"compare_draws_{name}", key, choose),
        help=tr(
            "How many masks are drawn by lot, with the seeds 0, 1, 2 and so on. Each removes as many heads, neurons "
            "and layers in all as the other side, wherever they are. They are measured one after the other; more draws "
            "give a narrower interval."
        ),
    )  # fmt: skip


def which_draw(side: str, count: int) -> None:
    """Which of several draws the page looks at closely."""
    if not count:
        return
    shown, name = shown_draw(count), f"compare_draw_shown_{side}"
    key = mirror_key(name, (shown, count))

    def choose(number: Any) -> tuple[int, int]:
        st.session_state["compare_draw"] = int(number)
        return int(number), count

    st.selectbox(
        tr("Draw that is shown"), range(count), index=shown, key=key, format_func=lambda n: str(n + 1), width=150,
        on_change=on_move(name, key, choose),
        help=tr("Maps, cost, changed answers, confidence, calibration and other data are of this draw alone."),
    )  # fmt: skip


# What that does ---------------------------------------------------------------------------------------------------


def draw_lots(model: LoadedModel, a: Side, b: Side, theme: Theme) -> Pair | None:
    """The pooled metrics; returned is the pair of the draw that is shown, once there is one."""
    st.header(tr("What that does"))
    pairs, data, asked = store().pairs, state.current().data, couples(a, b)
    done = measured_draws(model, asked)
    columns = st.columns(2)
    if not done:
        for column, name, side in zip(columns, "AB", (a, b), strict=True):
            no_figure(column, f"{name} · {plain(side.label)}", look.as_sentence(removal(side)))
        return None
    found = [pair for n in done if (pair := pairs.known(model, data, *asked[n])) is not None]
    pooled = pairs.pooled(model, data, [asked[n] for n in done])
    _cards(columns, (a, b), found, pooled)
    if len(done) < len(asked):
        st.caption(tr("{n} of {total} draws are measured so far.", n=len(done), total=len(asked)))
    _findings(a, b, found, pooled)
    _chart(done, found, pooled, theme)
    _metrics_table((a, b), found, pooled)
    return pairs.known(model, data, *asked[shown_draw(len(asked))])


def _cards(columns: Sequence[Any], sides: tuple[Side, Side], pairs: Sequence[Pair], pooled: dict[str, Pooled]) -> None:
    """The main metric of both; of the side that was drawn the mean and the spread."""
    name, n = main_metric(pairs[0].a), len(pairs)
    for column, letter, side in zip(columns, "AB", sides, strict=True):
        seen = [pair.a if letter == "A" else pair.b for pair in pairs]
        shown = spread([one.metrics[name] for one in seen], name) if side.draws else seen[0].metrics[name]
        text = look.proportion(shown) if name == "accuracy" else look.measured(shown)
        value, _, between = text.partition(" (")
        column.metric(f"{letter} · {plain(side.label)}", value, **(_delta(name, pooled) if letter == "B" else {}))
        metric, between = tr(NAMES[name]), between.rstrip(")")
        several = tr("{metric}, mean of {n} draws, from {range}", metric=metric, n=n, range=between)
        one = tr("{metric}, {range}, n = {n:,}", metric=metric, range=between, n=seen[0].samples)
        column.caption(several if side.draws else one)


def _delta(name: str, pooled: dict[str, Pooled]) -> dict[str, Any]:
    """The mean difference as ``st.metric`` takes it: grey unless it is clear for other draws, too."""
    found = pooled["loss" if name == "perplexity" else name]
    text = look.points(found.of_data) if name == "accuracy" else look.difference(found.of_data, tr("in loss"))
    clear = found.of_both is not None and words.is_clear(found.of_both)
    return delta_of(text.partition(" (")[0], not clear, lower_is_better=name == "perplexity")


def spread(estimates: Sequence[Estimate], name: str) -> Estimate:
    """The mean of the draws with the lowest and the highest; of perplexities, whose logarithm is the loss, that mean.

    >>> spread([Estimate(0.2, 0, 1), Estimate(0.4, 0, 1)], "accuracy").high
    0.4
    """
    import numpy as np

    values = np.array([one.value for one in estimates])
    mean = np.exp(np.log(values).mean()) if name == "perplexity" else values.mean()
    return Estimate(float(mean), float(values.min()), float(values.max()))


def _text(name: str, estimate: Estimate) -> str:
    return look.proportion(estimate) if name == "accuracy" else look.measured(estimate)


def _findings(a: Side, b: Side, pairs: Sequence[Pair], pooled: dict[str, Pooled]) -> None:
    """The pooled difference in a sentence, what its interval is of, and how often the other side is ahead."""
    metric = "accuracy" if pairs[0].a.class_names else "loss"
    st.markdown(f"**{look.as_sentence(words.lots_headline(pooled[metric], metric))}**")
    told = []
    if bool(a.draws) != bool(b.draws):
        fixed = b if a.draws else a
        told = words.ranking(pooled[metric], metric, "B" if a.draws else "A", bool(fixed.mask and not fixed.trained))
    st.markdown(in_line(told))
    st.caption(in_line(words.explained(pooled[metric], metric, pairs[0].comparison.samples)))


def _chart(done: Sequence[int], pairs: Sequence[Pair], pooled: dict[str, Pooled], theme: Theme) -> None:
    """The mean and every draw with its interval, and the same as a table."""
    metric = "accuracy" if pairs[0].a.class_names else "loss"
    found, points = pooled[metric], metric == "accuracy"
    mean = found.of_both or found.of_data
    rows = [_row(tr("Mean of the draws"), mean, metric, True)] if found.of_both is not None else []
    singles = [pair.comparison.differences[metric] for pair in pairs]
    rows += [_row(tr("Draw {n}", n=n + 1), one, metric, False) for n, one in zip(done, singles, strict=True)]
    title = words.lots_title(found, metric)
    subtitle = tr(
        "B − A with 95% intervals: of the mean (square) over draws and examples, of each draw over the examples alone"
    )
    unit = tr("points of accuracy, B − A") if points else tr("loss, B − A")
    figure = domain_chart(rows, title=title, subtitle=subtitle, unit=unit, theme=theme)
    alt = words.said(title, *(tr("{what}: {change}", what=row.name, change=row.text) for row in rows))
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key="compare_lots")
    with st.expander(tr("As a table")):
        st.dataframe(draws_table(done, pairs, metric).rename(columns=tr), hide_index=True)


def _row(name: str, found: Estimate, metric: str, mean: bool) -> DataRow:
    points = metric == "accuracy"
    shown = Estimate(*(100 * value for value in (found.value, found.low, found.high))) if points else found
    text = look.points(found) if points else look.difference(found)
    return DataRow(name, shown, text, mean, words.is_better(metric, found))


def draws_table(done: Sequence[int], pairs: Sequence[Pair], metric: str) -> pd.DataFrame:
    """One row a draw: both models, the difference and its interval over the examples."""
    differences = [pair.comparison.differences[metric] for pair in pairs]
    return pd.DataFrame(
        {
            mark("draw"): [n + 1 for n in done],
            "A": [pair.a.metrics[metric].value for pair in pairs],
            "B": [pair.b.metrics[metric].value for pair in pairs],
            "B − A": [one.value for one in differences],
            mark("low"): [one.low for one in differences],
            mark("high"): [one.high for one in differences],
        }
    )


def _metrics_table(sides: tuple[Side, Side], pairs: Sequence[Pair], pooled: dict[str, Pooled]) -> None:
    """Every metric: of the side that was drawn its mean and spread, and the pooled difference."""
    rows = []
    for name in pairs[0].a.metrics:
        found = pooled["loss" if name == "perplexity" else name]
        mean = found.of_both or found.of_data
        change = f"× {look.measured(words.perplexity_ratio(mean))}" if name == "perplexity" else None
        verdict = words.verdict(name, found.of_both) if found.of_both else tr("one draw says nothing of chance")
        cells = [change or difference_html(name, mean), verdict]
        values = [_cell(name, [pair.a for pair in pairs], sides[0]), _cell(name, [pair.b for pair in pairs], sides[1])]
        nowrap = [f"<span style='white-space:nowrap'>{cell}</span>" for cell in cells]
        rows.append([tr(NAMES.get(name, name)), *values, *nowrap])
    heads = [
        tr("{side}, mean of {n} draws (lowest to highest)", side=letter, n=len(pairs))
        if side.draws
        else tr("{side}, n = {n:,}", side=letter, n=pairs[0].a.samples)
        for letter, side in zip("AB", sides, strict=True)
    ]
    figures_table(tr("All metrics of A and B"), [*heads, tr("B − A (95% interval)"), tr("In words")], rows)


def _cell(name: str, seen: Sequence[Evaluation], side: Side) -> str:
    estimates = [one.metrics[name] for one in seen]
    return value_html(name, spread(estimates, name) if side.draws else estimates[0])
