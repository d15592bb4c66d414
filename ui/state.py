"""The state of one session: model, data, criterion, and the mask with its history. Mirrored in the URL.

Everything is kept under keys that belong to no widget, so that it survives a change of page.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA, is_source
from pruning.errors import MaskError, PruningError
from pruning.importance import criteria, get_criterion
from pruning.importance.normalising import NORMALISATIONS, get_normalisation
from pruning.language import LANGUAGES, mark, tr
from pruning.masks import Mask
from pruning.plan import COMPENSATIONS
from pruning.scopes import SCOPES, get_scope
from pruning.sources import find_source
from ui.paths import source_of

HISTORY_LIMIT = 200
LONGEST_CODE = 8000  # letters of a mask that a link can carry everywhere
CHOICES = {"scope": SCOPES, "normalise": tuple(NORMALISATIONS), "labels": ("given", "predicted")}
# What the link of one page says and that of no other.
ON_PAGE = {
    "Compare": ("a", "b"), "Head": ("head",), "Learn": ("lesson", "group"), "Present": ("share", "step", "prices"),
    "Questions": ("topic", "question"),
}  # fmt: skip
EXAMPLE = Mask.parse_heads("0:3,2:5")
WRONG_MASK = mark("{problem} (a code looks like {example}, which removes heads {heads}; nothing is removed now)")
WRONG_MASK_LEFT = mark("{problem} (a code looks like {example}, which removes heads {heads}; the mask stays as it was)")
ECHO_SECONDS = 10.0  # after so long, a URL that is not ours is no late echo any more


@dataclass(frozen=True)
class History:
    """The mask with what was before and what was undone; every edit makes a new value."""

    mask: Mask = field(default_factory=Mask)
    past: tuple[Mask, ...] = ()
    future: tuple[Mask, ...] = ()

    def edit(self, mask: Mask) -> History:
        return self if mask == self.mask else History(mask, (*self.past, self.mask)[-HISTORY_LIMIT:], ())

    def undo(self) -> History:
        return History(self.past[-1], self.past[:-1], (self.mask, *self.future)) if self.past else self

    def redo(self) -> History:
        return History(self.future[0], (*self.past, self.mask), self.future[1:]) if self.future else self


@dataclass(frozen=True)
class Session:
    """What a session looks at."""

    model: str = "demo"
    data: str = "demo"
    criterion: str = "gradient"
    history: History = field(default_factory=History)
    scope: str = "heads"
    normalise: str = "none"
    labels: str = "given"
    compensation: str = "none"
    a: str = "whole"  # the two sides of Compare, as its link says them
    b: str = "now"
    head: str = "0.0"  # the one that Head shows, by layer and head
    lesson: str = ""  # the one that Learn shows; empty for all of them
    group: str = ""  # the code of the class that its answers count for
    share: str = "heads.40"  # what Present removes, as its link says it
    step: str = "1"
    prices: str = ""  # what it assumes, where somebody has changed that
    topic: str = ""  # of the questions that Questions shows; empty for all of them
    question: str = ""  # the one that a link opened; empty for none
    language: str = ""  # as the switch or a link has it; empty for the browser's

    @property
    def mask(self) -> Mask:
        return self.history.mask

    @property
    def replacement(self) -> str:
        """What stands in for what is removed: nothing does where nothing is."""
        return self.compensation if self.mask else "none"


def current() -> Session:
    """The session's state; on the first run it is read from the link that was opened."""
    if "session" not in st.session_state:
        st.session_state["session"] = Session()
        _adopt_url(first=True)
    return st.session_state["session"]


def update(**changes: Any) -> None:
    """Replace parts of the state; another model begins with an empty mask."""
    session = current()
    st.session_state.pop("notice", None)
    if changes.get("model", session.model) != session.model:
        changes = {"history": History(), "a": Session.a, "b": Session.b, "head": Session.head} | changes
    st.session_state["session"] = replace(session, **changes)


def edit_mask(mask: Mask) -> None:
    """Change the mask; undo brings the old one back."""
    update(history=current().history.edit(mask))


def undo() -> None:
    update(history=current().history.undo())


def redo() -> None:
    update(history=current().history.redo())


# The URL -------------------------------------------------------------------------------------------------------------


def url_parameters(session: Session, page: str = "") -> dict[str, str]:
    """What the link says; whatever is at its default is left out, and a mask that is too long for a link."""
    fresh = Session(data=default_data(session.model))
    names = ("model", "data", "criterion", *CHOICES, *ON_PAGE.get(page, ()))
    found = {name: getattr(session, name) for name in names}
    found = {name: v for name, v in found.items() if v != getattr(fresh, name) and len(v) <= LONGEST_CODE}
    if session.language:
        found["lang"] = session.language
    if session.compensation != fresh.compensation:
        found["keep"] = session.compensation
    code = session.mask.to_code()
    return {**found, "mask": code} if 0 < len(code) <= LONGEST_CODE else found


def link() -> dict[str, str]:
    """What the link to the page on the screen says."""
    return url_parameters(current(), st.session_state.get("url_page", ""))


def fits_a_link(mask: Mask) -> bool:
    """Whether the link says what is removed: thousands of scattered neurons would make it too long."""
    return len(mask.to_code()) <= LONGEST_CODE


