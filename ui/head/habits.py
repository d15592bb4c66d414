"""What the head attends to on average, and which heads attend alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import mark, tr
from pruning.masks import HeadId
from ui import charts as shared
from ui import state
from ui.head import charts
from ui.head.choosing import open_head
from ui.head.following import follow
from ui.head.looks import ALIKE_ROWS
from ui.head.words import definitions, finding, habit, kind_of, nearest
from ui.naming import head_name, names_of
from ui.store import session_id, store
from ui.theme import Theme, number, plain

if TYPE_CHECKING:
    from pruning.looking import HeadPattern, Patterns
    from pruning.models import LoadedModel

LISTED = 5


def patterns_view(model: LoadedModel, head: HeadId, theme: Theme) -> None:
    """The bars, the profile, and both as a table."""
    data, looks = state.current().data, store().looks
    patterns = looks.patterns(model, data)
    if patterns is None:
        wanted = ("patterns", model.fingerprint, data)
        follow(lambda: looks.measure_patterns(session_id(), model, data), wanted, looks.worker)
        return
    pattern = patterns.of(head)
    if pattern is None:
        why = patterns.refused.get(head.site) or mark("no row is long enough for a choice between two tokens")
        st.info(plain(tr("Not measured: {why}.", why=tr(why))))
        return
    _draw(pattern, model, head, theme, head.site in patterns.windowed)


def _draw(pattern: HeadPattern, model: LoadedModel, head: HeadId, theme: Theme, windowed: bool) -> None:
    kind = kind_of(model.anatomy.sites[head.site].kind)
    title = finding(pattern, kind)
    bars, profile = charts.share_bars(pattern, kind, title, theme), charts.profile_bars(pattern, theme)
    st.plotly_chart(
        bars, theme=None, config=shared.CONFIG, alt=tr("Shares of attention. {title}.", title=title), key="head_shares"
    )
    alt = tr("Attention by relative place. {title}.", title=charts.profile_finding(pattern))
    st.plotly_chart(profile, theme=None, config=shared.CONFIG, alt=alt, key="head_profile")
    st.caption(definitions(pattern, kind, windowed))
    with st.expander(tr("As a table")):
        numbers = {tr(name): st.column_config.NumberColumn(format="%.3g") for name in ("value", "low", "high")}
        st.dataframe(charts.pattern_table(pattern, kind).rename(columns=tr), hide_index=True, column_config=numbers)


def alike_view(model: LoadedModel, head: HeadId) -> None:
    """The nearest heads, each a button that opens it."""
    data, looks = state.current().data, store().looks
    found, patterns = looks.alike(model, data, head), looks.patterns(model, data)
    if patterns is not None and head.site in patterns.refused:
        st.info(plain(tr("Not compared: {why}.", why=tr(patterns.refused[head.site]))))
        return
    if found is None:
        wanted = ("alike", model.fingerprint, data, head)
        follow(lambda: looks.compare(session_id(), model, data, head), wanted, looks.worker)
        return
    others = nearest(found, head, LISTED)
    if not others:
        st.info(tr("There is no other head to compare with: none attends between the same sequences."))
        return
    for other, value in others:
        _line(model, other, value, patterns)
    text = mark(
        "Jensen–Shannon divergence of the attention, token by token (Clark et al., BlackboxNLP 2019): 0 bits where two "
        "heads attend alike, 1 bit where they share nothing. Mean over the first {n} calibration rows."
    )
    st.caption(tr(text, n=ALIKE_ROWS))


def _line(model: LoadedModel, other: HeadId, value: float, patterns: Patterns | None) -> None:
    pattern = patterns.of(other) if patterns else None
    words = f" · {habit(pattern.label, kind_of(model.anatomy.sites[other.site].kind))}" if pattern else ""
    removed = f" · {tr('removed')}" if other in state.current().mask.heads else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        name = head_name(other, names_of(model.anatomy, len(model.anatomy.sites)))
        st.button(name, key=f"alike {other}", on_click=open_head, args=(other,), width=190)
        st.markdown(f"{tr('{value} bits', value=number(value, 2))}{words}{removed}")
