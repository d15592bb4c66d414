"""The trade-off in words: labels of lines, figures of a point, and what the chart says. Pure.

The tables are those of `pruning.sweep`; the row whose mask removes nothing is the whole model.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pruning.importance import get_criterion
from pruning.masks import Mask
from pruning.search import get_strategy
from pruning.statistics import Estimate
from ui import theme as look

Key = tuple[str, str, str]  # what makes a line
KEY = ("strategy", "criterion", "compensation")
SAVED = {
    "heads": "heads",
    "neurons": "neurons",
    "layers": "layers",
    "parameters": "parameters",
    "macs": "MACs",
    "latency_ms": "latency",
}
KEPT = {"accuracy": "Accuracy", "loss": "Loss", "perplexity": "Perplexity"}
REPLACEMENTS = {"none": "Nothing", "mean": "Means", "reconstruct": "Reconstruction"}  # by the compensation's name
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
    parts = [] if own else [get_criterion(criterion).label]
    parts += [get_strategy(strategy).label] if varied[0] or own else []
    suffix = f" + {REPLACEMENTS[compensation].lower()}" if varied[2] and compensation != "none" else ""
    return ", ".join(parts) + suffix


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
    return look.points(change) if name == "accuracy" else f"{look.difference(change)} of loss"


def hover_text(row: pd.Series, saved: str, kept: str) -> str:
    """All figures of a point."""
    label = line_label(row["strategy"], row["criterion"], row["compensation"])
    figures = [look.parameters(int(row["parameters"])), look.macs(int(row["macs"]))]
    if not pd.isna(row.get("latency_ms")):
        figures.append(look.milliseconds(float(row["latency_ms"])))
    seed = f", seed {row['seed']}" if row["criterion"] == "random" else ""
    lines = [
        f"<b>{label}{seed}</b>",
        f"{row['x']:.0f}% of the {SAVED[saved]} left",
        f"{KEPT[kept]} {value_text(row, kept)}",
        f"{change_text(row, kept)} against the whole model",
        ", ".join(figures),
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
    name = SAVED[saved]
    if cheap.empty:
        least = "1 point of accuracy" if kept == "accuracy" else f"5% more {kept}"
        return f"Every cut that was measured costs more than {least}", ""
    best = cheap.loc[cheap.sort_values(["x", "y"], ascending=[True, kept != "accuracy"]).index[0]]
    goes, price = f"{100 - best['x']:.0f}% of the {name} can go", float(cost.loc[best.name])
    label = label_among((best["strategy"], best["criterion"], best["compensation"]), keys_of(table))
    shown = f"{label}: {change_text(best, kept)}"
    if round(100 * price, 1) <= 0:
        return f"{goes} without losing accuracy" if kept == "accuracy" else f"{goes} without more {kept}", shown
    unit = "points" if kept == "accuracy" else f"% more {kept}"
    return f"{goes} for {100 * price:.1f}{' ' * (unit == 'points')}{unit}", shown


def subtitle(table: pd.DataFrame, shown: str, data: str, kept: bool) -> str:
    """The plan of the title, then what was measured on what, and what the bands are."""
    row, keys = table.iloc[0], keys_of(table)
    same = [
        get_strategy(row["strategy"]).label if len({key[0] for key in keys}) == 1 else "",
        f"{REPLACEMENTS[row['compensation']].lower()} in its place" if len({key[2] for key in keys}) == 1 else "",
    ]
    what = ", ".join([*filter(None, same), data, f"n = {row['samples']:,}"])
    bands = f"{'bands' if len(keys) <= BANDS_UP_TO else 'bars'}: 95% intervals"
    if table.groupby(list(KEY))["seed"].nunique().max() > 1:
        bands += "; of random orders, worst to best"
    made = f"measured on {table['made'].max()}" if kept else ""
    return " · ".join(filter(None, [shown, what, bands, made]))


def describe_tradeoff(table: pd.DataFrame, saved: str, kept: str) -> str:
    """What the chart shows, for people who cannot see it."""
    title, shown = finding(table, saved, kept)
    keys = keys_of(table)
    labels = "; ".join(label_among(key, keys) for key in keys)
    return f"{KEPT[kept]} against the {SAVED[saved]} that are left. {title}. {shown} Lines: {labels}.".replace(
        "..", "."
    )