def sync_url(page: str) -> None:
    """Follow the URL where the user changed it (back, forward, edited by hand); otherwise write the state into it.

    The browser sends its URL with every run, and that may be older than our last change. So a URL other than the one we
    wrote last is a wish only once the browser has been seen with ours, or when ours is too old to be still on its way.
    A click in the navigation drops the parameters: then a bare URL means nothing.
    """
    note_url()
    here, last = dict(st.query_params), st.session_state.get("url_last")
    moved = st.session_state.get("url_page") not in (None, page)
    bare = not here and (moved or st.session_state.get("url_bare") == page)  # left behind by the navigation
    if last is not None and here != last and not bare and _last_url_has_arrived():
        _adopt_url(first=False, page=page)
    wanted = url_parameters(current(), page)
    if not here and not moved and wanted and st.session_state.get("url_bare") == page:
        return  # back to the bare address: one more step back leads to where the user came from
    if moved or not wanted:  # a bare address is written over here, or is what belongs here
        st.session_state["url_bare"] = page if wanted and not here else None
    # Noted before it is written: writing is a point where a newer run may take over from this one.
    st.session_state["url_page"] = page
    if wanted != last:
        st.session_state.update(url_last=wanted, url_arrived=here == wanted, url_time=time.monotonic())
    if here != wanted:
        st.query_params.from_dict(wanted)


def note_url() -> None:
    """Note when the browser shows what we wrote last. Cheap: parts that refresh themselves call it, too."""
    if dict(st.query_params) == st.session_state.get("url_last"):
        st.session_state["url_arrived"] = True


def _last_url_has_arrived() -> bool:
    return st.session_state["url_arrived"] or time.monotonic() - st.session_state["url_time"] > ECHO_SECONDS


def _adopt_url(first: bool, page: str = "") -> None:
    """Take model, data, criterion, view and mask from the link; what does not fit is named in a notice."""
    here, session, problems = st.query_params, st.session_state["session"], []
    fresh = Session()
    changes: dict[str, Any] = {name: here.get(name) or getattr(fresh, name) for name in ("model", "criterion")}
    changes["data"] = here.get("data") or default_data(changes["model"])
    with suppress(PruningError):  # what cannot be read says why where it is used
        changes["data"] = source_of(changes["data"])
    if changes["criterion"] not in criteria():
        problems.append(tr("there is no criterion {name!r}", name=changes["criterion"][:40]))
        changes["criterion"] = session.criterion
    changes |= _view_of(here, changes["criterion"], problems)
    pages = ON_PAGE if first else [page]
    changes |= {name: here.get(name) or getattr(fresh, name) for one in pages for name in ON_PAGE.get(one, ())}
    changes["language"] = here.get("lang") or fresh.language
    if changes["language"] not in ("", *LANGUAGES):
        problems.append(_wrong("lang", LANGUAGES, changes["language"]))
        changes["language"] = fresh.language
    changes["compensation"] = here.get("keep") or fresh.compensation
    if changes["compensation"] not in COMPENSATIONS:
        problems.append(_wrong("keep", COMPENSATIONS, changes["compensation"]))
        changes["compensation"] = fresh.compensation
    try:
        mask = Mask.from_code(here.get("mask", ""))
        changes["history"] = History(mask) if first else session.history.edit(mask)
    except MaskError as error:
        now = WRONG_MASK_LEFT if session.mask else WRONG_MASK  # a link that is edited by hand changes nothing
        problems.append(tr(now, problem=error, example=EXAMPLE.to_code(), heads=EXAMPLE.format_heads()))
    st.session_state["session"] = replace(session, **changes)
    st.session_state.pop("notice", None)
    if problems:
        st.session_state["notice"] = tr("The link does not fit: {problems}.", problems="; ".join(problems))


def _wrong(name: str, allowed: Iterable[str], value: str) -> str:
    """What a link says that it cannot."""
    return tr("{name} is {allowed}, not {value!r}", name=name, allowed=tr(" or ").join(allowed), value=value[:40])


def _view_of(here: Mapping[str, str], criterion: str, problems: list[str]) -> dict[str, Any]:
    """Scope, normalisation and labels from the link; what does not fit, alone or together, is at its default."""
    found = {name: here.get(name) or getattr(Session, name) for name in CHOICES}
    for name, value in found.items():
        if value not in CHOICES[name]:
            problems.append(_wrong(name, CHOICES[name], value))
            found[name] = getattr(Session, name)
    if (scope := found["scope"]) not in get_criterion(criterion).scopes:
        problems.append(tr("{criterion} is not defined for {scope}", criterion=criterion, scope=tr(scope)))
        found["scope"] = Session.scope
    try:
        get_normalisation(found["normalise"], get_scope(found["scope"]))
    except PruningError as error:
        problems.append(str(error))
        found["normalise"] = Session.normalise
    return found


def notice() -> str:
    """A sentence about the link, shown until the next change; or nothing."""
    return st.session_state.get("notice", "")


def data_label(data: str) -> str:
    """How data is called: what somebody brought has the name of its file."""
    if is_source(data):
        with suppress(PruningError):
            return find_source(data).name
    return tr(BUILT_IN_DATA[data].label) if data in BUILT_IN_DATA else data


def model_label(model: str) -> str:
    """How the picker calls a model; one that would have to be installed first says so."""
    if model not in BUILT_IN:
        return model
    label = tr(BUILT_IN[model].label)
    return label if BUILT_IN[model].present else tr("{model} (not installed)", model=label)


def default_data(model: str) -> str:
    """The data that a model is shown with where nobody has picked any."""
    return BUILT_IN[model].data if model in BUILT_IN else Session.data


def fits(data: str, task: str | None) -> bool:
    """Whether a kind of task can be measured on that data; nothing is known of what is only named."""
    if task is not None and is_source(data):
        with suppress(PruningError):
            return task in find_source(data).tasks
    return task is None or data not in BUILT_IN_DATA or task in BUILT_IN_DATA[data].tasks
