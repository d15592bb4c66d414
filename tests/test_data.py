"""Reading examples: formats, odd columns, missing values, splits, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pruning import DataError, Dataset, DataSpec, LoadedModel, load_data, task_of, wrap_model
from pruning.dividing import choosing_and_measuring
from tests.families import FAMILIES, model_of

ROWS = {"text": ["a good film", 'bad, "very" bad', "zwei\nZeilen ∂"], "label": [1, 0, 1]}
WRITERS: dict[str, Any] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "json": lambda frame, path: frame.to_json(path, orient="records"),
    "parquet": lambda frame, path: frame.to_parquet(path),
}


def write(folder: Path, rows: dict[str, list[Any]], kind: str = "csv") -> Path:
    path = folder / f"rows.{kind}"
    WRITERS[kind](pd.DataFrame(rows), path)
    return path


def read(path: Path | str, **options: Any) -> Dataset:
    return load_data(DataSpec(str(path), **options))


# Formats -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    data = read(write(tmp_path, ROWS, kind))
    assert list(data.inputs) == ROWS["text"]
    assert list(data.labels) == ROWS["label"]
    assert all(type(label) is int for label in data.labels)
    assert data.rows == (0, 1, 2)
    assert (len(data), data.dropped) == (3, 0)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    first = {read(write(tmp_path, ROWS, kind)).fingerprint for kind in WRITERS}
    assert len(first) == 1
    assert read(write(tmp_path, ROWS | {"label": [1, 1, 1]})).fingerprint not in first
    assert read(write(tmp_path, ROWS), samples=2).fingerprint not in first


def test_a_byte_order_mark_and_capital_names_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "EXCEL.CSV"
    path.write_bytes("Text,Label\ncafé,pos\n".encode("utf-8-sig"))
    assert (read(path).inputs, read(path).labels) == (("café",), ("pos",))


@pytest.mark.parametrize(
    ("rows", "options", "inputs", "labels"),
    [
        ({"sentence": ["x"], "target": ["y"]}, {}, ("x",), ("y",)),
        ({"REVIEW": ["x"], "Sentiment": [1.0]}, {}, ("x",), (1,)),
        ({"what was said": ["x"], "label": [1]}, {}, ("x",), (1,)),
        ({"title": ["t"], "body": ["b"], "stars": [1]}, {"text_column": "body", "label_column": "stars"}, ("b",), (1,)),
        ({"text": ["x"], "sentence": ["y"]}, {"text_column": "sentence"}, ("y",), ()),
        ({"text": [12.5]}, {}, ("12.5",), ()),
        ({"text": ["NA"], "label": ["null"]}, {}, ("NA",), ("null",)),
    ],
)
def test_columns_are_found_or_named(
    tmp_path: Path, rows: dict[str, list[Any]], options: dict[str, str], inputs: tuple, labels: tuple
) -> None:
    data = read(write(tmp_path, rows), **options)
    assert (data.inputs, data.labels) == (inputs, labels)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_with_something_missing_are_left_out_and_counted(tmp_path: Path, kind: str) -> None:
    rows = {"text": ["a", None, "  ", "d", "e"], "label": ["1", "0", "1", None, "0"]}
    data = read(write(tmp_path, rows, kind))
    assert (data.inputs, data.rows, data.dropped) == (("a", "e"), (0, 4), 3)
    assert list(map(str, data.labels)) == ["1", "0"]


def test_samples_are_the_first_usable_rows(tmp_path: Path) -> None:
    path = write(tmp_path, {"text": [None, "b", "c", "d"], "label": [1, 1, 0, 0]}, "jsonl")
    assert read(path, samples=2).inputs == ("b", "c")
    assert read(path, samples=99).inputs == ("b", "c", "d")
    assert read(path).first(1).rows == (1,)
    with pytest.raises(DataError, match="at least 1, not 0"):
        read(path, samples=0)


def test_a_split_column_chooses_the_rows(tmp_path: Path) -> None:
    splits = ["evaluation", "calibration", "evaluation"]
    path = write(tmp_path, ROWS | {"split": splits})
    assert read(path, split="evaluation").rows == (0, 2)
    assert read(path, split="calibration").inputs == (ROWS["text"][1],)
    only = write(tmp_path, ROWS | {"split": ["evaluation"] * 3})
    with pytest.raises(DataError, match="no rows in the split calibration"):
        read(only, split="calibration")
    assert len(read(write(tmp_path, ROWS | {"split": ["a", "b", "c"]}))) == 3, "other splits are another's business"


@pytest.mark.parametrize(
    ("splits", "calibration", "evaluation"),
    [
        (["train", "validation", "train", "test"], ("train", (0, 2)), ("validation", (1,))),
        (["Test", "Train ", "test", "train"], ("train", (1, 3)), ("test", (0, 2))),
        (["train", "holdout", "train", "holdout"], ("train", (0, 2)), (None, (0, 1, 2, 3))),
        (["x", "y", "z", "z"], (None, (0, 1, 2, 3)), (None, (0, 1, 2, 3))),
    ],
)
def test_splits_by_their_usual_names(tmp_path: Path, splits: list[str], calibration: Any, evaluation: Any) -> None:
    path = write(tmp_path, {"text": list("abcd"), "label": [0, 1, 0, 1], "split": splits})
    for split, expected in (("calibration", calibration), ("evaluation", evaluation)):
        data = read(path, split=split)
        assert (data.split, data.rows) == expected
        assert data.first(1).split == data.split
    choosing, measuring = choosing_and_measuring(DataSpec(str(path)))
    assert not set(choosing.rows) & set(measuring.rows), "no row is in both"
    assert choosing.rows
    assert measuring.rows


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_a_stored_index_and_numbered_columns_do_no_harm(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({0: ["a", "b"], 1: [1, 0]}, index=["x", "y"]).rename(columns=str if kind == "parquet" else int)
    path = tmp_path / f"rows.{kind}"
    frame.to_json(path) if kind == "json" else frame.to_parquet(path)
    data = read(path, text_column="0", label_column="1")
    assert (data.inputs, data.labels, data.rows) == (("a", "b"), (1, 0), (0, 1))


def test_nullable_and_list_labels_are_read_as_they_are(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "label": pd.array([1, None], dtype="Int64")})
    frame.to_parquet(tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet").labels == (1,)
    path = write(tmp_path, {"text": ["a", "b"], "labels": [[0], [1, 2]], "split": [["x"], ["y"]]}, "parquet")
    assert read(path).labels == ([0], [1, 2])


# What cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.csv", b"\n\n", "is empty"),
        ("header.csv", b"text,label\n", "has no rows"),
        ("latin.csv", "text,label\ncaf\xe9,1\n".encode("latin1"), "is not written in UTF-8"),
        ("wide.csv", "text,label\na,1\n".encode("utf-16"), "is not written in UTF-8"),
        ("quote.csv", b'text,label\n"abc,1\n', "a quotation mark in row 1 is never closed"),
        ("ragged.csv", b"text,label\na,1\nb,1,2,3\n", "line 3 has 4 fields and the lines before it 2"),
        ("commas.csv", b"text,label\na, b,1\nc, d,0\n", "more fields than its header"),
        ("trailing.csv", b"text,label\na,1,\nb,0,\n", "more fields than its header"),
        ("bytes.csv", bytes(range(256)), "is no CSV file: its content is no text"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n", "is no CSV file: its content is PNG"),
        ("rows.csv", b"PAR1 and more", "is no CSV file: its content is Parquet"),
        ("missing.csv", b"text,label\n,1\nb,\n", "no row with both a text and a label"),
        ("two.csv", b"title,body\na,b\n", "which column holds the text.*title, body"),
        ("none.csv", b"x,y\n1,2\n", "which column holds the text"),
        ("empty.jsonl", b"", "is empty"),
        ("cut.jsonl", b'{"text": "a"}\n{"te', "cannot be read: it is not JSON from line 2 on"),
        ("lists.jsonl", b"[1]\n[2]", "each row has to be an object"),
        ("empty.json", b"", "is empty"),
        ("number.json", b"5", "each row has to be an object"),
        ("null.json", b"null", "has no rows"),
        ("list.json", b"[]", "has no rows"),
        ("deep.json", b"[" * 100_000, "nested too deeply"),
        ("text.parquet", b"text", "is no Parquet file"),
        ("cut.parquet", b"PAR1 and no end", "it is damaged or cut off"),
        ("notes.txt", b"text", "use .csv, .tsv, .jsonl, .json, .parquet"),
    ],
)
def test_files_that_cannot_be_read_say_why(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "there is no file"),
        ("nobody/nothing", "not a file here"),
        ("no such data", "not a file here"),
        ("", "not a data file"),
        (".", "not a data file"),
        ("~no_such_user/rows.csv", "there is no file"),
        ("a\0b.csv", "there is no file"),
        ("a\0b", "not a file here"),
        ("a" * 5000 + ".csv", "there is no file"),
        ("a" * 5000, "not a file here"),
    ],
)
def test_names_of_nothing_say_so(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(name)


@pytest.mark.parametrize("option", ["text_column", "label_column"])
def test_unknown_columns_are_answered_with_the_known_ones(tmp_path: Path, option: str) -> None:
    with pytest.raises(DataError, match=r"column 'verdict': the columns are text, label"):
        read(write(tmp_path, ROWS), **{option: "verdict"})


# Labels of a model -------------------------------------------------------------------------------------------------


def targets(model: LoadedModel, path: Path) -> tuple[int, ...]:
    return task_of(model).targets(model, read(path))  # type: ignore[attr-defined]


def test_labels_are_names_or_numbers(demo: LoadedModel, tmp_path: Path) -> None:
    rows = {"text": list("abcd"), "label": ["Negative", "POSITIVE", "0", "1"]}
    assert targets(demo, write(tmp_path, rows)) == (0, 1, 0, 1)


def test_whole_numbers_beside_gaps_are_labels_as_pandas_writes_them(demo: LoadedModel, tmp_path: Path) -> None:
    path = write(tmp_path, {"text": list("abc"), "label": [1.0, None, 0.0]})
    assert "1.0" in path.read_text()
    assert targets(demo, path) == (1, 0)


@pytest.mark.parametrize(
    ("labels", "expected"), [(["1", "5", "2"], (0, 4, 1)), ([0, 4, 1], (0, 4, 1)), ([3.0, 4.0, 1.0], (2, 3, 0))]
)
def test_class_names_that_are_numbers_come_first(labels: list[Any], expected: tuple[int, ...], tmp_path: Path) -> None:
    """Stars from 1 to 5: a label of 1 is one star, unless a 0 among them shows that they are counted from 0."""
    stars = {i: str(i + 1) for i in range(5)}
    model = wrap_model(FAMILIES["bert"].build(id2label=stars, label2id={name: i for i, name in stars.items()}))
    assert targets(model, write(tmp_path, {"text": list("abc"), "label": labels})) == expected


def test_texts_of_digits_stay_as_they_are(tmp_path: Path) -> None:
    data = read(write(tmp_path, {"text": ["007", "2020-01-01"], "label": ["1", "0"]}, "jsonl"))
    assert (data.inputs, data.labels) == (("007", "2020-01-01"), ("1", "0"))


def test_what_a_label_means_does_not_depend_on_how_many_rows_are_taken(tmp_path: Path) -> None:
    """1 is a name until a 0 is seen further down; then all of them are numbers."""
    stars = {i: str(i + 1) for i in range(3)}
    model = wrap_model(FAMILIES["bert"].build(id2label=stars, label2id={name: i for i, name in stars.items()}))
    path = write(tmp_path, {"text": ["a", "b", "c", "d"], "label": [1, 2, 0, 1]})
    whole = load_data(str(path))
    few = load_data(DataSpec(str(path), samples=2))
    task = task_of(model)
    assert task.targets(model, whole) == (1, 2, 0, 1)
    assert task.targets(model, few) == task.targets(model, whole.first(2)) == (1, 2)
    assert few.fingerprint == whole.first(2).fingerprint


@pytest.mark.parametrize("label", ["neutral", 2, -1, 0.5])
def test_unknown_labels_are_named_with_their_row(demo: LoadedModel, tmp_path: Path, label: Any) -> None:
    path = write(tmp_path, {"text": ["a", "b"], "label": [1, label]})
    with pytest.raises(DataError, match=r"row 1: .* is not a label of this model; allowed are negative, positive"):
        targets(demo, path)


def test_no_labels_for_a_classifier_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no label column: name it with --label-column"):
        targets(model_of("bert"), write(tmp_path, {"text": ["a"]}))


def test_a_file_without_a_header_shows_what_was_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a good film,1\na bad film,0\n")
    with pytest.raises(DataError, match=r"the columns are 'a good film', '1' \(the first line of a CSV file"):
        targets(model_of("bert"), tmp_path / "rows.csv")


def test_lists_of_labels_are_refused(demo: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a label"):
        targets(demo, write(tmp_path, {"text": ["a", "b"], "labels": [[0], [1, 0]]}, "parquet"))


def test_rows_that_choose_never_measure(tmp_path: Path) -> None:
    choosing, measuring = choosing_and_measuring(DataSpec("demo"))
    assert (len(choosing), len(measuring)) == (512, 1500)
    assert not set(choosing.inputs) & set(measuring.inputs)
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"text {i // 2},{i % 4 // 2}\n" for i in range(40)))
    choosing, measuring = choosing_and_measuring(DataSpec(str(file)))
    assert not set(choosing.inputs) & set(measuring.inputs), "equal inputs stay together"
    assert sorted(choosing.rows + measuring.rows) == list(range(40))
    for part in (choosing, measuring):
        assert sorted(part.labels) == [0] * 10 + [1] * 10, "alternating labels are in both halves"
    file.write_text("text,label\nsame,0\nsame,1\n")
    with pytest.raises(DataError, match="hold the same input"):
        choosing_and_measuring(DataSpec(str(file)))
    file.write_text("text,label,split\na,0,calibration\nb,1,evaluation\n")
    choosing, measuring = choosing_and_measuring(DataSpec(str(file)))
    assert (choosing.inputs, measuring.inputs) == (("a",), ("b",))


def test_out_of_domain_rows_are_paired_with_their_home() -> None:
    choosing, measuring = choosing_and_measuring(DataSpec("tweets"))
    assert choosing.spec.name == "demo"
    assert measuring.spec.name == "tweets"


def test_one_row_cannot_both_choose_and_measure(tmp_path: Path) -> None:
    file = tmp_path / "row.csv"
    file.write_text("text,label\nalone,0\n")
    with pytest.raises(DataError, match="one row"):
        choosing_and_measuring(DataSpec(str(file)))
