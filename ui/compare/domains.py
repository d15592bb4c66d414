"""In-domain against out-of-domain: A and B on every built-in data set of the same task, measured when asked."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import streamlit as st

from pruning.data import BUILT_IN_DATA
from pruning.language import tr
from ui import state
from ui import theme as look
from ui.charts import CONFIG
from ui.compare import words
from ui.compare.charts import DataRow, domain_chart
from ui.compare.pairs import Pair, Side
from ui.details import LOWER_IS_BETTER, figures_table, value_html
from ui.figures import main_metric
from ui.store import session_id, store
from ui.theme import Theme, plain
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.models import LoadedModel


def family(data: str, task: str | None) -> tuple[str, ...]:
    """The built-in sets that belong together, the home of the models first; none where the data is not built in."""
    if data not in BUILT_IN_DATA:
        return ()
    home = BUILT_IN_DATA[data].calibration
    others = [name for name, one in BUILT_IN_DATA.items() if one.calibration == home and task in one.tasks]
    return home, *(name for name in others if name != home)


def draw_domains(model: LoadedModel, a: Side, b: Side, theme: Theme) -> None:
    """The difference on every data set as a chart and a table, or the button that measures it."""
    st.header(tr("On other data"))
    task = store().request_model(state.current().model).task
    sets, pairs = family(state.current().data, task), store().pairs
    if len(sets) < 2:
        none = tr("There is no out-of-domain set for this data.")
        if task == "text-classification":
            none = tr(
                "There is no out-of-domain set for this data. The movie reviews come with two: tweets and Amazon "
                "reviews."
            )
        st.caption(none)
        return
    known = {name: pair for name in sets if (pair := pairs.known(model, name, a, b)) is not None}
    refused = {name: why for name in sets if name not in known and (why := pairs.refusal(model, name, a, b))}
    missing = tuple(name for name in sets if name not in known and name not in refused)
    if missing:
        st.markdown(tr("Does what holds on the data at home hold on other data of the same task?"))
        job = store().evaluator.latest((session_id(), "compare elsewhere"))
        names = tr(" and ").join(map(short, missing))

        def ask() -> None:
            store().pairs.compare_elsewhere(session_id(), model, sets, a, b)

        wanted = pairs.elsewhere_key(model, sets, a, b)
        wait_for(job, wanted, tr("Measure on {names}", names=names), ask, store().evaluator, primary=False)
    for name, why in refused.items():
        st.caption(plain(tr("{data} is missing: {why}.", data=state.data_label(name), why=why)))
    if len(known) > 1 and sets[0] in known:
        _draw(known, sets[0], theme)


def _draw(known: dict[str, Pair], home: str, theme: Theme) -> None:
    metric = "accuracy" if known[home].comparison.p_value is not None else "loss"
    points, lower = metric == "accuracy", metric in LOWER_IS_BETTER
    rows = []
    for name, pair in known.items():
        found = pair.comparison.differences[metric]
        text = look.points(found) if points else look.difference(found)
        shown = found if not points else type(found)(*(100 * v for v in (found.value, found.low, found.high)))
        title = tr("{data} (home)", data=short(name)) if name == home else short(name)
        rows.append(DataRow(title, shown, text, name == home, words.is_better(metric, found)))
    at_home = known[home].comparison.differences[metric]
    others = [(short(name), pair.comparison.differences[metric]) for name, pair in known.items() if name != home]
    title = words.domain_title(at_home, others, lower)
    unit = tr("points of accuracy, B − A") if points else tr("loss, B − A")
    subtitle = (
        tr("Accuracy of B minus that of A, 95% intervals; the square is the data at home")
        if points
        else tr("Loss of B minus that of A, 95% intervals; the square is the data at home")
    )
    figure = domain_chart(rows, title=title, subtitle=subtitle, unit=unit, theme=theme)
    alt = words.said(title, *(tr("{what}: {change}", what=row.name, change=row.text) for row in rows))
    st.plotly_chart(figure, theme=None, config=CONFIG, alt=alt, key="compare_domains")
    _table(known, home, metric)


def _table(known: dict[str, Pair], home: str, metric: str) -> None:
    at_home, rows = known[home].comparison.differences[metric], []
    for name, pair in known.items():
        found, shown = pair.comparison.differences[metric], main_metric(pair.a)
        text = look.points(found) if metric == "accuracy" else look.difference(found)
        apart = "" if name == home else words.apart_text(at_home, found, metric == "accuracy")
        values = [value_html(shown, one.metrics[shown]) for one in (pair.a, pair.b)]
        label = html.escape(tr("{data}, n = {n:,}", data=short(name), n=pair.a.samples))
        rows.append([label, *values, text, words.verdict(metric, found), apart])
    figures_table(tr("A and B on each data set"), ["A", "B", "B − A", tr("In words"), tr("Against home")], rows)
    st.caption(
        tr("Against home: the difference B − A there minus that at home; the rows are others, so it is not paired.")
    )


def short(name: str) -> str:
    """The name of a data set without what stands in brackets."""
    return re.split(r" ?[(（]", state.data_label(name), maxsplit=1)[0]
