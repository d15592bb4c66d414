"""What both sides of Compare cost: counted, and timed when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import tr
from ui import state
from ui import theme as look
from ui.compare import words
from ui.compare.pairs import Side
from ui.details import figures_table
from ui.history.words import in_line, size
from ui.store import session_id, store
from ui.theme import plain
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.presenting.measuring import Timing


def draw_cost(model: LoadedModel, a: Side, b: Side) -> None:
    """Size, arithmetic and time of both once they are really cut."""
    st.header(tr("Cost"))
    timing = store().pairs.timings.known(model, state.current().data, a, b)
    rows = [*_counted(a, b), *([_timed(timing)] if timing else [])]
    if rows:
        figures_table(tr("Cost of A and B"), ["A", "B", "B : A"], rows)
    else:
        st.caption(tr("Cost: {value}.", value=tr(look.NOT_MEASURED)))
    if rows:
        st.caption(tr("Counted as if both were really cut: a mask alone saves nothing."))
    if timing is None:
        _offer(model, a, b)
    else:
        st.caption(plain(in_line(timing_words(timing))))


def _counted(a: Side, b: Side) -> list[list[str]]:
    cost = store().request_model(state.current().model).cost
    if cost is None:
        return []
    found = [cost.after(side.mask) for side in (a, b)]
    sizes = [
        side.trained.recovered.pruned.parameters if side.trained else after.parameters
        for side, after in zip((a, b), found, strict=True)
    ]
    label = tr("MACs for {n} tokens", n=cost.tokens) if cost.tokens else tr("MACs for one image")
    work = [after.macs for after in found]
    return [
        [tr("Parameters"), *map(size, sizes), words.ratio(*sizes)],
        [label, *map(look.macs, work), words.ratio(*work)],
    ]


# Time ------------------------------------------------------------------------------------------------------------


def _timed(timing: Timing) -> list[str]:
    both = [look.measured(one, "ms") for one in (timing.before, timing.after)]
    return [tr("Time of a request"), *both, look.measured(timing.ratio)]


def timing_words(timing: Timing) -> list[str]:
    """What was timed, how often, on what, and what it says."""
    values = {"n": timing.runs, "machine": timing.machine, "threads": timing.threads}
    if timing.tokens:
        what = tr(
            "Time: the median of {n} runs of each, really cut, in turns; one request at a time (batch size 1) of "
            "{tokens} tokens; threads: {threads}; {machine}.",
            tokens=timing.tokens,
            **values,
        )
    else:
        what = tr(
            "Time: the median of {n} runs of each, really cut, in turns; one image at a time (batch size 1); threads: "
            "{threads}; {machine}.",
            **values,
        )
    return [
        words.time_verdict(timing.ratio),
        what,
        tr(
            "B : A is the median of neighbouring runs; intervals are 95%, of medians. Runs that follow each other are "
            "alike, so another hour may give other times."
        ),
    ]


def _offer(model: LoadedModel, a: Side, b: Side) -> None:
    """The button that measures, its progress, or why there are no times."""
    timings, data = store().pairs.timings, state.current().data
    refusal = timings.refusal(model, data, a, b)
    if refusal is not None:
        st.caption(plain(look.as_sentence(refusal)))
        return
    job = timings.worker.latest((session_id(), "compare times"))

    def ask() -> None:
        store().pairs.timings.start(session_id(), model, data, a, b)

    wait_for(job, timings.key(model, data, a, b), tr("Measure the time of both"), ask, timings.worker, primary=False)
