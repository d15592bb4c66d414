"""The mask's history as an algebra, and what the link says."""

from __future__ import annotations

from dataclasses import fields
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.importance import criteria, get_criterion
from pruning.importance.normalising import NORMALISATIONS
from pruning.masks import HeadId, Mask
from pruning.plan import COMPENSATIONS
from pruning.scopes import SCOPES
from ui import state
from ui.state import HISTORY_LIMIT, History, Session, url_parameters

masks = st.builds(Mask, st.frozensets(st.builds(HeadId, st.integers(0, 30), st.integers(0, 30)), max_size=12))
moves = st.one_of(st.sampled_from(["undo", "redo"]), masks)


def after(history: History, steps: list[Any]) -> History:
    for step in steps:
        history = history.edit(step) if isinstance(step, Mask) else getattr(history, step)()
    return history


histories = st.builds(after, st.builds(History, masks), st.lists(moves, max_size=20))


@given(histories, masks)
def test_undo_takes_an_edit_back_and_redo_makes_it_again(history: History, mask: Mask) -> None:
    edited = history.edit(mask)
    assert edited.mask == mask
    if mask != history.mask:
        assert edited.undo().mask == history.mask
        assert edited.undo().redo() == edited


@given(histories)
def test_undo_then_redo_is_identity_and_the_other_way_round(history: History) -> None:
    assert not history.past or history.undo().redo() == history
    assert not history.future or history.redo().undo() == history


@given(histories)
def test_at_the_ends_nothing_moves(history: History) -> None:
    first, last = (after(history, [name] * (HISTORY_LIMIT + 1)) for name in ("undo", "redo"))
    assert first.undo() == first
    assert last.redo() == last
    assert not first.past
    assert not last.future


@given(histories, masks)
def test_an_edit_drops_what_was_undone_unless_it_changes_nothing(history: History, mask: Mask) -> None:
    edited = history.edit(mask)
    if mask == history.mask:
        assert edited is history
    else:
        assert edited.future == ()
        assert edited.past == (*history.past, history.mask)


@given(histories)
def test_all_undone_and_redone_is_where_it_was(history: History) -> None:
    count = len(history.past)
    assert after(history, ["undo"] * count + ["redo"] * count) == history


def test_the_history_is_bounded() -> None:
    heads = [Mask(frozenset({HeadId(0, i)})) for i in range(HISTORY_LIMIT + 20)]
    history = after(History(), heads)
    assert len(history.past) == HISTORY_LIMIT
    assert after(history, ["undo"] * HISTORY_LIMIT).mask == heads[19]


# The link ---------------------------------------------------------------------------------------------------------


class FakeStreamlit:
    """As much of streamlit as the state needs."""

    def __init__(self, **parameters: str) -> None:
        self.session_state: dict[str, Any] = {}
        self.query_params = FakeParameters(parameters)


class FakeParameters(dict):
    def from_dict(self, wanted: dict[str, str]) -> None:
        self.clear()
        self.update(wanted)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(state.time, "monotonic", lambda: now[0])
    return now


def opened(monkeypatch: pytest.MonkeyPatch, **parameters: str) -> FakeStreamlit:
    """A session that has been opened with a link and has drawn its page once."""
    fake = FakeStreamlit(**parameters)
    monkeypatch.setattr(state, "st", fake)
    state.sync_url("Prune")
    return fake


ONE, TWO = Mask.parse_heads("0:1"), Mask.parse_heads("0:1,2:3")


def test_a_session_at_its_defaults_needs_no_parameters() -> None:
    assert url_parameters(Session()) == {}


@given(
    model=st.text(min_size=1, max_size=40), data=st.text(min_size=1, max_size=40),
    criterion=st.sampled_from(sorted(criteria())), mask=masks,
)  # fmt: skip
def test_a_link_brings_back_what_it_was_made_from(model: str, data: str, criterion: str, mask: Mask) -> None:
    session = Session(model, data, criterion, History(mask))
    with pytest.MonkeyPatch.context() as monkeypatch:
        fake = opened(monkeypatch, **url_parameters(session))
        assert state.current() == session
        assert "notice" not in fake.session_state
        assert dict(fake.query_params) == url_parameters(session)


def test_an_edit_is_written_into_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = opened(monkeypatch)
    state.edit_mask(ONE)
    state.update(criterion="entropy")
    state.sync_url("Prune")
    assert dict(fake.query_params) == {"mask": ONE.to_code(), "criterion": "entropy"}


