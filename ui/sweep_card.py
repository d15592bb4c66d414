"""The point of a sweep that was picked: what it removes, what that saves and costs, and where it can be opened."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from pruning.language import tr
from pruning.masks import Mask
from pruning.scopes import units_of
from ui import scenarios, state
from ui import theme as look
from ui.compare.picks import MASK, Pick
from ui.naming import names_of
from ui.removed import count_words
from ui.store import store
from ui.sweeps import Swept
from ui.tradeoff_text import KEPT, SAVED, change_text, line_label, value_text, whole_row


@dataclass(frozen=True)
class Place:
    """Where a sweep is drawn, and what it is of.

    Attributes:
        key: Begins the keys of all controls.
        model, data: As the menus call them.
        names: Of the model's attention sites; empty to ask the model that is in use.
        here: Whether that is the model in use, so that latency can be measured.
    """

    key: str
    model: str
    data: str
    names: tuple[str, ...] = ()
    here: bool = True


def place_here() -> Place:
    """The Trade-off page, which draws what the session looks at."""
    session = state.current()
    return Place("tradeoff", session.model, session.data)


def chosen_row(swept: Swept, place: Place) -> int | None:
    """The position of the row that was picked in this sweep: rows are only ever added."""
    about, row = st.session_state.get(f"{place.key}_row", (None, None))
    return row if about == (swept.settings,) and row is not None and row < len(swept.rows) else None


def choose(swept: Swept, row: int, place: Place) -> None:
    st.session_state[f"{place.key}_row"] = ((swept.settings,), row)


def draw_card(swept: Swept, table: pd.DataFrame, place: Place) -> None:
    """What the chosen plan removes, what that saves and costs, and the ways to Prune and Compare."""
    position = chosen_row(swept, place)
    if position is None:
        st.caption(tr("Click a point of the chart, or pick a row of the table, to see what it removes."))
        return
    row, whole = table.loc[position], whole_row(table)
    mask = Mask.from_code(row["mask"])
    with st.container(border=True):
        label = line_label(row["strategy"], row["criterion"], row["compensation"])
        units = tr(SAVED.get(row["budget"], SAVED["parameters"]))
        most = tr("no more than {share:.0%} of the {units} left", share=row["share"], units=units)
        st.markdown(f"**{label}** · {most}")
        kept = "perplexity" if "perplexity" in table else "accuracy"
        figures = {
            tr(KEPT[kept]): (value_text(row, kept), tr("{change}, paired", change=change_text(row, kept))),
            tr("Size"): (look.parameters(int(row["parameters"])), _saved(row, whole, "parameters")),
            tr("Work"): (look.macs(int(row["macs"])), _saved(row, whole, "macs")),
        }
        if not pd.isna(row["latency_ms"]):
            figures[tr("Latency")] = (look.milliseconds(float(row["latency_ms"])), _saved(row, whole, "latency_ms"))
        if "worse" in row and not pd.isna(row["worse"]):
            worse, better = int(row["worse"]), int(row["better"])
            flips = tr("{worse} became wrong, {better} became right", worse=worse, better=better)
            figures[tr("Answers")] = (tr("{n} of {total:,} flipped", n=worse + better, total=row["samples"]), flips)
        for column, (name, (value, change)) in zip(st.columns(len(figures)), figures.items(), strict=True):
            column.markdown(f"{name}  \n**{value.partition(' (')[0]}**")
            column.caption(f"({value.partition(' (')[2]}  \n{change}" if " (" in value else change)
        st.markdown(removed_text(mask, _names(mask, place)))
        _open_buttons(mask, str(row["compensation"]), place)


def _saved(row: pd.Series, whole: pd.Series, name: str) -> str:
    share = f"{100 * (row[name] / whole[name] - 1):.1f}%".replace("-", look.MINUS)
    return tr("{share} if really cut", share=share)


def _names(mask: Mask, place: Place) -> list[str]:
    if place.names:
        return list(place.names)
    loading = store().request_model(place.model)
    count = 1 + max((head.site for head in mask.heads), default=-1)
    return names_of(loading.model.anatomy if loading.model else None, count)


def removed_text(mask: Mask, names: list[str]) -> str:
    """Heads by site, and how many neurons of each block.

    >>> removed_text(Mask.parse_heads("0:1,0:3,2:5"), ["Layer 0", "Layer 1", "Layer 2"])
    'Removes 3 heads: **Layer 0** 1, 3 · **Layer 2** 5'
    """
    parts = []
    for scope in ("heads", "neurons"):
        units = sorted(units_of(mask, scope))  # type: ignore[arg-type]
        where: dict[int, list[int]] = {}
        for part, unit in units:
            where.setdefault(part, []).append(unit)
        if scope == "heads":
            lists = [f"**{names[part]}** {', '.join(map(str, found))}" for part, found in where.items()]
        else:
            lists = [f"**{tr('Block {n}', n=part)}** {len(found):,}" for part, found in where.items()]
        if units:
            words = count_words(len(units), scope)  # type: ignore[arg-type]
            parts.append(tr("Removes {parts}: {lists}", parts=words, lists=" · ".join(lists)))
    return "  \n".join(parts) or tr("Removes nothing.")


def _open_buttons(mask: Mask, compensation: str, place: Place) -> None:
    def open_plan() -> None:
        criterion = state.current().criterion
        scenarios.reopen(scenarios.Scenario("", place.model, place.data, criterion, mask, compensation))

    def open_sides() -> None:
        side = Pick(MASK, mask, compensation if mask else "none")
        state.update(model=place.model, data=place.data)
        state.update(a=state.Session.a, b=side.code)

    with st.container(horizontal=True):
        if st.button(tr("Open in Prune"), type="primary", key=f"{place.key}_prune", on_click=open_plan):
            st.switch_page("pages/prune.py")
        about = tr("Beside the unpruned model: predictions, domains, cost.")
        if st.button(tr("Open in Compare"), key=f"{place.key}_compare", on_click=open_sides, help=about):
            st.switch_page("pages/compare.py")
