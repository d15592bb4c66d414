"""The algebra of masks, and every way to write one down and read it again."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning import Mask, MaskError
from pruning.anatomy import Anatomy
from pruning.masks import LARGEST_INDEX, HeadId, NeuronId

small, index = st.integers(0, 40), st.integers(0, LARGEST_INDEX)
heads = st.frozensets(st.tuples(small, small) | st.tuples(index, index), max_size=40)
neurons = st.frozensets(st.tuples(small, st.integers(0, 4000)), max_size=40)
layers = st.frozensets(small | index, max_size=12)
masks = st.builds(Mask, heads, neurons, layers)
numbers = st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=5)
json_values = st.recursive(
    numbers, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)


# Algebra -----------------------------------------------------------------------------------------------------------


@given(masks, masks)
def test_operations_are_those_of_sets(a: Mask, b: Mask) -> None:
    for part in ("heads", "neurons", "layers"):
        x, y = getattr(a, part), getattr(b, part)
        assert getattr(a | b, part) == x | y
        assert getattr(a & b, part) == x & y
        assert getattr(a - b, part) == x - y
        assert getattr(a ^ b, part) == x ^ y


@given(masks, masks, masks)
def test_laws_of_the_algebra(a: Mask, b: Mask, c: Mask) -> None:
    assert a | b == b | a
    assert a & (b | c) == (a & b) | (a & c)
    assert a ^ b == (a | b) - (a & b)
    assert (a - b) | (a & b) == a
    assert a | Mask() == a ^ Mask() == a
    assert not a - a


@given(masks)
def test_equal_masks_are_one_key(mask: Mask) -> None:
    again = Mask(*(frozenset(list(part)[::-1]) for part in (mask.heads, mask.neurons, mask.layers)))
    assert again == mask
    assert hash(again) == hash(mask)
    assert bool(mask) == (len(mask.heads) + len(mask.neurons) + len(mask.layers) > 0)


def test_a_mask_cannot_be_edited() -> None:
    with pytest.raises(AttributeError):
        Mask().heads = frozenset()  # type: ignore[misc]


def test_plain_pairs_become_ids() -> None:
    mask = Mask(frozenset({(1, 2)}), frozenset({(3, 4)}))  # type: ignore[arg-type]
    assert mask.heads == {HeadId(1, 2)}
    assert isinstance(next(iter(mask.heads)), HeadId)
    assert isinstance(next(iter(mask.neurons)), NeuronId)


@pytest.mark.parametrize("wrong", [-1, LARGEST_INDEX + 1, 1.0, "1", True, None])
def test_only_whole_numbers_in_range_are_indices(wrong: object) -> None:
    for make in (lambda: Mask(frozenset({(0, wrong)})), lambda: Mask(layers=frozenset({wrong}))):  # type: ignore[arg-type]
        with pytest.raises(MaskError, match="is not an index"):
            make()


# Round trips -------------------------------------------------------------------------------------------------------


@given(masks)
def test_json_round_trip(mask: Mask) -> None:
    value = json.loads(json.dumps(mask.to_json()))
    assert Mask.from_json(value) == mask
    assert Mask.from_json({"mask": value, "budget": "heads=0.5"}) == mask, "a plan holds a mask"
    assert value["version"] == 1


@given(masks)
def test_code_round_trip(mask: Mask) -> None:
    code = mask.to_code()
    assert Mask.from_code(code) == mask
    assert set(code) <= set(string.ascii_letters + string.digits + "-_."), "safe in a link"


@given(heads)
def test_text_round_trip(pairs: frozenset[tuple[int, int]]) -> None:
    mask = Mask(pairs)  # type: ignore[arg-type]
    assert Mask.parse_heads(mask.format_heads()) == mask


def test_codes_are_short_and_stay_what_they_are() -> None:
    """Links that people have kept must go on working."""
    every_other = Mask(frozenset((site, head) for site in range(12) for head in range(0, 12, 2)))
    assert len(every_other.to_code()) <= 1.6 * len(every_other.heads)
    assert Mask().to_code() == ""
    assert Mask.parse_heads("0:3,2:5").to_code() == "BgMF"
    assert Mask.from_code("BgMF") == Mask.parse_heads("0:3,2:5")


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", set()),
        ("  ", set()),
        ("0:3", {(0, 3)}),
        ("0:3,2:5", {(0, 3), (2, 5)}),
        (" 0:3 ,\n2:5,", {(0, 3), (2, 5)}),
        ("1:0-3", {(1, 0), (1, 1), (1, 2), (1, 3)}),
        ("1:2-2 1:2", {(1, 2)}),
    ],
)
def test_heads_as_people_type_them(text: str, pairs: set[tuple[int, int]]) -> None:
    assert Mask.parse_heads(text).heads == pairs


@pytest.mark.parametrize(
    "text",
    ["3", "0:", ":3", "0:-3", "0:3-1", "a:b", "0.5:1", "0:3;1:2", "0:0-99999999", "0:99999999", "0:" + "9" * 5000],
)
def test_unreadable_heads_are_named(text: str) -> None:
    with pytest.raises(MaskError, match=r"is not a head|is not a run|is not an index"):
        Mask.parse_heads(text)


# Hostile input -----------------------------------------------------------------------------------------------------


def only_mask_errors(read: object, value: object) -> None:
    with suppress(MaskError):  # any other exception fails the test
        mask = read(value)  # type: ignore[operator]
        assert isinstance(mask, Mask)
        assert all(0 <= i <= LARGEST_INDEX for pair in mask.heads | mask.neurons for i in pair)


@given(st.text(max_size=60) | st.text(alphabet=string.ascii_letters + string.digits + "-_.", max_size=200))
def test_hostile_codes_give_a_mask_or_a_mask_error(code: str) -> None:
    only_mask_errors(Mask.from_code, code)


@given(masks, st.data())
def test_damaged_codes_give_a_mask_or_a_mask_error(mask: Mask, data: st.DataObject) -> None:
    code = mask.to_code()
    at = data.draw(st.integers(0, len(code)))
    only_mask_errors(Mask.from_code, code[:at])
    only_mask_errors(Mask.from_code, code[:at] + data.draw(st.characters()) + code[at:])


@given(st.text(max_size=60) | st.text(alphabet="0123456789:-, ", max_size=60))
def test_hostile_head_lists_give_a_mask_or_a_mask_error(text: str) -> None:
    only_mask_errors(Mask.parse_heads, text)


@given(
    json_values
    | st.fixed_dictionaries({}, optional=dict.fromkeys(("heads", "neurons", "layers", "version", "mask"), json_values))
)
def test_hostile_json_gives_a_mask_or_a_mask_error(value: object) -> None:
    only_mask_errors(Mask.from_json, value)


def test_long_codes_are_refused_before_they_are_built() -> None:
    with pytest.raises(MaskError, match="too long"):
        Mask.from_code("A" * 3_000_000)
    with pytest.raises(MaskError, match="damaged"):
        Mask.from_code("gICA" * 1000)  # one number that never ends


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "a mask is an object"),
        (b"{}", "a mask is an object"),
        (b'{"heads": [[0]]}', "cannot be read"),
        (b'{"heads": [[0, 1, 2]]}', "cannot be read"),
        (b'{"heads": [[0, -1]]}', "not an index"),
        (b'{"heads": [[0, 1.5]]}', "not an index"),
        (b'{"heads": [], "version": 2}', "version 2"),
        (b'{"neurons": {"x": [1]}}', "gives the list of neurons of each block"),
        (b'{"neurons": [[0, 1]]}', "gives the list of neurons of each block"),
        (b'{"neurons": {"0": 1}}', "gives the list of neurons of each block"),
        (b'{"heads": {"0": [1]}}', "is a list of pairs"),
        (b'{"heads": "a"}', "is a list of pairs"),
        (b'{"layers": 1}', "is a list of numbers"),
        (b'{"heads": [[0, 0]], "heds": [[1, 1]]}', "it has 'heds'; only"),
    ],
)
def test_unreadable_files_say_why(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "mask.json"
    path.write_bytes(content)
    with pytest.raises(MaskError, match=message):
        Mask.read(path)


@pytest.mark.parametrize("name", ["missing.json", ".", "a" * 5000])
def test_files_that_are_not_there_say_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(MaskError, match="cannot be read"):
        Mask.read(tmp_path / name)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    mask = Mask.parse_heads("0:3,2:5") | Mask(neurons=frozenset({NeuronId(1, 7)}), layers=frozenset({2}))
    (tmp_path / "mask.json").write_text(json.dumps(mask.to_json()), encoding="utf-8")
    assert Mask.read(tmp_path / "mask.json") == mask
    assert mask.to_json() == {"version": 1, "heads": [[0, 3], [2, 5]], "neurons": {"1": [7]}, "layers": [2]}


def test_a_model_without_sites_says_why() -> None:
    nothing = Anatomy((), (), (), 9, 9, "", "none", "its heads are not side by side")
    with pytest.raises(MaskError, match="head 0:0 does not exist: its heads are not side by side"):
        Mask.parse_heads("0:0").check(nothing)
