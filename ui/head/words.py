"""What a head does, in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pruning.anatomy import Anatomy
from pruning.importance import ImportanceMap, get_criterion
from pruning.language import language, mark, tr
from pruning.looking.patterns import HeadPattern
from pruning.masks import HeadId
from ui.certainty import intervals_of
from ui.theme import number

Kind = Literal["text", "image", "crossed"]
SHARES: dict[Kind, dict[str, str]] = {
    "text": {
        "previous": mark("previous token"),
        "same": mark("same token"),
        "next": mark("next token"),
        "first": mark("first token"),
        "separator": mark("separators"),
    },
    "image": {
        "previous": mark("patch before"),
        "same": mark("same patch"),
        "next": mark("patch after"),
        "first": mark("first token"),
        "separator": mark("other special tokens"),
    },
    "crossed": {
        "previous": mark("position before"),
        "same": mark("same position"),
        "next": mark("position after"),
        "first": mark("first token"),
        "separator": mark("separators"),
    },
}
ORDINALS = {1: "st", 2: "nd", 3: "rd"}


def kind_of(site_kind: str) -> Kind:
    """How the neighbours of a site's tokens are called.

    >>> kind_of("vision self"), kind_of("decoder cross"), kind_of("encoder self")
    ('image', 'crossed', 'text')
    """
    return "crossed" if "cross" in site_kind else "image" if "vision" in site_kind else "text"


def parse_head(text: str, sizes: Sequence[int]) -> tuple[HeadId, str]:
    """The head that a link names, ``layer.head``, and why it is another one where that does not fit.

    >>> parse_head("3.7", [12] * 6), parse_head("9.0", [12] * 6)[1]
    ((HeadId(site=3, head=7), ''), 'there is no head 9.0 in this model: its layers are 0 to 5')
    """
    site, _, head = text.partition(".")
    if not (site.isascii() and head.isascii() and site.isdigit() and head.isdigit() and len(text) < 12):
        return HeadId(0, 0), tr("a head is named like 3.7, by layer and head, not {name!r}", name=text[:40])
    if int(site) >= len(sizes):
        message = mark("there is no head {head} in this model: its layers are 0 to {last}")
        return HeadId(0, 0), tr(message, head=text, last=len(sizes) - 1)
    heads = sizes[int(site)]
    if int(head) >= heads:
        message = mark("there is no head {head} in this model: layer {layer} has the heads 0 to {last}")
        return HeadId(0, 0), tr(message, head=text, layer=site, last=heads - 1)
    return HeadId(int(site), int(head)), ""


def head_code(head: HeadId) -> str:
    """The same in the link."""
    return f"{head.site}.{head.head}"


def finding(pattern: HeadPattern, kind: Kind) -> str:
    """What a head does on average, as a title."""
    label, names = pattern.label, SHARES[kind]
    if label in names:
        text = mark("Mostly looks at the {place} ({share:.0%})")
        return tr(text, place=tr(names[label]), share=pattern.shares[label].value)
    tokens = number(pattern.effective.value, 2)
    if label == "broad":
        text = mark("Looks broadly: at {n} tokens at a time, {share:.0%} of what it can see")
        return tr(text, n=tokens, share=pattern.broad.value)
    name, share = max(pattern.shares.items(), key=lambda item: item[1].value)
    text = mark("No single habit: most on the {place} ({share:.0%}), {n} tokens at a time")
    return tr(text, place=tr(names[name]), share=share.value, n=tokens)


def habit(label: str, kind: Kind) -> str:
    """The word for a head in a list."""
    return tr({**SHARES[kind], "broad": mark("broad"), "mixed": mark("mixed")}[label])


def definitions(pattern: HeadPattern, kind: Kind, windowed: bool = False) -> str:
    """What is counted, on how many examples, and when a head gets its name."""
    text = mark(
        "Mean share of its attention with 95% intervals, n = {n:,} calibration rows. Shares may overlap: the previous "
        "token may be the first one. From 40% on a head is named after the largest; a head is broad if it looks at 60% "
        "or more of what it can see (the perplexity of its weights), and mixed otherwise. Tokens that can see "
        "themselves only are left out."
    )
    order = tr("Patches count in reading order.") if kind == "image" else ""
    padding = tr("Within windows, what falls on padding beyond the image is left out.") if windowed else ""
    return " ".join(part for part in (tr(text, n=pattern.examples), order, padding) if part)


def ordinal(rank: int) -> str:
    """The rank as English says it; other languages put the number into their sentence.

    >>> [ordinal(rank) for rank in (1, 2, 3, 4, 11, 12, 13, 21, 112)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st', '112th']
    """
    if language() != "en":
        return f"{rank:,}"
    ending = "th" if rank % 100 in (11, 12, 13) else ORDINALS.get(rank % 10, "th")
    return f"{rank:,}{ending}"


def importance_row(importance: ImportanceMap, head: HeadId) -> dict[str, object]:
    """One line of the table: value with its interval, and the place from the least important."""
    criterion, intervals = get_criterion(importance.criterion), intervals_of(importance)
    ranked = importance.ranked()
    estimate = intervals[head.site][head.head] if intervals else None
    return {
        "criterion": tr(criterion.label),
        "rank from the least": ranked.index(head) + 1,
        "importance": importance.values[head.site][head.head],
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
        "unit": tr(criterion.unit),
    }


def rank_sentence(importance: ImportanceMap, head: HeadId) -> str:
    """Its place under one criterion."""
    rank, total = importance.ranked().index(head) + 1, len(importance.keep_values)
    text = mark("{rank} of {total:,} from the least important, by {criterion}")
    return tr(text, rank=ordinal(rank), total=total, criterion=tr(get_criterion(importance.criterion).label))


def nearest(divergences: Sequence[Sequence[float]], head: HeadId, count: int) -> list[tuple[HeadId, float]]:
    """The heads that attend most alike, the nearest first; those that cannot be compared are left out."""
    found = [
        (HeadId(site, index), value)
        for site, row in enumerate(divergences)
        for index, value in enumerate(row)
        if math.isfinite(value) and (site, index) != head
    ]
    return sorted(found, key=lambda item: (item[1], item[0]))[:count]


def neighbours(anatomy: Anatomy, head: HeadId) -> tuple[HeadId | None, HeadId | None]:
    """The heads before and after this one, through all layers."""
    heads = list(anatomy.head_ids())
    place = heads.index(head)
    return heads[place - 1] if place else None, heads[place + 1] if place + 1 < len(heads) else None
