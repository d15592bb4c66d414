"""Tells the engine which language a session reads: the link's, the switch's or the browser's. It imports little."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pruning import language
from pruning.language import LANGUAGES, best_language


def spoken() -> str:
    """The language of the session that is being drawn; work behind the pages speaks English until it is read."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return language.DEFAULT
    session = st.session_state.get("session")
    chosen = session.language if session is not None else st.query_params.get("lang", "")
    return chosen if chosen in LANGUAGES else best_language(st.context.locale)


language.follow(spoken)
