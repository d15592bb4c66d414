"""Stepping and full screen: buttons, and keys that work anywhere on the page but in a text box.

The browser sends the step that it wants; the page answers with the step that is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pruning.language import mark, tr
from ui import theme as look
from ui.present.stage import STEPS

_FOLDER = Path(__file__).parent
WORDS = {
    "label": mark("Steps of the presentation"),
    "previous": mark("‹ Previous"),
    "next": mark("Next ›"),
    "full": mark("Full screen"),
    "leave": mark("Leave full screen"),
    "step": mark("Step {n} of {count}: {name}"),
    "help_previous": mark("The step before; keys: left arrow, Page up, Home for the first, or its number"),
    "help_next": mark("The next step; keys: right arrow, Page down, End for the last, or its number"),
    "help_full": mark("Hide everything but the presentation; keys: F, B for a black screen, Esc to leave"),
    "black": mark("The screen is black. Any key brings the presentation back."),
}


def room(step: int, on_step: Callable[[int], None]) -> None:
    """Draw the buttons.

    Args:
        step: That is shown, from 1.
        on_step: Called with the step that is wanted, before the page runs.
    """
    key = "present_room"

    def receive() -> None:
        state = st.session_state.get(key)
        number = parse_step(state.get("step") if state else None)
        if number is not None:
            on_step(number)

    names = [tr(name) for name in STEPS.values()]
    words = {name: tr(text) for name, text in WORDS.items()}
    _room(key=key, data={"step": step, "names": names, "words": words}, on_step_change=receive)


def parse_step(value: object) -> int | None:
    """The step that the browser wants; None where it sent anything else.

    >>> parse_step(3), parse_step(99), parse_step(True), parse_step({"step": 2})
    (3, None, None, None)
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 1 <= value <= len(STEPS) else None  # type: ignore[operator, return-value]


def stylesheet() -> str:
    """Its rules, and every colour for both themes."""
    light, dark = look.tokens("light"), look.tokens("dark")
    roles = [f"--{r}: light-dark({getattr(light, r)}, {getattr(dark, r)});" for r in light.__dataclass_fields__]
    return "\n".join([".room{" + "".join(roles) + "}", (_FOLDER / "room.css").read_text(encoding="utf-8")])


_room = st.components.v2.component(  # at module level: registering again with every run would warn
    "headroom_room",
    html='<div class="room" role="group"></div>',
    css=stylesheet(),
    js=(_FOLDER / "room.js").read_text(encoding="utf-8"),
)
