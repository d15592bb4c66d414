"""What the head is worth: its importance under each criterion, and what the task loses without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pruning.importance import get_criterion
from pruning.language import mark, tr, trn
from pruning.masks import HeadId
from ui import details, state
from ui.figures import change_text, main_metric, value_text
from ui.head.following import follow
from ui.head.words import importance_row, rank_sentence
from ui.importance import in_scope, known_maps
from ui.jobs import Job
from ui.maps import Scoring
from ui.measuring import Live
from ui.store import session_id, store
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.importance import ImportanceMap
    from pruning.models import LoadedModel

HEADS = Scoring("gradient")  # of which the scope counts
FLIPS_SHOWN = 6
RANK = "rank from the least"
COLUMNS = (mark("criterion"), mark("importance"), mark("low"), mark("high"), mark("unit"))  # beside the rank


def importance_view(model: LoadedModel, head: HeadId) -> None:
    """A line for each criterion that is scored, and the way to score another."""
    maps = known_maps(HEADS)
    fitting = {name: one for name, one in maps.items() if tuple(map(len, one.values)) == model.anatomy.heads_per_site}
    if fitting:
        _table(fitting, head)
    else:
        st.caption(tr("No criterion has been scored for this model and data yet."))
    missing = [name for name in in_scope("heads") if name not in fitting]
    if missing:
        _score(model, missing)


def _table(maps: dict[str, ImportanceMap], head: HeadId) -> None:
    first = maps.get(state.current().criterion) or next(iter(maps.values()))
    st.markdown(f"**{rank_sentence(first, head)}.**")
    rows = sorted((importance_row(one, head) for one in maps.values()), key=lambda row: str(row["criterion"]))
    total = len(first.keep_values)
    numbers = {tr(name): st.column_config.NumberColumn(format="%.3g") for name in ("importance", "low", "high")}
    rank = st.column_config.ProgressColumn(
        tr("rank of {total:,}", total=total), format="%d", min_value=0, max_value=total, width=110
    )
    table = pd.DataFrame(rows).rename(columns=lambda name: name if name == RANK else tr(name))
    st.dataframe(
        table, hide_index=True, placeholder="", height=min(420, 35 * (len(rows) + 1) + 3),
        column_config={**numbers, RANK: rank, tr("criterion"): st.column_config.TextColumn(width=150)},
    )  # fmt: skip
    text = mark(
        "Rank 1 is the least important head, {total:,} the most. Low and high: 95% interval over rows, for criteria "
        "that are means over them."
    )
    st.caption(tr(text, total=total))


def _score(model: LoadedModel, missing: list[str]) -> None:
    """Pick one of what has not been scored, and score it."""
    with st.expander(tr("Score another criterion ({n} not scored)", n=len(missing))):
        name = st.selectbox(
            tr("Criterion"), missing, key="head_criterion", format_func=lambda one: tr(get_criterion(one).label),
            help=tr("Scored on the calibration rows, for all heads at once."),
        )  # fmt: skip
        what, data = Scoring(name), state.current().data
        costs = tr("Costs {cost}.", cost=tr(get_criterion(name).cost))
        st.caption(f"{tr(get_criterion(name).about)} {costs}")
        job = store().scorer.latest((session_id(), "head score"))
        wanted = ("score", *what.key(model, data))
        wait_for(
            job, wanted, tr("Score"), lambda: store().maps.score(session_id(), model, data, what, "head score"),
            store().scorer, primary=False,
        )  # fmt: skip


# Without it -------------------------------------------------------------------------------------------------------


def loss_view(model: LoadedModel, head: HeadId) -> None:
    """The whole model against the model without this head alone, whatever the mask says."""
    data, looks = state.current().data, store().looks
    wanted = ("without", model.fingerprint, data, head)
    follow(lambda: looks.without(session_id(), model, data, head), wanted, looks.evaluator, _draw)


def _draw(job: Job) -> None:
    live: Live | None = job.result or job.partial
    if live is None:
        st.caption(tr("The first estimate comes after 80 examples."))
        return
    st.markdown(f"**{loss_sentence(live)}**")
    if live.after.complete:
        details.draw_table(live)
        _flips(live)


def loss_sentence(live: Live) -> str:
    """The main metric with and without the head, and whether the difference is more than noise."""
    name = main_metric(live.before)
    change = live.comparison.differences["loss" if name == "perplexity" else name]
    if not live.after.complete:  # the two sides may stand on different numbers of examples
        change_now = change_text(live.comparison, name)
        return trn(
            "So far, on {n} example: {change}",
            "So far, on {n:,} examples: {change}",
            live.comparison.samples, change=change_now,
        )  # fmt: skip
    before, after = (value_text(one, name).partition(" (")[0] for one in (live.before, live.after))
    clear = not change.low <= 0 <= change.high
    text = mark(
        "{metric} {before} with it, {after} without: {change}: the interval holds zero, so nothing is known to have "
        "changed."
    )
    text = mark("{metric} {before} with it, {after} without: {change}.") if clear else text
    said = change_text(live.comparison, name)
    return tr(text, metric=tr(details.NAMES[name]), before=before, after=after, change=said)


def _flips(live: Live) -> None:
    """Examples that are answered differently; language models have none."""
    flips = live.comparison.flips
    if not live.after.class_names:
        return
    if not flips:
        st.markdown(
            trn(
                "**No prediction flips** in the only example.",
                "**No prediction flips** among {n:,} examples.",
                live.comparison.samples,
            )
        )
        return
    worse, better = live.comparison.count("worse"), live.comparison.count("better")
    changes = trn(
        "**{n} prediction flips:** {worse} to wrong, {better} to right.",
        "**{n} predictions flip:** {worse} to wrong, {better} to right.",
        len(flips), worse=worse, better=better,
    )  # fmt: skip
    st.markdown(changes)
    st.caption(details.mcnemar_words(live.comparison.p_value))
    shown = flips if len(flips) <= FLIPS_SHOWN else _some(live)
    for flip in shown:
        details.draw_flip(flip, (tr("with it"), tr("without")))
    if len(shown) < len(flips):
        st.caption(tr("{shown} of {n} are shown.", shown=len(shown), n=len(flips)))


def _some(live: Live) -> list:
    """A few of each kind, the new errors first."""
    flips = live.comparison.flips
    worse = [flip for flip in flips if flip.kind == "worse"][: FLIPS_SHOWN * 2 // 3]
    return [*worse, *(flip for flip in flips if flip.kind != "worse")][:FLIPS_SHOWN]
