"""The grid editor's logic outside the browser: what it believes of what it is sent, and what an edit does."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.masks import HeadId, Mask, NeuronId
from ui import grid
from ui.grid import GridEdit, apply_edit, parse_edit

SHAPE = (3, 2, 4)
HEADS = [HeadId(site, head) for site, count in enumerate(SHAPE) for head in range(count)]

masks = st.frozensets(st.sampled_from(HEADS)).map(Mask)
edits = st.lists(st.tuples(st.sampled_from(HEADS), st.booleans())).map(lambda changes: GridEdit(1, tuple(changes)))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "changes", "x"]), inner),
    max_leaves=12,
)


@given(masks, edits)
def test_an_edit_sets_its_heads_and_no_others(mask: Mask, edit: GridEdit) -> None:
    after, last = apply_edit(mask, edit), dict(edit.changes)
    for head in HEADS:
        assert (head in after.heads) == last.get(head, head in mask.heads)


@given(masks, edits)
def test_twice_is_once(mask: Mask, edit: GridEdit) -> None:
    once = apply_edit(mask, edit)
    assert apply_edit(once, edit) == once


@given(masks, edits, edits)
def test_merged_edits_do_what_both_do(mask: Mask, first: GridEdit, second: GridEdit) -> None:
    """The browser sends an unconfirmed edit again, merged with the next one."""
    merged = GridEdit(2, (*first.changes, *second.changes))
    assert apply_edit(apply_edit(mask, first), merged) == apply_edit(apply_edit(mask, first), second)


def test_neurons_and_layers_stay() -> None:
    mask = Mask(frozenset({HeadId(0, 0)}), frozenset({NeuronId(1, 5)}), frozenset({2}))
    after = apply_edit(mask, GridEdit(1, ((HeadId(0, 0), False),)))
    assert after == Mask(neurons=mask.neurons, layers=mask.layers)


def test_no_edit() -> None:
    assert apply_edit(Mask(), None) == Mask()


@given(anything)
def test_whatever_the_browser_sends(value: object) -> None:
    for sent in (value, {"id": 1, "changes": value}, {"id": 1, "changes": [value]}, {"id": value, "changes": []}):
        edit = parse_edit(sent, SHAPE)
        assert edit is None or all(head in HEADS for head, _ in edit.changes)


def test_good_changes_survive_bad_neighbours() -> None:
    changes = [[0, 1, True], [0, 3, True], [-1, 0, True], ["0", 0, True], [2, 3, 0], [1, 1], None, [True, 0, True]]
    edit = parse_edit({"id": 7, "changes": changes}, SHAPE)
    assert edit == GridEdit(7, ((HeadId(0, 1), True), (HeadId(2, 3), False)))


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "1", None, 1 << 53])
def test_an_edit_needs_a_number(number: object) -> None:
    assert parse_edit({"id": number, "changes": []}, SHAPE) is None


def test_levels_span_the_scale() -> None:
    assert grid.levels([[0.0, 0.5], [1.0, math.nan]], signed=False) == [[0, 16], [32, -1]]
    assert grid.levels([[-0.5, 0.0, 1.0]], signed=True) == [[8, 16, 32]]
    assert grid.levels([[0.0, 9.0]], signed=False, ends=(0.0, 3.0)) == [[0, 32]]
    assert grid.levels([[2.0, 2.0]], signed=False) == [[0, 0]]


def test_every_level_has_a_colour_in_both_themes_and_scales() -> None:
    css = grid.stylesheet()
    for signed in (0, 1):
        for level in range(grid.LEVELS):
            assert re.search(rf'\[data-signed="{signed}"\] \[data-level="{level}"\]\{{--cell:light-dark\(#', css)


def test_reversed_levels_put_low_values_at_the_deep_end() -> None:
    plain = grid.levels([[0.0, 0.5, 1.0]], signed=False)
    assert grid.levels([[0.0, 0.5, 1.0]], signed=False, reverse=True) == [row[::-1] for row in plain]
