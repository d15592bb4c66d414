"""Find a plan, the form: what may go, how it is chosen, and what is asked of the result."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.anatomy import Anatomy
from pruning.importance import get_criterion
from pruning.language import mark, tr
from pruning.scopes import Scope
from pruning.search import get_strategy, strategies
from ui import state
from ui.controls import mirror_key, on_move
from ui.plan_search import find, find_guaranteed
from ui.store import store
from ui.theme import plain
from ui.wishes import POINTS, SHARES, Wish, budget_kinds, fitted, kind_name, scope_choices

if TYPE_CHECKING:
    from pruning.models import LoadedModel


def plan_form(model: LoadedModel | None) -> None:
    """The form, closed at first."""
    with st.expander(tr("Find a plan")):
        if model is None:
            st.caption(tr("Plans are made when the model is there."))
            return
        if model.anatomy.support != "prune":
            text = mark("Nothing can be cut out of this model: {reason}.")
            st.caption(plain(tr(text, reason=model.anatomy.reason)))
            return
        wish = fitted(st.session_state.get("wish", Wish()), model.anatomy, state.current().criterion)
        st.session_state["wish"] = wish
        _what(wish, model.anatomy)
        _protected(wish, model.anatomy)
        _budget_row(wish, model)
        _guarantee_row(wish)


def _what(wish: Wish, anatomy: Anatomy) -> None:
    criterion = state.current().criterion
    usable = [name for name in strategies() if scope_choices(anatomy, name, criterion)]
    scopes = scope_choices(anatomy, wish.strategy, criterion)
    left, right = st.columns(2)
    with left:
        _choice(
            st.selectbox, tr("Strategy"), usable, wish.strategy, "strategy", lambda name: tr(get_strategy(name).label)
        )
    with right:
        _choice(st.selectbox, tr("What may go"), scopes, wish.scopes, "scopes", scopes_name)
    chosen = get_strategy(wish.strategy)
    ranks = tr(chosen.measure) if chosen.measure else tr(get_criterion(criterion).label).lower()
    how = tr("Cost: {cost}. It ranks by {measure}.", cost=tr(chosen.cost), measure=ranks)
    st.caption(f"{tr(chosen.about)} {how}")


def _protected(wish: Wish, anatomy: Anatomy) -> None:
    left, right = st.columns(2)
    with left:
        _choice(
            st.multiselect,
            tr("Layers that stay"),
            range(len(anatomy.layers)),
            wish.layers,
            "layers",
            lambda i: tr("Layer {n}", n=i),
            placeholder=tr("None in particular"),
        )
    key = mirror_key("wish_heads", wish.heads)
    right.text_input(
        tr("Heads that stay"),
        wish.heads,
        key=key,
        placeholder="0:3, 1:2-4",
        help=tr('As layer:head, both from 0, like "0:3, 1:2" or "1:0-3".'),
        on_change=on_move("wish_heads", key, lambda text: _wish("heads", text)),
    )


def _budget_row(wish: Wish, model: LoadedModel) -> None:
    kind, share, act = st.columns([2, 3, 2], vertical_alignment="bottom")
    with kind:
        _choice(
            st.selectbox,
            tr("Budget"),
            budget_kinds(wish.scopes),
            wish.kind,
            "kind",
            lambda kind: kind_name(kind)[:1].upper() + kind_name(kind)[1:],
        )
    with share:
        _choice(st.select_slider, tr("Keep at most"), SHARES, wish.keep, "keep", lambda percent: f"{percent}%")
    act.button(tr("Find a plan"), type="primary", on_click=find, width="stretch")
    if wish.kind == "latency" and not store().plans.table(model):
        st.caption(tr("Latency is measured once on this computer, with inputs of 128 tokens; that takes some time."))


def _guarantee_row(wish: Wish) -> None:
    task = store().request_model(state.current().model).task
    if task == "language-modeling":
        text = mark("A language model has no right and wrong answers, so no loss of accuracy can be guaranteed.")
        st.caption(tr(text))
        return
    points, act = st.columns([5, 4], vertical_alignment="bottom")
    with points:
        _choice(
            st.select_slider,
            tr("Lose at most"),
            POINTS,
            wish.points,
            "points",
            lambda value: tr("{value} points", value=f"{value:g}"),
            help=tr(
                "Of accuracy, with 95% confidence: four in ten of the calibration rows are kept apart from the search "
                "to confirm it, with zero in the place of what is removed."
            ),
        )
    act.button(tr("Find the smallest model"), on_click=find_guaranteed, width="stretch")


def scopes_name(scopes: tuple[Scope, ...]) -> str:
    """What may go, in the menu."""
    return tr(" and ").join(tr(scope) for scope in scopes).capitalize()


def _choice(
    widget: Callable[..., Any],
    label: str,
    options: Any,
    shown: Any,
    name: str,
    words: Callable[[Any], str],
    **more: Any,
) -> None:
    """One field of the form: any widget that offers options."""
    key = mirror_key(f"wish_{name}", (tuple(options), shown))

    def act(value: Any) -> Hashable:
        kept = tuple(value) if isinstance(value, list) else value
        _wish(name, kept)
        return tuple(options), kept

    if widget is st.selectbox:
        more["index"] = list(options).index(shown)
    else:
        more["default" if widget is st.multiselect else "value"] = shown
    widget(label, options, key=key, format_func=words, on_change=on_move(f"wish_{name}", key, act), **more)


def _wish(name: str, value: Any) -> Hashable:
    st.session_state["wish"] = replace(st.session_state.get("wish", Wish()), **{name: value})
    return value
