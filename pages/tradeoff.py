"""Trade-off: how much can go, and what that costs, for many plans in one chart."""

import pandas as pd
import streamlit as st

from pruning.language import mark, tr
from ui import state
from ui.jobs import Job
from ui.page import Page, begin
from ui.sidebar import REFRESH_SECONDS
from ui.store import store
from ui.sweep_back import draw_return
from ui.sweep_card import draw_card, place_here
from ui.sweep_view import draw_chart, draw_table, table_of
from ui.sweeping import failed_sweep, progress_line, running_sweep, settings_form, start, start_button, swept_now
from ui.sweeps import SweepSettings, Swept
from ui.theme import plain


def main() -> None:
    page = begin("Trade-off", tr("How much can go, and what does it cost? Each point is a plan that was measured."))
    loading = store().request_model(state.current().model)
    left, right = st.columns([2, 5], gap="large")
    with left:
        settings = settings_form()
        start_button(settings, loading.model)
    with right:
        checking = draw_return(loading.model)
        job = running_sweep()
        if error := failed_sweep(settings):
            text = mark("The sweep has stopped: {error}. Change what it asks for, or the data.")
            st.error(plain(tr(text, error=error)))
        if job is not None:
            st.fragment(results, run_every=REFRESH_SECONDS)(settings, page, job)
        elif not checking:
            results(settings, page, None)
    swept = swept_now(settings)
    if swept is not None and swept.rows and job is None and not checking:
        draw_rest(swept, settings)


def results(settings: SweepSettings, page: Page, job: Job | None) -> None:
    """The chart and the card; while a sweep runs they refresh themselves, and points appear as they come."""
    if job is not None:
        state.note_url()
        if not job.active:
            st.rerun()
        progress_line(job)
    swept = swept_now(settings)
    if swept is None or not swept.rows:
        with st.container(height=460, border=False):
            empty(settings, job is not None)
        return
    place = place_here()
    table = table_of(swept, place)
    draw_chart(swept, table, page.theme, place)
    st.caption(status(swept, settings, job is not None))
    draw_card(swept, table, place)


def empty(settings: SweepSettings, running: bool) -> None:
    """What to do where there is nothing to see yet."""
    loading = store().request_model(state.current().model)
    if running:
        st.info(tr("The first point appears here as soon as the whole model has been measured."))
    elif loading.state == "failed":
        st.info(tr("There is no model to measure. Pick one in the sidebar."))
    elif loading.model is None:
        st.info(plain(tr("{model} is loading. Then a sweep can start.", model=state.current().model)))
    else:
        text = mark(
            "Nothing has been measured yet. A sweep takes away more and more, in several ways, and measures what is "
            "left on rows that played no part in choosing. The points appear here one by one."
        )
        st.info(tr(text))
        if settings.work[0]:
            st.button(tr("Sweep with these settings"), type="primary", on_click=start, args=(settings,))


def status(swept: Swept, settings: SweepSettings, running: bool) -> str:
    """What the chart shows, where that is not what the controls say."""
    parts = []
    if swept.settings is None:
        made = pd.DataFrame(list(swept.rows))["made"].max()
        text = mark("Measured on {date} and kept with the built-in model; a sweep of your own takes its place.")
        parts.append(tr(text, date=made))
    elif not swept.complete and not running:
        text = mark(
            "The sweep was stopped; these are the points that it had. Start it again, and it goes on from here."
        )
        parts.append(tr(text))
    if swept.reopened:
        made = max(str(row["made"]) for row in swept.rows)
        text = mark("Measured on {date} and reopened from the history: model and rows are the same.")
        parts.append(tr(text, date=made))
    if swept.settings is not None and swept.settings != settings:
        parts.append(tr("The controls have changed since; start the sweep to measure what they say now."))
    parts += [tr("Left out: {reason}.", reason=plain(tr(reason))) for reason in swept.refused]
    return " ".join(parts)


def draw_rest(swept: Swept, settings: SweepSettings) -> None:
    """The table, and both ways to take it along."""
    place = place_here()
    table = table_of(swept, place)
    st.header(tr("All points"))
    draw_table(swept, table, place)
    with st.container(horizontal=True, vertical_alignment="center"):
        text = table.to_csv(index=False)
        st.download_button(tr("Download the table"), text, "sweep.csv", "text/csv", on_click="ignore")
        with st.popover(tr("The same on the command line")):
            made = swept.settings
            commands = made.commands(place.model, place.data) if made else ["python assets/make_demo.py sweep"]
            st.code("\n".join(commands), language="bash", wrap_lines=True)


main()