def test_a_late_echo_of_the_link_does_not_undo_an_edit(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    fake = opened(monkeypatch, mask=ONE.to_code())
    state.edit_mask(TWO)
    state.sync_url("Prune")
    fake.query_params.from_dict({"mask": ONE.to_code()})  # a run that the browser sent before it had the new link
    clock[0] += 1
    state.sync_url("Prune")
    assert state.current().mask == TWO
    assert dict(fake.query_params) == {"mask": TWO.to_code()}


def test_going_back_undoes_an_edit(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    fake = opened(monkeypatch, mask=ONE.to_code())
    state.edit_mask(TWO)
    state.sync_url("Prune")
    clock[0] += 1
    state.sync_url("Prune")  # the browser shows the new link
    fake.query_params.from_dict({"mask": ONE.to_code()})
    clock[0] += 1
    state.sync_url("Prune")
    assert state.current().mask == ONE
    assert state.current().history.undo().mask == TWO


def test_a_click_in_the_navigation_keeps_the_state(monkeypatch: pytest.MonkeyPatch, clock: list[float]) -> None:
    fake = opened(monkeypatch, mask=ONE.to_code())
    clock[0] += 60
    fake.query_params.from_dict({})
    state.sync_url("Explore")
    assert state.current().mask == ONE
    assert dict(fake.query_params) == {"mask": ONE.to_code()}


EXAMPLE = "a code looks like BgMF, which removes heads 0:3,2:5; nothing is removed now"


@pytest.mark.parametrize(
    ("parameters", "notice"),
    [
        ({"mask": "!!"}, f"the mask code in the link is damaged, because '!' cannot be in one ({EXAMPLE})"),
        (
            {"mask": "garbage"},
            f"the mask code in the link is damaged, because it holds a number beyond any model ({EXAMPLE})",
        ),
        (
            {"mask": "a.b.c.d"},
            f"the mask code in the link is damaged, because it has more than three parts ({EXAMPLE})",
        ),
        ({"mask": "BgMF_"}, f"the mask code in the link is cut short ({EXAMPLE})"),
        ({"criterion": "fame"}, "there is no criterion 'fame'"),
        (
            {"mask": "____w", "criterion": "fame"},
            f"there is no criterion 'fame'; the mask code in the link is cut short ({EXAMPLE})",
        ),
        ({"criterion": "x" * 500}, f"there is no criterion '{'x' * 40}'"),
    ],
)
def test_a_wrong_link_gives_one_sentence_until_the_next_edit(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str], notice: str
) -> None:
    fake = opened(monkeypatch, **parameters)
    assert state.current() == Session()
    state.sync_url("Prune")  # another run, before anyone could have read it
    assert state.notice() == f"The link does not fit: {notice}."
    state.edit_mask(ONE)
    assert state.notice() == ""
    assert dict(fake.query_params) == {}


def test_another_model_begins_with_an_empty_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(monkeypatch, mask=ONE.to_code())
    state.update(data="tweets")
    assert state.current().mask == ONE
    state.update(model="another/model")
    assert state.current().history == History()


# The link as a whole ---------------------------------------------------------------------------------------------

views = st.tuples(st.sampled_from(sorted(criteria())), st.sampled_from(SCOPES), st.sampled_from(sorted(NORMALISATIONS)))
links = st.builds(
    lambda view, **given: Session(criterion=view[0], scope=view[1], normalise=view[2], **given),
    views.filter(
        lambda v: v[1] in get_criterion(v[0]).scopes and not (v[1] == "layers" and NORMALISATIONS[v[2]].by_part)
    ),
    model=st.sampled_from(["demo", "digits", "/a folder/with ünusual&signs?", "owner/name"]),
    data=st.sampled_from(["demo", "tweets", "own-0123456789abcdef", "my rows.csv"]),
    history=st.builds(History, masks),
    labels=st.sampled_from(["given", "predicted"]),
    compensation=st.sampled_from(COMPENSATIONS),
    head=st.sampled_from(["0.0", "3.7", "47.63"]),
    a=st.sampled_from(["whole", "now", "mask.none.AAQC"]),
    b=st.sampled_from(["whole", "now", "by-random.mean.AAQC"]),
)


@given(links, st.sampled_from(["Home", "Prune", *state.ON_PAGE]))
def test_a_link_opened_elsewhere_shows_the_same(session: Session, page: str) -> None:
    query = urlencode(url_parameters(session, page))
    browser = SimpleNamespace(session_state={}, query_params=dict(parse_qsl(query)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "st", browser)
        opened = state.current()
    assert "notice" not in browser.session_state
    assert url_parameters(opened, page) == url_parameters(session, page)
    of_other_pages = {name for one in state.ON_PAGE if one != page for name in state.ON_PAGE[one]}
    for field in fields(Session):
        if field.name not in of_other_pages:
            assert getattr(opened, field.name) == getattr(session, field.name), field.name
