"""The group of figures: which, how they look, and in which format they are wanted."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import streamlit as st

from pruning.language import language, mark, tr
from ui import charts
from ui.controls import mirror_key, on_move
from ui.export.browser import FORMATS, SCALE, missing
from ui.export.pictures import Picture, sized
from ui.export.subject import Subject
from ui.export.webpage import Drawn, document, for_reader, place
from ui.store import session_id, store
from ui.theme import Theme, plain
from ui.waiting import wait_for

WIDTHS = {560: mark("Column, 560 px"), 760: mark("Page, 760 px"), 1200: mark("Slide, 1,200 px")}
THEMES = {"light": mark("Light"), "dark": mark("Dark")}
RATIOS = {1200: 9 / 16}  # height over width; the others are as high as they need to be
MEDIA = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf"}
FIRST = ("importance-", "mask", "differences")  # what is chosen before anybody has


def figures(subject: Subject, known: list[Picture], theme: Theme) -> list[Picture]:
    """Draw the group, and return what is chosen."""
    st.header(tr("The figures"))
    if not known:
        st.info(tr("There is nothing to draw yet. Explore scores importance, and Prune removes heads."))
        return []
    st.markdown(tr("Choose what to take along. They look as on the page, in either theme."))
    chosen = _choice(known)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        look = st.segmented_control(
            tr("Theme"), list(THEMES), default=theme, key="export_theme", required=True, persist_state="session",
            format_func=lambda name: tr(THEMES[name]), help=tr("Dark figures have a dark ground of their own."),
        )  # fmt: skip
        width = st.selectbox(
            tr("Width"), list(WIDTHS), index=1, key="export_width", persist_state="session", width=180,
            format_func=lambda px: tr(WIDTHS[px]), help=tr("In CSS pixels. A PNG has {n} pixels for each.", n=SCALE),
        )  # fmt: skip
        kind = st.segmented_control(
            tr("Format"), ["html", *FORMATS], default="html", key="export_figure_format", required=True,
            format_func=str.upper, persist_state="session",
            help=tr("HTML answers to the mouse. SVG and PDF are drawn with lines, PNG with pixels."),
        )  # fmt: skip
    if not chosen:
        st.caption(tr("Choose at least one figure."))
        return []
    drawn: Theme = "dark" if look == "dark" else "light"
    if (kind or "html") == "html":
        _html(subject, chosen, drawn, width)
    else:
        _converted(subject, chosen, drawn, width, str(kind))
    with st.expander(tr("Preview")):
        for one in chosen:
            figure = sized(one.draw(drawn), drawn, width, RATIOS.get(width))
            st.plotly_chart(
                figure, theme=None, config=charts.CONFIG, key=f"preview_{one.name}", alt=one.alt, width="content"
            )
    return chosen


def _choice(known: list[Picture]) -> list[Picture]:
    names = {one.name: one for one in known}
    asked = st.session_state.get("export_pictures")
    shown = [name for name in (first(known) if asked is None else asked) if name in names]
    key = mirror_key("export_pictures_box", (tuple(shown), tuple(names)))

    def choose(value: Any) -> Hashable:
        st.session_state["export_pictures"] = list(value)
        return tuple(value), tuple(names)

    found = st.multiselect(
        tr("Figures"), list(names), shown, key=key, format_func=lambda name: names[name].label, wrap=True,
        on_change=on_move("export_pictures_box", key, choose), help=tr("The report shows the same ones."),
    )  # fmt: skip
    return [names[name] for name in found]


def first(known: list[Picture]) -> list[str]:
    """One of each kind."""
    found = (next((one.name for one in known if one.name.startswith(start)), "") for start in FIRST)
    return list(filter(None, found))


def _html(subject: Subject, chosen: list[Picture], theme: Theme, width: int) -> None:
    """All in one file, made when it is asked for."""

    def make() -> str:
        made = [(one, sized(one.draw(theme), theme, width, RATIOS.get(width))) for one in chosen]
        drawn = [Drawn(figure, figure, one.alt) for one, figure in made]
        return document(subject.label, "\n".join(place(i, one) for i, one in enumerate(drawn)), drawn, theme)

    st.download_button(
        tr("Download the figures"), for_reader(make), "figures.html", "text/html", on_click="ignore",
        key="export_figures_html", icon=":material/download:",
    )  # fmt: skip


def _converted(subject: Subject, chosen: list[Picture], theme: Theme, width: int, kind: str) -> None:
    """Drawn by this computer's browser as a job."""
    if why := missing():
        st.button(tr("Draw as {kind}", kind=kind.upper()), disabled=True)
        text = tr("{kind} needs a browser to draw it, and {why}. HTML works without.", kind=kind.upper(), why=why)
        st.caption(plain(text))
        return
    exports, what = store().exports, subject.decision
    shape = tuple(one.name for one in chosen), theme, width, kind, language()
    numbers = tuple((one.criterion, one.scope, one.made, one.samples) for one in subject.maps)
    measured = subject.measured.after.data if subject.measured else ""
    key = ("figures", subject.model.fingerprint, what.mask, what.compensation, what.data, measured, numbers, *shape)
    found = exports.package(session_id(), key)
    if found is None:

        def ask() -> None:
            named = [(one.name, sized(one.draw(theme), theme, width, RATIOS.get(width))) for one in chosen]
            exports.figures(session_id(), key, named, kind)  # type: ignore[arg-type]

        label = tr("Draw as {kind}", kind=kind.upper())
        wait_for(exports.job(session_id(), "figures"), key, label, ask, exports.worker, primary=False)
        return
    mime = MEDIA[kind] if found.path.suffix == f".{kind}" else "application/zip"
    st.download_button(
        tr("Download {file}", file=found.path.name), lambda: found.path.open("rb"), found.path.name, mime,
        on_click="ignore", key="export_figures_file", icon=":material/download:",
    )  # fmt: skip
