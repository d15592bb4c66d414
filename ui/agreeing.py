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
from pruning.statistics import Estimate
from ui import certainty, charts, multiples
from ui import theme as look
from ui.importance import part_names
from ui.jobs import Job
from ui.maps import Scoring
from ui.page import Page
from ui.store import session_id, store

CONTROLS = ("random", "reversed")  # made to agree with nothing, so they are not news
MEASURES = {"spearman": "Spearman", "kendall": "Kendall", "overlap": "Lowest in common"}
MEASURES_HELP = (
    "Spearman and Kendall compare the whole order, from −1 (reversed) through 0 (unrelated) to 1 (the same). "
    "Lowest in common is the share of the k least important that both criteria name: what both would remove."
)
WIDE = """<style>
.headroom-sideways {{ display: none; margin: 0; font-size: 0.875rem; }}
@media (max-width: 640px) {{
  .headroom-sideways {{ display: block; }}
  .st-key-agreement_matrix {{ overflow-x: auto; }}
  .st-key-agreement_matrix > [data-testid=stElementContainer]:has(.stPlotlyChart) {{ min-width: {width}px; }}
}}</style><p class="headroom-sideways" tabindex="0">Scroll sideways to see all criteria.</p>
"""  # on a telephone the numbers need more room than there is; the sentence lets the keyboard get to the frame
POINTS = 1000
Maps = dict[str, ImportanceMap]


def agreement(page: Page, what: Scoring, maps: Maps) -> None:
    """Every two criteria as a matrix, and two of them in full."""
    if len(maps) < 2:
        st.info(f"It takes two criteria to compare. Score more {what.scope} under Criteria side by side.")
        return
    units = len(next(iter(maps.values())).keep_values)
    if units < 2:
        st.info(f"There is only one of these {what.scope}: no order to compare.")
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
            "Measure of agreement",
            list(MEASURES),
            default="spearman",
            required=True,
            format_func=MEASURES.__getitem__,
            help=MEASURES_HELP,
            key="agreement_measure",
            persist_state="session",
        )
        k = max(1, units // 4)
        if measure == "overlap" and units > 2:
            label = f"Lowest {what.scope} (k)"
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
    st.caption(f"Intervals: {job.done} of {job.total or '…'} pairs")


def _matrix(page: Page, maps: Maps, measure: str, k: int) -> None:
    every = tuple(maps.values())
    names = [_label(name) for name in maps]
    values = agreements(every, measure, k)
    hover = [[_cell(a, b, values[i][j], measure, k) for j, b in enumerate(every)] for i, a in enumerate(every)]
    figure = multiples.agreement_matrix(
        values, names=names, hover=hover, lowest=0.0 if measure == "overlap" else -1.0, theme=page.theme,
        title=_matrix_title(list(maps), values),
        subtitle=f"{_measured(measure, k)}, {len(every[0].keep_values):,} {every[0].scope}, {len(every)} criteria",
    )  # fmt: skip
    with st.container(key="agreement_matrix"):
        st.html(WIDE.format(width=180 + 26 * len(every)))
        st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="agreement_chart", alt=_matrix_alt(maps, values))


def _measured(measure: str, k: int) -> str:
    return f"Share of the {k} lowest in common" if measure == "overlap" else f"{MEASURES[measure]}'s correlation"


def _cell(a: ImportanceMap, b: ImportanceMap, value: float, measure: str, k: int) -> str:
    """What the matrix says of one pair."""
    if a is b:
        return _label(a.criterion)
    found = _found(a, b, k)
    text = look.measured(getattr(found, measure)) if found and found.resampled else look.number(value)
    lines = [f"{_label(a.criterion)} · {_label(b.criterion)}", text]
    return "<br>".join([*lines, f"{len(a.keep_values):,} {a.scope}, {_rows(a, b)}"])


def _rows(a: ImportanceMap, b: ImportanceMap) -> str:
    """How many rows the two maps are from."""
    counts = sorted({one.samples for one in (a, b) if one.samples})
    return f"n = {' and '.join(f'{count:,}' for count in counts)} rows" if counts else "no rows needed"


def _matrix_title(names: list[str], values: np.ndarray) -> str:
    ends = extremes(names, values)
    if ends is None:
        return "Too few criteria to name the closest"
    words = [f"{_label(a)} and {_label(b)} ({look.number(value, 2)})" for a, b, value in ends]
    return words[0] if words[0] == words[1] else f"Closest: {words[0]}. Furthest apart: {words[1]}"


def _matrix_alt(maps: Maps, values: np.ndarray) -> str:
    return f"Matrix of the agreement of {len(maps)} criteria. {_matrix_title(list(maps), values)}."


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
        column.selectbox(label, names, place, format_func=_label, key=f"pair {label} {what.scope} {names[first]}")
        for column, label, place in zip(columns, ("One criterion", "Another"), (first, int(first == 0)), strict=True)
    ]
    one, two = (maps[name] for name in chosen)
    found = _found(one, two, k) or measures.agree(one, two, k)
    shared = round(found.overlap.value * k)
    ranks = [(1 + (len(m.keep_values) - 1) * normalised_ranks(m.sign * m.flat())).tolist() for m in (one, two)]
    title = f"{shared} of the {k} lowest {what.scope} in common"
    units = len(ranks[0])
    drawn = np.sort(np.random.default_rng(0).permutation(units)[:POINTS])  # thousands of points only slow the browser
    x, y, texts = ([values[i] for i in drawn] for values in (*ranks, _rank_texts(one, ranks)))
    which = "One point each" if units <= POINTS else f"{POINTS:,} of {units:,}, drawn by lot"
    figure = multiples.rank_scatter(
        (x, y),
        names=(_label(chosen[0]), _label(chosen[1])),
        hover=texts,
        k=k,
        count=units,
        title=title,
        subtitle=f"{which}; in the corner is what both would remove",
        theme=page.theme,
    )
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="pair_chart", alt=f"Ranks compared: {title}.")
    _pair_numbers(found, k)


def _rank_texts(importance: ImportanceMap, ranks: list[list[float]]) -> list[str]:
    parts = part_names(importance)
    units = [(part, unit) for part, row in enumerate(importance.values) for unit in range(len(row))]
    return [
        f"{certainty.unit_name(importance, unit, parts)}: rank {look.number(x)} and {look.number(y)}"
        for unit, x, y in zip(units, *ranks, strict=True)
    ]


def _pair_numbers(found: Agreement, k: int) -> None:
    def show(estimate: Estimate) -> str:
        return look.measured(estimate) if found.resampled else look.number(estimate.value)

    lines = [
        f"Spearman {show(found.spearman)}", f"Kendall {show(found.kendall)}",
        f"Share of the {k} lowest in common {show(found.overlap)}",
    ]  # fmt: skip
    st.markdown("  \n".join(lines))
    if not found.resampled:
        st.caption("No intervals: neither map holds the scores of single rows. Score one again to have them.")


def _found(a: ImportanceMap, b: ImportanceMap, k: int) -> Agreement | None:
    return store().maps.agreement(a, b, k) or store().maps.agreement(b, a, k)


def _label(name: str) -> str:
    return get_criterion(name).label
