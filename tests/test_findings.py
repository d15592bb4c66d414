"""What took long is found again by another process, and by no other model, rows or settings."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning import Mask
from pruning.findings import guaranteed_plan, scored, search_key, searched
from pruning.importance.scoring import score
from pruning.language import later
from pruning.packing import UnpackableError, pack, stable_text, unpack
from pruning.results import Results, finding_key
from pruning.search.budget import Budget
from pruning.search.guarantee import guaranteed
from pruning.search.planning import Request, search
from pruning.statistics import Estimate
from tests.families import examples_of, model_of

ROOMY, ROWS = 4 << 20, 8
HALF = Budget("heads", 0.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.sqlite"


@pytest.fixture
def nothing_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on."""

    def worked_out(*_: object, **__: object) -> None:
        raise AssertionError("this was found already")

    for name in ("search.planning.search", "importance.scoring.score", "search.guarantee.guaranteed"):
        monkeypatch.setattr(f"pruning.{name}", worked_out)


# Packing ---------------------------------------------------------------------------------------------------------

numbers = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    numbers,
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.integers() | st.text(max_size=3), inner, max_size=3) | st.frozensets(numbers, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(values)
def test_plain_values_come_back(value: Any) -> None:
    again = unpack(pack(value))
    assert again == value
    assert type(again) is type(value)


def test_our_own_values_and_arrays_come_back() -> None:
    mask = Mask.parse_heads("0:1,1:2")
    told = later("{n} heads", n=3)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = unpack(pack({"a": (mask, Estimate(1, 0, float("inf"))), "b": [told, array, np.int64(3)]}))
    assert found["a"] == (mask, Estimate(1, 0, float("inf")))
    assert found["b"][0] == told
    assert found["b"][1].dtype == np.float32
    assert (found["b"][1] == array).all()
    assert found["b"][2] == 3


def test_what_is_given_is_not_packed() -> None:
    model = model_of("bert")
    assert unpack(pack((1, model), [model]), [model]) == (1, model)
    with pytest.raises(UnpackableError):
        pack((1, model))


@dataclass(frozen=True)
class Foreign:
    number: int = 1


def test_classes_of_others_are_neither_packed_nor_made() -> None:
    with pytest.raises(UnpackableError, match="Foreign"):
        pack(Foreign())
    for name in ("subprocess:Popen", "pruning.packing:import_module", "pruning.packing:no", "pruning.nowhere:X"):
        packed = pack(Mask())
        broken = _with_tree(packed, f'["new","{name}"]')
        with pytest.raises(ValueError, match="cannot be read"):
            unpack(broken)


def _with_tree(packed: bytes, tree: str) -> bytes:
    import io
    import zlib

    buffer = io.BytesIO()
    np.savez(buffer, tree=np.frombuffer(tree.encode(), np.uint8))
    assert zlib.decompress(packed)
    return zlib.compress(buffer.getvalue())


def test_keys_are_the_same_in_every_process() -> None:
    mask = Mask.parse_heads("0:0-40,1:0-40")
    code = (
        "from pruning import Mask; from pruning.packing import stable_text;"
        "print(stable_text((Mask.parse_heads('0:0-40,1:0-40'), {'x': 1})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == stable_text((mask, {"x": 1}))
    with pytest.raises(UnpackableError):
        stable_text(np.zeros(2))


# Searches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [Request(), Request("magnitude", "layer-adaptive"), Request(strategy="fisher", scopes=("heads", "neurons"))],
)
def test_a_search_is_done_once(request_: Request, path: Path, request: pytest.FixtureRequest) -> None:
    model, examples = model_of("bert"), examples_of("bert", ROWS)
    first = searched(Results(path, ROOMY), model, examples, request_)
    request.getfixturevalue("nothing_is_worked_out")
    compensated = replace(request_, compensation="mean")
    again = searched(Results(path, ROOMY), model, examples, compensated)
    for share in (0.75, 0.5):
        assert again.plan(Budget("heads", share)).mask == first.plan(Budget("heads", share)).mask
    assert again.seconds == first.seconds
    assert again.plan(HALF).compensation == "mean"


def test_another_search_is_not_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, examples, plain = model_of("bert"), examples_of("bert", ROWS), Request()
    keys = [
        search_key(model, examples, plain),
        search_key(model, None, plain),
        search_key(model, examples.at(range(4)), plain),
        search_key(model_of("roberta"), examples, plain),
        *(
            search_key(model, examples, replace(plain, **changes))
            for changes in (
                {"criterion": "random"}, {"seed": 1}, {"scopes": ("neurons",)}, {"strategy": "one-shot"},
                {"protected": Mask.parse_heads("0:1")}, {"whole_groups": True}, {"tokens": 16}, {"batch_size": 1},
                {"normalise": "rank"},
            )
        ),
        search_key(model, examples, plain, "steps"),
    ]  # fmt: skip
    assert search_key(model, examples, replace(plain, compensation="mean")) == keys[0]
    monkeypatch.setattr("pruning.results._own_version", lambda: "other code")
    keys.append(search_key(model, examples, plain))
    assert len(set(keys)) == len(keys)


def test_without_a_file_it_is_searched() -> None:
    model, examples = model_of("bert"), examples_of("bert", ROWS)
    assert searched(None, model, examples, Request()).found.steps == search(model, examples, Request()).found.steps  # type: ignore[attr-defined]


@pytest.mark.parametrize("packed", [b"", b"rubbish", pack("something else")])
def test_what_cannot_be_read_is_searched_again(packed: bytes, path: Path) -> None:
    model, examples = model_of("bert"), examples_of("bert", ROWS)
    first = searched(Results(path, ROOMY), model, examples, Request())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE results SET outcome = ?", (packed,))
    database.close()
    assert searched(Results(path, ROOMY), model, examples, Request()).plan(HALF).mask == first.plan(HALF).mask


def test_what_is_too_large_is_not_kept(path: Path) -> None:
    results = Results(path, 3000)
    results.keep("large", np.random.default_rng(0).bytes(2000).hex())
    assert results.find("large") is None
    results.keep("small", "x")
    assert results.find("small") == "x"
    results.keep("model", model_of("bert"))
    assert results.find("model") is None


def test_two_processes_write_at_once(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pruning.results import Results;"
        "r = Results(Path(sys.argv[1]), 1 << 20);"
        "[r.keep(sys.argv[2] + str(i), list(range(i))) for i in range(20)]"
    )
    work = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [one.wait() for one in work] == [0, 0]
    results = Results(path, ROOMY)
    assert all(results.find(f"{name}{i}") == list(range(i)) for name in "ab" for i in range(20))


# Maps and guarantees ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"scope": "neurons"}, {"label_free": True}])
def test_a_map_is_scored_once(options: Any, path: Path, request: pytest.FixtureRequest) -> None:
    model, examples = model_of("bert"), examples_of("bert", ROWS)
    first = scored(Results(path, ROOMY), model, "gradient", examples, **options)
    request.getfixturevalue("nothing_is_worked_out")
    again = scored(Results(path, ROOMY), model, "gradient", examples, **options)
    assert again == first
    assert again.scores is not None
    assert np.array_equal(again.scores, first.scores)
    with pytest.raises(AssertionError, match="found already"):
        scored(Results(path, ROOMY), model, "fisher", examples, **options)


def test_a_map_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("bert")
    assert scored(None, model, "magnitude", None).values == score(model, "magnitude").values


def test_a_guarantee_is_confirmed_once(path: Path, request: pytest.FixtureRequest) -> None:
    model, examples = model_of("bert"), examples_of("bert", 12)
    asked = Request("magnitude", "one-shot")
    first = guaranteed_plan(Results(path, ROOMY), model, examples, 30.0, asked)
    assert first.guarantee == guaranteed(model, examples, 30.0, asked).guarantee
    request.getfixturevalue("nothing_is_worked_out")
    assert guaranteed_plan(Results(path, ROOMY), model, examples, 30, asked) == first
    with pytest.raises(AssertionError, match="found already"):
        guaranteed_plan(Results(path, ROOMY), model, examples, 20.0, asked)


def test_a_kind_is_a_part_of_the_key() -> None:
    model = model_of("bert")
    assert finding_key("a", model, 1) != finding_key("b", model, 1)
    assert finding_key("a", model, 1) == finding_key("a", model, 1)
