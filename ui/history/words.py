"""Records in words: what was removed, what came of it, how long it took. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from pruning.history.records import KINDS, LOOKED_AT, Record, estimate_in
from pruning.importance import criteria
from pruning.scopes import SCOPES
from pruning.statistics import Estimate
from ui import theme as look
from ui.details import NAMES, PERCENT
from ui.history.entries import CHANGE
from ui.tradeoff_text import REPLACEMENTS

COUNTED = ("removed", "heads_per_site")  # numbers that are told by the mask's own words
SETTINGS = {
    LOOKED_AT: "Criterion",
    "compensation": "In place of what is removed",
    "recovery": "Method",
    "cuts": "Cuts",
}
Row = tuple[str, str, str]  # name, value, change


def title(record: Record, zone: tzinfo) -> str:
    """What a record is called: its name, or its kind and time."""
    kind = KINDS.get(record.kind).label
    return record.name or f"{kind} of {when(record.made, zone)}"


def when(made: datetime, zone: tzinfo) -> str:
    """A time as the browser's clock shows it.

    >>> from datetime import UTC
    >>> when(datetime(2026, 3, 1, 9, 5, tzinfo=UTC), UTC)
    '1 Mar 2026, 09:05'
    """
    local = made.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M}"


def gone(record: Record, scope: str) -> tuple[int, int | None]:
    """How many units of a scope are removed, and of how many, where that is known."""
    known = record.numbers.get("removed")
    pair = known.get(scope) if isinstance(known, dict) else None
    if isinstance(pair, list) and len(pair) == 2:
        return int(pair[0]), int(pair[1])
    return len(getattr(record.mask, scope)), None


def removed_text(record: Record) -> str:
    """``29 of 72 heads, 1 of 6 layers``, or nothing."""
    parts = []
    for scope in SCOPES:
        some, total = gone(record, scope)
        if some:
            parts.append(f"{some:,}" + (f" of {total:,}" if total else "") + f" {scope}")
    return ", ".join(parts) or "nothing"


def metric_text(record: Record) -> str:
    """The main metric with its interval, as ``accuracy 87.5% (85.7 to 89.1)``."""
    if record.main is None:
        return look.NOT_MEASURED
    name, estimate = record.main
    return f"{name} {value_text(name, estimate)}"


def value_text(name: str, estimate: Estimate) -> str:
    return look.proportion(estimate) if name in PERCENT else look.measured(estimate)


def change_text(name: str, estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return look.points(estimate) if name in PERCENT else look.difference(estimate)


def duration(seconds: float) -> str:
    """
    >>> duration(0), duration(0.42), duration(75), duration(5000)
    ('', '0.4 s', '75 s', '83 min')
    """
    if not seconds:
        return ""
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def metric_rows(record: Record) -> list[Row]:
    """Every metric with its interval, and how it differs from the unpruned model."""
    rows = []
    for name in record.numbers:
        estimate = estimate_in(record.numbers, name)
        if estimate is not None and not name.endswith(CHANGE):
            base, _, rest = name.partition(" ")
            label = f"{NAMES.get(base, base)} {rest}".strip()
            rows.append(
                (label, value_text(base, estimate), change_text(base, estimate_in(record.numbers, name + CHANGE)))
            )
    return rows


def other_numbers(record: Record) -> list[tuple[str, str]]:
    """Numbers that are no metrics."""
    found = []
    for name, value in record.numbers.items():
        if name not in COUNTED and estimate_in(record.numbers, name) is None:
            found.append((sentence(name), plain_value(value)))
    return found


def setting_rows(record: Record) -> list[tuple[str, str]]:
    """What was asked for, in words where there are any."""
    found = []
    for name, value in record.settings.items():
        if name == LOOKED_AT and value in criteria():
            value = criteria()[value].label
        elif name == "compensation" and value in REPLACEMENTS:
            value = REPLACEMENTS[value]
        found.append((SETTINGS.get(name, sentence(name)), plain_value(value)))
    return found


def sentence(name: str) -> str:
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def plain_value(value: Any) -> str:
    """A JSON value for a table.

    >>> plain_value(0.2987), plain_value(1500), plain_value(["a", "b"]), plain_value(None)
    ('0.299', '1,500', 'a, b', 'none')
    """
    if isinstance(value, dict):
        return ", ".join(f"{sentence(str(name)).lower()} {plain_value(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain_value, value)) or "none"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return look.number(value) if isinstance(value, float) else str(value)


def mask_lines(record: Record, names: Sequence[str]) -> list[str]:
    """What is removed, part by part: ``Layer 0: heads 1, 5``; neurons are counted, for there may be thousands."""
    lines, heads, neurons = [], dict[int, list[int]](), dict[int, int]()
    for site, head in sorted(record.mask.heads):
        heads.setdefault(site, []).append(head)
    for block, _ in record.mask.neurons:
        neurons[block] = neurons.get(block, 0) + 1
    for site, some in heads.items():
        where = names[site] if site < len(names) else f"Layer {site}"
        lines.append(f"{where}: head{'s' if len(some) > 1 else ''} {', '.join(map(str, some))}")
    lines += [f"Block {block}: {count:,} neurons" for block, count in sorted(neurons.items())]
    return lines + [f"Layer {layer} as a whole" for layer in sorted(record.mask.layers)]
