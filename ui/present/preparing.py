"""What a presenter prepares with: what goes, prices, all steps beforehand, the table, and the file for afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pruning.language import mark, tr
from pruning.presenting.figures import figures
from pruning.presenting.prices import CURRENCIES, LIMITS, Prices
from ui import state
from ui.controls import mirror_key, on_move
from ui.present.choice import KINDS, Choice, Kind, has_neurons
from ui.present.sharing import take_away
from ui.present.stage import Scene, timed
from ui.present.wish import Wish, measure_every_step, measured_steps
from ui.present.words import table
from ui.theme import Theme

if TYPE_CHECKING:
    from pruning.models import LoadedModel

FORMULA = mark(
    "Hours of a million requests = milliseconds of one / 3.6. Cost = hours × price of an hour. Energy in kWh = hours × "
    "watts / 1,000. CO2e in kg = energy × grams of a kilowatt-hour / 1,000."
)


def prepare(wished: Wish, scene: Scene, model: LoadedModel | None, theme: Theme) -> None:
    """All that the room does not see in full screen."""
    st.divider()
    with st.container(horizontal=True):
        with st.popover(tr("What goes"), help=tr("Heads alone, heads and neurons together, or the mask of Prune.")):
            _kind(wished, model)
        with st.popover(
            tr("Prices"), help=tr("What cost, energy and carbon are computed from; none of it is measured.")
        ):
            _prices(wished.prices)
        _all_steps(wished, model)
        take_away(wished, scene, model, theme)
    if scene.found is not None:
        with st.expander(tr("As a table")):
            _table(scene)


def _all_steps(wished: Wish, model: LoadedModel | None) -> None:
    """The button that measures them; it says when there is nothing left to do."""
    slider = model is not None and wished.choice.kind != "mask" and wished.problem is None
    done = slider and model is not None and measured_steps(wished, model, state.current().data) == len(wished.steps)
    st.button(
        tr("Every step is measured") if done else tr("Measure every step"), disabled=not slider or done,
        on_click=_every, args=(wished, model), wrap=False, key="present_every",
        help=tr("Before the talk: all steps of the slider one after the other, so that each answers at once."),
    )  # fmt: skip


def _every(wished: Wish, model: LoadedModel) -> None:
    measure_every_step(wished, model, state.current().data)


def _kind(wished: Wish, model: LoadedModel | None) -> None:
    kinds: list[Kind] = ["heads"]
    if model is None or has_neurons(model.anatomy):
        kinds.append("macs")
    if wished.own:
        kinds.append("mask")
    shown = wished.choice.kind
    key = mirror_key("present_kind", shown)

    def act(kind: object) -> object:
        choice = Choice("mask", 0) if kind == "mask" else Choice(kind, wished.choice.percent or 40)  # type: ignore[arg-type]
        state.update(share=choice.to_code())
        return kind

    st.radio(
        tr("What goes"), kinds, kinds.index(shown) if shown in kinds else 0, key=key,
        format_func=lambda kind: tr(KINDS[kind]), on_change=on_move("present_kind", key, act),
        help=tr("Heads: the default strategy. Compute: heads and neurons together, by their Fisher information."),
    )  # fmt: skip


# Prices ----------------------------------------------------------------------------------------------------------


def _prices(prices: Prices) -> None:
    """Every price with its unit; a change goes into the link."""
    st.markdown(tr("These are assumptions: put in your own."))
    left, right = st.columns(2)
    with left:
        _number(prices, "hour", tr("Price of an hour"), tr("Of the instance that answers, in the currency beside it."))
        _number(prices, "watts", tr("Power, watts"), tr("What the instance draws while it answers."))
        _number(
            prices, "tokens", tr("Length of a request, tokens"),
            tr("Sizes and times are of such a request; models of images get one image. Another length is "
               "measured anew."),
        )  # fmt: skip
    with right:
        _currency(prices)
        _number(
            prices, "carbon", tr("CO2e of a kilowatt-hour, grams"),
            tr("As your supplier states it. At 0 nothing is said of carbon."),
        )  # fmt: skip
    st.caption(tr("One instance answers one request after the other, all the time."))
    st.caption(tr(FORMULA))


def _number(prices: Prices, name: str, label: str, about: str) -> None:
    value: float = getattr(prices, name)
    key = mirror_key(f"present_{name}", value)
    whole = isinstance(value, int)
    kind: type[Any] = int if whole else float
    least, most = map(kind, LIMITS[name])
    step = kind(16 if whole else 0.05 if name == "hour" else 5)

    def act(wanted: Any) -> float:
        kept: float = value if wanted is None else wanted
        changed: dict[str, Any] = {name: kept}
        _keep(replace(prices, **changed))
        return kept

    st.number_input(
        label, least, most, value, step, key=key, on_change=on_move(f"present_{name}", key, act), help=about,
        format="%d" if whole else "%g",
    )  # fmt: skip


def _currency(prices: Prices) -> None:
    names = list(CURRENCIES)
    key = mirror_key("present_currency", prices.currency)

    def act(name: object) -> object:
        _keep(replace(prices, currency=str(name)))
        return name

    st.selectbox(
        tr("Currency"), names, names.index(prices.currency), key=key,
        format_func=lambda name: f"{name} {CURRENCIES[name]}", on_change=on_move("present_currency", key, act),
        help=tr("The sign alone: nothing is converted."),
    )  # fmt: skip


def _keep(prices: Prices) -> None:
    state.update(prices=prices.to_code())


def _table(scene: Scene) -> None:
    assert scene.found is not None
    rows = pd.DataFrame(table(figures(scene.found, scene.prices)))
    names = {
        "what": tr("What"), "before": tr("Before"), "after": tr("After"), "change": tr("Change"),
        "source": tr("Where it comes from"),
    }  # fmt: skip
    st.dataframe(rows, hide_index=True, column_config={key: st.column_config.TextColumn(v) for key, v in names.items()})
    if text := timed(scene):
        st.caption(text)
