"""Do criteria agree? Every two of them as a matrix, and two of them unit by unit."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import numpy as np
import streamlit as st

from pruning.importance import ImportanceMap, get_criterion
from pruning.importance import agreement as measures
from pruning.importance.agreement import Agreement
from pruning.importance.fusion import normalised_ranks
from pruning.language import mark, tr
from pruning.statistics import Estimate
from ui import certainty, charts, multiples
from ui import theme as look
from ui.importance import part_names
from ui.jobs import Job
from ui.maps import Scoring
from ui.page import Page
from ui.store import session_id, store

CONTROLS = ("random", "reversed")  # made to agree with nothing, so they are not news
MEASURES = {"spearman": mark("Spearman"), "kendall": mark("Kendall"), "overlap": mark("Lowest in common")}
MEASURES_HELP = mark(
    "Spearman and Kendall compare the whole order, from −1 (reversed) through 0 (unrelated) to 1 (the same). "
    "Lowest in common is the share of the k least important that both criteria name: what both would remove."
)
WIDE = """<style>
.headroom-sideways {{ display: none; margin: 0; font-size: 0.875rem; }}
@media (max-width: 640px) {{
  .headroom-sideways {{ display: block; }}
  .st-key-agreement_matrix {{ overflow-x: auto; }}
  .st-key-agreement_matrix > [data-testid=stElementContainer]:has(.stPlotlyChart) {{ min-width: {width}px; }}
}}</style><p class="headroom-sideways" tabindex="0">{hint}</p>
"""  # on a telephone the numbers need more room than there is; the sentence lets the keyboard get to the frame
POINTS = 1000
Maps = dict[str, ImportanceMap]


def agreement(page: Page, what: Scoring, maps: Maps) -> None:
    """Every two criteria as a matrix, and two of them in full."""
    if len(maps) < 2:
        text = mark("It takes two criteria to compare. Score more {units} under Criteria side by side.")
        st.info(tr(text, units=tr(what.scope)))
        return
    units = len(next(iter(maps.values())).keep_values)
    if units < 2:
        st.info(tr("There is only one of these {units}: no order to compare.", units=tr(what.scope)))
        return
    measure, k = _measure(what, units)
    _resampling(tuple(maps.values()), k)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _matrix(page, maps, measure, k)
    with right:
        st.fragment(_pair)(page, what, maps, k)


def _measure(what: Scoring, units: int) -> tuple[str, int]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        measure = st.segmented_control(
            tr("Measure of agreement"),
            list(MEASURES),
            default="spearman",
            required=True,
            format_func=lambda name: tr(MEASURES[name]),
            help=tr(MEASURES_HELP),
            key="agreement_measure",
            persist_state="session",
        )
        k = max(1, units // 4)
        if measure == "overlap" and units > 2:
            label = tr("Lowest {units} (k)", units=tr(what.scope))
            k = st.slider(label, 1, units - 1, k, key=f"agreement_k_{what.scope}_{units}", width=320)
    return measure or "spearman", k


def _resampling(maps: tuple[ImportanceMap, ...], k: int) -> None:
    """Work out the intervals in the background, where there are scores of rows to resample."""
    if all(one.scores is None for one in maps):
        return
    pairs = combinations(maps, 2)
    if all(store().maps.agreement(a, b, k) for a, b in pairs):
        return
    job = store().maps.agree(session_id(), maps, k)
    if job.active:
        st.fragment(_resampling_state, run_every=1.0)(job)


def _resampling_state(job: Job) -> None:
    if not job.active:
        st.rerun()
    st.caption(tr("Intervals: {done} of {total} pairs", done=job.done, total=job.total or "…"))


def _matrix(page: Page, maps: Maps, measure: str, k: int) -> None:
    every = tuple(maps.values())
    names = [_label(name) for name in maps]
    values = agreements(every, measure, k)
    hover = [[_cell(a, b, values[i][j], measure, k) for j, b in enumerate(every)] for i, a in enumerate(every)]
    figure = multiples.agreement_matrix(
        values, names=names, hover=hover, lowest=0.0 if measure == "overlap" else -1.0, theme=page.theme,
        title=_matrix_title(list(maps), values),
        subtitle=tr(
            "{measure}, {n:,} {units}, {count} criteria", measure=_measured(measure, k), n=len(every[0].keep_values),
            units=tr(every[0].scope), count=len(every),
        ),
    )  # fmt: skip
    with st.container(key="agreement_matrix"):
        st.html(wide(180 + 26 * len(every)))
        st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="agreement_chart", alt=_matrix_alt(maps, values))


def wide(width: int) -> str:
    """The rules, and what to do on a narrow screen."""
    return WIDE.format(width=width, hint=tr("Scroll sideways to see all criteria."))


def _measured(measure: str, k: int) -> str:
    if measure == "overlap":
        return tr("Share of the {k} lowest in common", k=k)
    return tr("{name}'s correlation", name=tr(MEASURES[measure]))


def _cell(a: ImportanceMap, b: ImportanceMap, value: float, measure: str, k: int) -> str:
    """What the matrix says of one pair."""
    if a is b:
        return _label(a.criterion)
    found = _found(a, b, k)
    text = look.measured(getattr(found, measure)) if found and found.resampled else look.number(value)
    lines = [f"{_label(a.criterion)} · {_label(b.criterion)}", text]
    units = tr("{n:,} {units}, {rows}", n=len(a.keep_values), units=tr(a.scope), rows=_rows(a, b))
    return "<br>".join([*lines, units])


def _rows(a: ImportanceMap, b: ImportanceMap) -> str:
    """How many rows the two maps are from."""
    counts = sorted({one.samples for one in (a, b) if one.samples})
    if not counts:
        return tr("no rows needed")
    return tr("n = {counts} rows", counts=tr(" and ").join(f"{count:,}" for count in counts))


def _matrix_title(names: list[str], values: np.ndarray) -> str:
    ends = extremes(names, values)
    if ends is None:
        return tr("Too few criteria to name the closest")
    text = mark("{a} and {b} ({value})")
    words = [tr(text, a=_label(a), b=_label(b), value=look.number(value, 2)) for a, b, value in ends]
    both = tr("Closest: {closest}. Furthest apart: {furthest}", closest=words[0], furthest=words[1])
    return words[0] if words[0] == words[1] else both


def _matrix_alt(maps: Maps, values: np.ndarray) -> str:
    title = _matrix_title(list(maps), values)
    return tr("Matrix of the agreement of {n} criteria. {title}.", n=len(maps), title=title)


@lru_cache(maxsize=32)
def agreements(maps: tuple[ImportanceMap, ...], measure: str, k: int) -> np.ndarray:
    """Agreement of every two maps in keep order, ``(map, map)``; nan where one tells no units apart."""
    keep = [one.sign * one.flat()[None] for one in maps]
    found = np.ones((len(maps), len(maps)))
    for i, j in combinations(range(len(maps)), 2):
        if measure == "overlap":
            value = measures.overlap(keep[i], keep[j], k)
        else:
            value = getattr(measures, measure)(keep[i], keep[j])
        found[i, j] = found[j, i] = float(value[0])
    return found


def extremes(names: list[str], values: np.ndarray) -> tuple[tuple[str, str, float], tuple[str, str, float]] | None:
    """The pair of criteria that agrees most and the one that agrees least, controls aside."""
    pairs = [
        (names[i], names[j], float(values[i, j]))
        for i, j in combinations(range(len(names)), 2)
        if names[i] not in CONTROLS and names[j] not in CONTROLS and np.isfinite(values[i, j])
    ]
    if not pairs:
        return None
    return max(pairs, key=lambda pair: pair[2]), min(pairs, key=lambda pair: pair[2])


# Two of them -----------------------------------------------------------------------------------------------------


def _pair(page: Page, what: Scoring, maps: Maps, k: int) -> None:
    """Two criteria, unit by unit; a fragment, so that choosing them draws nothing else again."""
    names = list(maps)
    first = names.index(what.criterion) if what.criterion in names else 0
    columns = st.columns(2)
    chosen = [
        column.selectbox(label, names, place, format_func=_label, key=f"pair {number} {what.scope} {names[first]}")
        for number, (column, label, place) in enumerate(
            zip(columns, (tr("One criterion"), tr("Another")), (first, int(first == 0)), strict=True)
        )
    ]
    one, two = (maps[name] for name in chosen)
    found = _found(one, two, k) or measures.agree(one, two, k)
    shared = round(found.overlap.value * k)
    ranks = [(1 + (len(m.keep_values) - 1) * normalised_ranks(m.sign * m.flat())).tolist() for m in (one, two)]
    title = tr("{n} of the {k} lowest {units} in common", n=shared, k=k, units=tr(what.scope))
    units = len(ranks[0])
    drawn = np.sort(np.random.default_rng(0).permutation(units)[:POINTS])  # thousands of points only slow the browser
    x, y, texts = ([values[i] for i in drawn] for values in (*ranks, _rank_texts(one, ranks)))
    some = tr("{n:,} of {total:,}, drawn by lot", n=POINTS, total=units)
    which = tr("One point each") if units <= POINTS else some
    figure = multiples.rank_scatter(
        (x, y),
        names=(_label(chosen[0]), _label(chosen[1])),
        hover=texts,
        k=k,
        count=units,
        title=title,
        subtitle=tr("{which}; in the corner is what both would remove", which=which),
        theme=page.theme,
    )
    st.plotly_chart(
        figure, theme=None, config=charts.CONFIG, key="pair_chart", alt=tr("Ranks compared: {title}.", title=title)
    )
    _pair_numbers(found, k)


def _rank_texts(importance: ImportanceMap, ranks: list[list[float]]) -> list[str]:
    parts = part_names(importance)
    units = [(part, unit) for part, row in enumerate(importance.values) for unit in range(len(row))]
    return [
        tr(
            "{unit}: rank {x} and {y}",
            unit=certainty.unit_name(importance, unit, parts),
            x=look.number(x),
            y=look.number(y),
        )
        for unit, x, y in zip(units, *ranks, strict=True)
    ]


def _pair_numbers(found: Agreement, k: int) -> None:
    def show(estimate: Estimate) -> str:
        return look.measured(estimate) if found.resampled else look.number(estimate.value)

    lines = [
        f"{tr('Spearman')} {show(found.spearman)}", f"{tr('Kendall')} {show(found.kendall)}",
        f"{tr('Share of the {k} lowest in common', k=k)} {show(found.overlap)}",
    ]  # fmt: skip
    st.markdown("  \n".join(lines))
    if not found.resampled:
        st.caption(tr("No intervals: neither map holds the scores of single rows. Score one again to have them."))


def _found(a: ImportanceMap, b: ImportanceMap, k: int) -> Agreement | None:
    return store().maps.agreement(a, b, k) or store().maps.agreement(b, a, k)


def _label(name: str) -> str:
    return tr(get_criterion(name).label)
