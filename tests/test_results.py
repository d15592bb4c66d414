"""Results on disk: the same evaluation, bounded, and never in the way."""

from __future__ import annotations

import logging
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pruning import Mask, PruningError, evaluate, task_of
from pruning import results as results_module
from pruning.evaluation import Evaluation, evaluate_in_steps
from pruning.results import Results, result_key
from tests.families import examples_of, model_of

MASK = Mask.parse_heads("0:1,1:2")
ROOMY = 1 << 20


def key_of(mask: Mask = MASK, made: tuple[str, ...] = ("none", ""), name: str = "bert", batch_size: int = 32) -> str:
    model, examples = model_of(name), examples_of(name, 8)
    return result_key(model, examples, task_of(model), mask, made, batch_size)


def measured(mask: Mask = MASK, name: str = "bert") -> Evaluation:
    return evaluate(model_of(name), examples_of(name, 8), mask)


def read(results: Results, key: str, mask: Mask = MASK, name: str = "bert", count: int = 8) -> Evaluation | None:
    model = model_of(name)
    return results.get(key, model, examples_of(name, count), task_of(model), mask)


@pytest.mark.parametrize("name", ["bert", "gpt2-lm", "vit"])
def test_what_is_kept_comes_back_in_another_process(name: str, tmp_path: Path) -> None:
    path, found = tmp_path / "new" / "results.sqlite", measured(name=name)
    Results(path, ROOMY).put(key_of(name=name), found)
    again = read(Results(path, ROOMY), key_of(name=name), name=name)
    assert again is not None
    assert again.metrics == found.metrics
    assert again.to_json() == found.to_json()
    assert np.array_equal(again.outcome.losses, found.outcome.losses)
    assert again.complete


def test_a_key_holds_everything_that_a_result_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key_of(), key_of(Mask()), key_of(made=("mean", "rows")), key_of(name="roberta"), key_of(batch_size=1)]
    monkeypatch.setattr(results_module, "_own_version", lambda: "other code")
    keys.append(key_of())
    assert len(set(keys)) == len(keys)


def test_the_oldest_make_room(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite", ROOMY)
    masks = [Mask.parse_heads(f"0:{i}") for i in range(4)]
    for mask in masks[:1]:
        results.put(key_of(mask), measured(mask))
    one = results.size
    small = Results(results.path, int(2.5 * one))
    for mask in masks[1:3]:
        small.put(key_of(mask), measured(mask))
        assert read(small, key_of(masks[0]), masks[0]) is not None  # asked for, so it stays
    small.put(key_of(masks[3]), measured(masks[3]))
    assert small.size <= small.limit
    assert read(small, key_of(masks[1]), masks[1]) is None
    assert read(small, key_of(masks[3]), masks[3]) is not None


def test_nothing_is_written_without_a_limit(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite", 0)
    results.put(key_of(), measured())
    assert read(results, key_of()) is None
    assert not results.path.exists()
    assert results.size == 0


def test_a_part_is_no_result(tmp_path: Path) -> None:
    part = replace(measured(), total=9)
    with pytest.raises(PruningError, match="part"):
        Results(tmp_path / "results.sqlite", ROOMY).put(key_of(), part)


def test_a_broken_file_ends_the_caching_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "results.sqlite"
    path.write_bytes(b"this is no database" * 100)
    results = Results(path, ROOMY)
    with caplog.at_level(logging.WARNING):
        assert read(results, key_of()) is None
    assert "not kept on disk" in caplog.text
    results.put(key_of(), measured())
    assert results.limit == 0


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    results = Results(tmp_path / "file" / "results.sqlite", ROOMY)
    results.put(key_of(), measured())
    assert read(results, key_of()) is None


@pytest.mark.parametrize("outcome", [b"", b"rubbish"])
def test_a_broken_row_is_no_result(outcome: bytes, tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite", ROOMY)
    results.put(key_of(), measured())
    with sqlite3.connect(results.path) as database:
        database.execute("UPDATE results SET outcome = ?", (outcome,))
    database.close()
    assert read(results, key_of()) is None
    assert results.limit


def test_a_row_for_other_examples_is_no_result(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.sqlite", ROOMY)
    results.put(key_of(), measured())
    assert read(results, key_of(), count=7) is None


def test_many_threads_write_at_once(tmp_path: Path) -> None:
    path, found = tmp_path / "results.sqlite", measured()
    stores = [Results(path, ROOMY) for _ in range(4)]

    def work(number: int) -> None:
        for i in range(5):
            stores[number].put(f"{number}-{i}", found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(read(Results(path, ROOMY), f"{number}-{i}") for number in range(4) for i in range(5))


def test_steps_end_in_what_is_kept(tmp_path: Path) -> None:
    """The dashboard keeps what its steps end in, and finds what `evaluate` gives."""
    results = Results(tmp_path / "results.sqlite", ROOMY)
    (*_, last) = evaluate_in_steps(model_of("bert"), examples_of("bert", 8), MASK)
    results.put(key_of(), last)
    again = read(results, key_of())
    assert again is not None
    assert again.metrics["accuracy"] == measured().metrics["accuracy"]
