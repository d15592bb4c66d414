"""Keys for widgets that show a value which other things change, too (a click, undo, a link).

Pushing a value into a widget that exists is not safe: a refresh that is on its way carries the widget's old value, and
Streamlit takes that for a wish of the user. So a widget keeps its key while the user alone moves it, and is replaced by
a new one, with a new key and the new value, when something else has changed what it shows. Another language changes it,
too: the browser holds a choice by its label, and one in another language is none of the options any more.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import streamlit as st

from pruning.language import language


def mirror_key(name: str, shown: Hashable) -> str:
    """The key for a widget that shows ``shown`` now."""
    now = (language(), shown)
    seen, number = st.session_state.get(f"{name}:mirror", (None, 0))
    if seen != now:
        number += 1
        st.session_state[f"{name}:mirror"] = (now, number)
    return f"{name}_{number}"


def moved_by_user(name: str, shown: Hashable) -> None:
    """Note, in the widget's callback, what it will show next: then it keeps its key, and its focus."""
    _, number = st.session_state.get(f"{name}:mirror", (None, 0))
    st.session_state[f"{name}:mirror"] = ((language(), shown), number)


def choose_again() -> None:
    """Send what is chosen to the browser anew, under the labels of another language; call it where that is chosen.

    Otherwise the next move of anything brings the old labels back, and every choice falls to its default. Buttons and
    uploads cannot be set, and toggles have no labels.
    """
    for key, value in st.session_state.items():
        if isinstance(value, (str, int, float, list, tuple)) and not isinstance(value, bool):
            st.session_state[key] = value


def on_move(name: str, key: str, act: Callable[[object], Hashable]) -> Callable[[], None]:
    """A callback that hands the widget's value to ``act`` and notes what ``act`` says it will show next.

    A late refresh may still carry the value of a widget that has been replaced. Streamlit has forgotten the old value
    and calls that a change; it is none.
    """

    def callback() -> None:
        _, number = st.session_state.get(f"{name}:mirror", (None, 0))
        if key == f"{name}_{number}" and key in st.session_state:
            moved_by_user(name, act(st.session_state[key]))

    return callback
