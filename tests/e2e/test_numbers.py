"""Every number on the page against the command line's, in two sessions that work at the same time."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from pruning.answering import answer
from pruning.masks import Mask
from pruning.models import LoadedModel
from pruning.statistics import Estimate
from tests.e2e.driver import Dashboard
from ui import theme as look
from ui.details import NAMES, PERCENT

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

Visit, Reference = Callable[..., Dashboard], Callable[..., dict[str, Any]]
FEW, MANY = "0:1,2:5,4:3,5:8", "0:0-11,2:0-5,3:5,3:9"
SENTENCE = "A slow start, but the last *half* hour is a <b>delight</b>: $5 well spent."


def prune(visit: Visit, heads: str) -> Dashboard:
    return visit(f"/prune?mask={Mask.parse_heads(heads).to_code()}")


@pytest.fixture
def both(visit: Visit, reference: Reference) -> list[tuple[str, Dashboard]]:
    """Two sessions with different masks, opened before either is measured."""
    for heads in ("", FEW, MANY):
        reference(heads, wait=False)
    pages = [(heads, prune(visit, heads)) for heads in (FEW, MANY)]
    for heads, dashboard in pages:
        dashboard.measured().removes(heads)
    return pages


def test_two_sessions_show_what_the_command_line_says(both: list[tuple[str, Dashboard]], reference: Reference) -> None:
    for heads, dashboard in both:
        before, after = reference(""), reference(heads)
        assert dashboard.rows() == table_of(before, after)
        accuracy, loss = (estimate(after["metrics"][name]) for name in ("accuracy", "loss"))
        metrics = dashboard.page.get_by_test_id("stMetricValue")
        expect(metrics).to_have_text([look.percent(accuracy.value), look.number(loss.value)])
        flips_agree(dashboard, before["predictions"], after["predictions"])


def table_of(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    """The table as it must be; of the paired differences only the values, since the command line does not pair."""
    heads = [f"Unpruned, n = {before['samples']:,}", f"Pruned, n = {after['samples']:,}"]
    rows: dict[str, list[Any]] = {"": [*heads, "Paired difference (95% interval)"]}
    for name, label in NAMES.items():
        if name in before["metrics"]:
            one, other = (estimate(found["metrics"][name]) for found in (before, after))
            form = look.proportion if name in PERCENT else look.measured
            rows[label] = [form(one), form(other), Starts(difference_of(name, one, other))]
    return rows


class Starts(str):
    """Equal to every text that begins so."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.startswith(f"{self} (")


def difference_of(name: str, one: Estimate, other: Estimate) -> str:
    value = other.value - one.value
    form = look.points if name in PERCENT else look.difference
    return form(Estimate(value, value, value)).partition(" (")[0]


def estimate(found: dict[str, float]) -> Estimate:
    return Estimate(found["value"], found["low"], found["high"])


def flips_agree(dashboard: Dashboard, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    """Each example with another prediction is shown with its text, its label and what both models say."""
    pairs = [(one, other) for one, other in zip(before, after, strict=True) if one["predicted"] != other["predicted"]]
    worse = sum(one["predicted"] == one["label"] for one, _ in pairs)
    text = f"{len(pairs)} predictions flipped: {worse} became wrong, {len(pairs) - worse} became right."
    expect(dashboard.page.get_by_text(text)).to_be_visible()
    dashboard.page.get_by_text(f"Show all {len(pairs)}").click()
    blocks = dashboard.page.locator(".headroom-figures:not(:has(table))")
    expect(blocks).to_have_count(len(pairs))
    shown = {tuple(re.split(r"\s*\n+\s*", block.strip())) for block in blocks.all_inner_texts()}
    assert {(plain(text), line) for text, line in shown} == {flip_of(one, other) for one, other in pairs}


def flip_of(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, str]:
    kind = "became wrong" if one["predicted"] == one["label"] else "became right"
    sides = [f"{side}: {p['predicted']} {p['confidence']:.2f}" for side, p in (("before", one), ("after", other))]
    return plain(one["text"]), " · ".join([kind, f"label {one['label']}", *sides])


def plain(text: str) -> str:
    """As a browser shows it: runs of spaces are one."""
    return " ".join(text.split())


def test_ones_own_sentence_is_answered_by_both_models(visit: Visit, demo: LoadedModel) -> None:
    dashboard = prune(visit, MANY).ready()
    field = dashboard.page.get_by_role("textbox", name="Your own sentence")
    field.fill(SENTENCE)
    field.press("Enter")
    found = [answer(demo, SENTENCE, mask) for mask in (Mask(), Mask.parse_heads(MANY))]
    texts = [f"{one.label} {one.probability:.2f}" for answers in found for one in answers]
    answered = dashboard.page.get_by_test_id("stMain").get_by_text(re.compile(r"^(negative|positive) [01]\.\d\d$"))
    expect(answered).to_have_text(texts)
