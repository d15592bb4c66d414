"""Whether somebody still looks at a session: work for those who have left waits for those who have not."""

from __future__ import annotations

from collections import OrderedDict

KEPT = 2000  # sessions
_browsers: OrderedDict[str, str] = OrderedDict()  # a session's name: what Streamlit calls it


def note(session: str) -> None:
    """Remember which of Streamlit's sessions the running script belongs to."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx(suppress_warning=True)
    if context is not None:
        _browsers[session] = context.session_id
        while len(_browsers) > KEPT:
            _browsers.popitem(last=False)


def gone(session: str) -> bool:
    """Whether the browser of a session has been closed, or has lost its connection; what is not known is here."""
    from streamlit.runtime import exists, get_instance

    browser = _browsers.get(session)
    return browser is not None and exists() and not get_instance().is_active_session(browser)
