"""The built-in data and adapter as they are kept: sizes, the stable split, and nothing that was trained on."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from pruning import DataError, DataSpec, load_data

DEMO = Path(__file__).resolve().parents[1] / "assets" / "demo"
SPLITS = json.loads((DEMO / "data" / "splits.json").read_text(encoding="utf-8"))
ROWS = {"calibration": 512, "evaluation": 1500, "tweets": 500, "amazon": 500}
CLEAR_ROWS = 10_041  # movie sentences with |rating| > 0.5, each text once


def rows_of(name: str) -> list[dict[str, str]]:
    with (DEMO / "data" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def keys_of(name: str) -> list[str]:
    """SHA-256 of each case-folded text with single spaces."""
    return [hashlib.sha256(" ".join(row["text"].casefold().split()).encode()).hexdigest() for row in rows_of(name)]


def test_the_adapter_is_small_and_is_safetensors() -> None:
    files = {path.name: path.stat().st_size for path in (DEMO / "adapter").iterdir()}
    assert sum(files.values()) <= 4 * 1024**2
    assert set(files) == {"adapter_config.json", "adapter_model.safetensors"}


@pytest.mark.parametrize("name", ROWS)
def test_row_counts_and_classes_are_those_of_the_split(name: str) -> None:
    rows = rows_of(name)
    assert len(rows) == ROWS[name] == SPLITS[name]["rows"]
    assert sum(row["label"] == "positive" for row in rows) == SPLITS[name]["positive"]
    assert all((float(row["rating"]) > 0.5) == (row["label"] == "positive") for row in rows)
    assert all(abs(float(row["rating"])) > 0.5 for row in rows)
    assert all(row["text"].strip() for row in rows)


@pytest.mark.parametrize("name", ROWS)
def test_rows_stand_in_the_order_of_their_hash_without_repeats(name: str) -> None:
    keys = keys_of(name)
    assert keys == sorted(set(keys))


def test_the_lowest_hashes_evaluate_and_the_next_calibrate() -> None:
    assert keys_of("evaluation")[-1] < keys_of("calibration")[0]
    assert not set(keys_of("evaluation")) & set(keys_of("calibration"))


def test_no_training_row_can_be_among_them() -> None:
    """Both sets together are the lowest 2,012 of all hashes, so a training row's hash lies above every one of them.

    The hashes are uniform: 2,012 of 10,041 have to end close to 20% of the way (give or take 1.6, four deviations).
    """
    assert sum(SPLITS[name]["rows"] for name in ("evaluation", "calibration", "training")) == CLEAR_ROWS
    share = (ROWS["evaluation"] + ROWS["calibration"]) / CLEAR_ROWS
    assert int(keys_of("calibration")[-1], 16) / 16**64 == pytest.approx(share, abs=0.016)
    assert sorted(path.stem for path in (DEMO / "data").glob("*.csv")) == sorted(ROWS)


@pytest.mark.parametrize(("name", "split"), [("demo", "calibration"), ("demo", "evaluation"), ("tweets", "evaluation")])
def test_built_in_data_is_read_whole(name: str, split: str) -> None:
    data = load_data(DataSpec(name, split))  # type: ignore[arg-type]
    file = split if name == "demo" else name
    assert list(data.inputs) == [row["text"] for row in rows_of(file)]
    assert list(data.labels) == [row["label"] for row in rows_of(file)]
    assert data.dropped == 0


@pytest.mark.parametrize("name", ["tweets", "amazon"])
def test_out_of_domain_sets_are_for_evaluation_only(name: str) -> None:
    with pytest.raises(DataError, match="is an evaluation set"):
        load_data(DataSpec(name, "calibration"))


def test_the_kept_importance_belongs_to_this_model_and_data() -> None:
    path = DEMO / "importance.json"
    if not path.is_file():
        pytest.skip("importance.json has not been made yet: run `python assets/make_demo.py importance`")
    from pruning import ImportanceMap, criteria
    from pruning.builtin import BUILT_IN

    maps = [ImportanceMap.from_json(value) for value in json.loads(path.read_text(encoding="utf-8"))["maps"]]
    names = [found.criterion for found in maps]
    assert names == [name for name in criteria() if name in names]
    assert {name for name, criterion in criteria().items() if criterion.quick} <= set(names)
    data = load_data(DataSpec("demo", "calibration")).fingerprint
    for found in maps:
        assert tuple(map(len, found.values)) == (12,) * 6
        assert found.model == BUILT_IN["demo"].fingerprint()
        assert found.data in ("", data)
        assert found.samples in (0, 512) or (found.criterion, found.samples) == ("shapley", 64)
