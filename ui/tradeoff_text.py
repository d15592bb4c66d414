"""The trade-off in words: labels of lines, figures of a point, and what the chart says. Pure.

The tables are those of `pruning.sweep`; the row whose mask removes nothing is the whole model.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pruning.importance import get_criterion
from pruning.language import listing, mark, tr
from pruning.masks import Mask
from pruning.search import get_strategy
from pruning.statistics import Estimate
from ui import theme as look

Key = tuple[str, str, str]  # what makes a line
KEY = ("strategy", "criterion", "compensation")
SAVED = {
    "heads": mark("heads"),
    "neurons": mark("neurons"),
    "layers": mark("layers"),
    "parameters": mark("parameters"),
    "macs": mark("MACs"),
    "latency_ms": mark("latency"),
}
KEPT = {"accuracy": mark("Accuracy"), "loss": mark("Loss"), "perplexity": mark("Perplexity")}
REPLACEMENTS = {
    "none": mark("Nothing"),
    "mean": mark("Means"),
    "reconstruct": mark("Reconstruction"),
}  # by the compensation's name
WHOLE = Mask().to_code()
CONTROLS = ("random", "reversed")  # lines to compare with; no finding is made of them
BANDS_UP_TO, LINES_AT_FIRST = 3, 5  # more bands than that are one grey cloud
CHEAP_POINTS, CHEAP_SHARE = 0.01, 0.05  # of accuracy, and of a loss, that the title calls cheap


def keys_of(table: pd.DataFrame) -> list[Key]:
    """The lines of a table in the order of its rows."""
    rows = table[list(KEY)].drop_duplicates()
    return list(rows.itertuples(index=False, name=None))


def line_label(strategy: str, criterion: str, compensation: str) -> str:
    """All that makes a line, in words."""
    return label_among((strategy, criterion, compensation), [])


def label_among(key: Key, keys: Sequence[Key]) -> str:
    """Only what differs among ``keys``; everything where there are none to compare with."""
    strategy, criterion, compensation = key
    varied = [len({k[i] for k in keys}) > 1 or not keys for i in range(3)]
    own = get_strategy(strategy).measure
    parts = [] if own else [tr(get_criterion(criterion).label)]
    parts += [tr(get_strategy(strategy).label)] if varied[0] or own else []
    suffix = f" + {tr(REPLACEMENTS[compensation]).lower()}" if varied[2] and compensation != "none" else ""
    return listing(parts) + suffix


def with_shares(table: pd.DataFrame, saved: str, kept: str) -> pd.DataFrame:
    """The table with ``x`` and ``y``, ``low`` and ``high`` as they are drawn: percent, or the metric's own unit."""
    whole = whole_row(table)
    factor = 100 if kept == "accuracy" else 1
    columns = {"x": 100 * table[saved] / whole[saved]}
    columns |= {name: factor * table[f"{kept}{end}"] for name, end in (("y", ""), ("low", "_low"), ("high", "_high"))}
    return table.assign(**columns)


def whole_row(table: pd.DataFrame) -> pd.Series:
    """The row of the whole model, which every sweep begins with."""
    return table[table["mask"] == WHOLE].iloc[0]


def estimate_of(row: pd.Series, name: str) -> Estimate | None:
    """A figure of a row with its interval; ``None`` where it has none."""
    if name not in row or pd.isna(row[name]):
        return None
    return Estimate(*(float(row[f"{name}{end}"]) for end in ("", "_low", "_high")))


def value_text(row: pd.Series, kept: str) -> str:
    text = look.proportion if kept == "accuracy" else look.measured
    return text(estimate_of(row, kept), count=int(row["samples"]))


def change_text(row: pd.Series, kept: str) -> str:
    """The paired difference with the whole model; perplexities are compared through the loss."""
    name = "loss" if kept == "perplexity" else kept
    change = estimate_of(row, f"{name}_change")
    return look.points(change) if name == "accuracy" else tr("{change} of loss", change=look.difference(change))


