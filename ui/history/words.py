"""Records in words: what was removed, what came of it, how long it took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any

from pruning.history.records import KINDS, LOOKED_AT, Record, estimate_in
from pruning.importance import criteria
from pruning.language import listing, mark, tr, trn
from pruning.recovery.methods import recovery_methods
from pruning.scopes import SCOPES, Scope
from pruning.search import strategies
from pruning.statistics import Estimate
from ui import theme as look
from ui.details import NAMES, PERCENT
from ui.history.entries import CHANGE, CHOSEN_ON
from ui.removed import OF_ALL, count_words
from ui.tradeoff_text import REPLACEMENTS

COUNTED = ("removed", "heads_per_site", CHOSEN_ON)  # numbers that are told otherwise, or to nobody
BEFORE = " before training"  # after the name of a metric: what it was then
SETTINGS = {  # and other numbers, by their names in a record
    LOOKED_AT: mark("Criterion"),
    "compensation": mark("In place of what is removed"),
    "recovery": mark("Method"),
    "cuts": mark("Cuts"),
    "method": mark("Method"),
    "loss": mark("Loss"),
    "distill_weight": mark("Distill weight"),
    "temperature": mark("Temperature"),
    "hidden_weight": mark("Hidden weight"),
    "learning_rate": mark("Learning rate"),
    "epochs": mark("Epochs"),
    "minutes": mark("Minutes"),
    "batch_size": mark("Batch size"),
    "warmup": mark("Warmup"),
    "weight_decay": mark("Weight decay"),
    "noise": mark("Noise"),
    "held_out": mark("Held out"),
    "patience": mark("Patience"),
    "rank": mark("Rank"),
    "seed": mark("Seed"),
    "criteria": mark("Criteria"),
    "strategy": mark("Strategy"),
    "strategies": mark("Strategies"),
    "compensations": mark("In place of what is removed"),
    "kind": mark("Kind of budget"),
    "most": mark("Largest budget, percent"),
    "least": mark("Smallest budget, percent"),
    "seeds": mark("Seeds"),
    "scopes": mark("Scopes"),
    "rows": mark("Rows"),
    "chosen": mark("Chosen"),
    "format": mark("Format"),
    "points": mark("Points"),
    "samples": mark("Samples"),
    "steps": mark("Steps"),
    "training rows": mark("Training rows"),
    "held-out loss": mark("Held-out loss"),
    "parameters": mark("Parameters"),
    "size_bytes": mark("Size in bytes"),
}
COUNTS = {  # what a budget or a scope counts
    "heads": mark("heads"),
    "neurons": mark("neurons"),
    "layers": mark("layers"),
    "params": mark("parameters"),
    "latency": mark("latency"),
}
FORMATS = {"checkpoint": mark("checkpoint"), "onnx": "ONNX"}
LEARNT = {"labels": mark("labels"), "distill": mark("distillation"), "both": mark("labels and distillation")}
CLOCK = mark("d MMM yyyy, HH:mm")  # a pattern of Babel's (https://babel.pocoo.org/en/latest/dates.html)
Row = tuple[str, str, str]  # name, value, change


def title(record: Record, zone: tzinfo) -> str:
    """What a record is called: its name, or its kind and time."""
    kind = tr(KINDS.get(record.kind).label)
    return record.name or tr("{kind} of {time}", kind=kind, time=when(record.made, zone))


def when(made: datetime, zone: tzinfo) -> str:
    """A time as the browser's clock shows it.

    >>> from datetime import UTC
    >>> when(datetime(2026, 3, 1, 9, 5, tzinfo=UTC), UTC)
    '1 Mar 2026, 09:05'
    """
    from babel.dates import format_datetime

    return format_datetime(made.astimezone(zone), tr(CLOCK), locale="en")


def gone(record: Record, scope: str) -> tuple[int, int | None]:
    """How many units of a scope are removed, and of how many, where that is known."""
    known = record.numbers.get("removed")
    pair = known.get(scope) if isinstance(known, dict) else None
    if isinstance(pair, list) and len(pair) == 2:
        return int(pair[0]), int(pair[1])
    return len(getattr(record.mask, scope)), None


def removed_text(record: Record) -> str:
    """``29 of 72 heads, 1 of 6 layers``, or nothing."""
    return listing(part_text(record, scope) for scope in SCOPES if gone(record, scope)[0]) or tr("nothing")


def part_text(record: Record, scope: Scope) -> str:
    """The same of one scope."""
    some, total = gone(record, scope)
    return tr(OF_ALL[scope], n=some, total=total) if total else count_words(some, scope)


def in_line(sentences: Iterable[str]) -> str:
    """Sentences one after the other; the full stop of Chinese brings its own space."""
    return " ".join(filter(None, sentences)).replace("。 ", "。")


def small(name: str) -> str:
    """A name within a sentence, where English writes it small."""
    return name.lower() if name.isascii() else name


def metric_name(name: str) -> str:
    """A metric within a sentence."""
    return small(tr(NAMES.get(name, name)))


def size(count: int) -> str:
    """A count without its noun, which stands beside it.

    >>> size(20_941_312), size(912)
    ('20.9 M', '912')
    """
    return look.macs(count).removesuffix("MACs").rstrip()


def metric_text(record: Record) -> str:
    """The main metric with its interval, as ``accuracy 87.5% (85.7 to 89.1)``."""
    if record.main is None:
        return tr(look.NOT_MEASURED)
    name, estimate = record.main
    return f"{metric_name(name)} {value_text(name, estimate)}"


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
    if seconds >= 120:
        return tr("{n:.0f} min", n=seconds / 60)
    return tr("{n:.1f} s", n=seconds) if seconds < 10 else tr("{n:.0f} s", n=seconds)


def metric_rows(record: Record) -> list[Row]:
    """Every metric with its interval, and how it differs from the unpruned model."""
    rows = []
    for name in record.numbers:
        estimate = estimate_in(record.numbers, name)
        if estimate is not None and not name.endswith(CHANGE):
            base = name.partition(" ")[0]
            label = tr(NAMES.get(base, base))
            label = tr("{metric} before training", metric=label) if name == base + BEFORE else label
            rows.append(
                (label, value_text(base, estimate), change_text(base, estimate_in(record.numbers, name + CHANGE)))
            )
    return rows


def other_numbers(record: Record) -> list[tuple[str, str]]:
    """Numbers that are no metrics."""
    found = []
    for name, value in record.numbers.items():
        if name not in COUNTED and estimate_in(record.numbers, name) is None:
            found.append((sentence(name), told(name, value)))
    return found


def setting_rows(record: Record) -> list[tuple[str, str]]:
    """What was asked for, in words where there are any."""
    return [(sentence(name), told(name, value)) for name, value in record.settings.items()]


def sentence(name: str) -> str:
    """The name of a setting; one that is not known here as it is, beginning large."""
    text = name.replace("_", " ")
    return tr(SETTINGS.get(name, text[:1].upper() + text[1:]))


def told(name: str, value: Any) -> str:
    """A JSON value for a table, in words where the setting has some.

    >>> told("", 0.2987), told("", 1500), told("", ["a", "b"]), told("", None)
    ('0.299', '1,500', 'a, b', 'none')
    >>> told("strategies", ["one-shot"]), told("loss", "distill")
    ('One shot', 'distillation')
    """
    if isinstance(value, dict):
        return listing(f"{small(sentence(str(inner)))} {told(str(inner), one)}" for inner, one in value.items())
    if isinstance(value, list | tuple):
        return listing(told(name, one) for one in value) or tr("none")
    if value is None or isinstance(value, bool):
        return {None: tr("none"), True: tr("yes"), False: tr("no")}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return look.number(value) if isinstance(value, float) else tr(_labels(name).get(str(value), str(value)))


def _labels(name: str) -> dict[str, str]:
    """What the menus call the values of a setting, untranslated."""
    if name in (LOOKED_AT, "criteria"):
        return {one.name: one.label for one in criteria().values()}
    if name in ("strategy", "strategies"):
        return {one.name: one.label for one in strategies().values()}
    if name in ("recovery", "method"):
        return {one.name: one.label for one in recovery_methods().values()}
    known = {"compensation": REPLACEMENTS, "compensations": REPLACEMENTS, "loss": LEARNT, "format": FORMATS}
    return known.get(name, COUNTS if name in ("kind", "scopes") else {})


def mask_lines(record: Record, names: Sequence[str]) -> list[str]:
    """What is removed, part by part: ``Layer 0: heads 1, 5``; neurons are counted, for there may be thousands."""
    lines, heads, neurons = [], dict[int, list[int]](), dict[int, int]()
    for site, head in sorted(record.mask.heads):
        heads.setdefault(site, []).append(head)
    for block, _ in record.mask.neurons:
        neurons[block] = neurons.get(block, 0) + 1
    for site, some in heads.items():
        where = names[site] if site < len(names) else tr("Layer {n}", n=site)
        told_heads = listing(some)
        lines.append(trn("{layer}: head {heads}", "{layer}: heads {heads}", len(some), layer=where, heads=told_heads))
    for block, count in sorted(neurons.items()):
        lines.append(tr("{part}: {neurons}", part=tr("Block {n}", n=block), neurons=count_words(count, "neurons")))
    return lines + [tr("Layer {n} as a whole", n=layer) for layer in sorted(record.mask.layers)]