def hover_text(row: pd.Series, saved: str, kept: str) -> str:
    """All figures of a point."""
    label = line_label(row["strategy"], row["criterion"], row["compensation"])
    figures = [look.parameters(int(row["parameters"])), look.macs(int(row["macs"]))]
    if not pd.isna(row.get("latency_ms")):
        figures.append(look.milliseconds(float(row["latency_ms"])))
    if row["criterion"] == "random":
        label = tr("{way}, seed {seed}", way=label, seed=row["seed"])
    lines = [
        f"<b>{label}</b>",
        tr("{share} of the {units} left", share=f"{row['x']:.0f}%", units=tr(SAVED[saved])),
        f"{tr(KEPT[kept])} {value_text(row, kept)}",
        tr("{change} against the whole model", change=change_text(row, kept)),
        listing(figures),
    ]
    return "<br>".join(lines)


def finding(table: pd.DataFrame, saved: str, kept: str) -> tuple[str, str]:
    """What the chart says, for its title, and the plan that shows it: the smallest that is still cheap."""
    table = with_shares(table, saved, kept)
    whole = whole_row(table)
    plans = table[(table["mask"] != WHOLE) & ~table["criterion"].isin(CONTROLS)]
    if plans.empty:
        return "", ""
    if kept == "accuracy":
        cost, limit = whole["accuracy"] - plans["accuracy"], CHEAP_POINTS
    else:
        cost, limit = plans[kept] / whole[kept] - 1, CHEAP_SHARE
    cheap = plans[cost <= limit + 1e-9]
    name, metric = tr(SAVED[saved]), tr(KEPT[kept]).lower()
    if cheap.empty:
        if kept == "accuracy":
            return tr("Every cut that was measured costs more than 1 point of accuracy"), ""
        return tr("Every cut that was measured costs more than 5% more {metric}", metric=metric), ""
    best = cheap.loc[cheap.sort_values(["x", "y"], ascending=[True, kept != "accuracy"]).index[0]]
    share, price = f"{100 - best['x']:.0f}%", 100 * float(cost.loc[best.name])
    label = label_among((best["strategy"], best["criterion"], best["compensation"]), keys_of(table))
    shown = f"{label}: {change_text(best, kept)}"
    free = round(price, 1) <= 0
    if kept == "accuracy":
        text = mark("{share} of the {units} can go for {price:.1f} points")
        text = mark("{share} of the {units} can go without losing accuracy") if free else text
        return tr(text, share=share, units=name, price=price), shown
    text = mark("{share} of the {units} can go for {price:.1f}% more {metric}")
    text = mark("{share} of the {units} can go without more {metric}") if free else text
    return tr(text, share=share, units=name, price=price, metric=metric), shown


def subtitle(table: pd.DataFrame, shown: str, data: str, kept: bool) -> str:
    """The plan of the title, then what was measured on what, and what the bands are."""
    row, keys = table.iloc[0], keys_of(table)
    place = tr("{what} in its place", what=tr(REPLACEMENTS[row["compensation"]]).lower())
    same = [
        tr(get_strategy(row["strategy"]).label) if len({key[0] for key in keys}) == 1 else "",
        place if len({key[2] for key in keys}) == 1 else "",
    ]
    what = listing([*filter(None, same), data, f"n = {row['samples']:,}"])
    bands = tr("bands: 95% intervals") if len(keys) <= BANDS_UP_TO else tr("bars: 95% intervals")
    if table.groupby(list(KEY))["seed"].nunique().max() > 1:
        bands = tr("{bands}; of random orders, worst to best", bands=bands)
    made = tr("measured on {date}", date=table["made"].max()) if kept else ""
    return " · ".join(filter(None, [shown, what, bands, made]))


def describe_tradeoff(table: pd.DataFrame, saved: str, kept: str) -> str:
    """What the chart shows, for people who cannot see it."""
    title, shown = finding(table, saved, kept)
    keys = keys_of(table)
    labels = "; ".join(label_among(key, keys) for key in keys)
    text = mark("{metric} against the {units} that are left. {title}. {shown} Lines: {labels}.")
    found = tr(text, metric=tr(KEPT[kept]), units=tr(SAVED[saved]), title=title, shown=shown, labels=labels)
    return found.replace("..", ".")
