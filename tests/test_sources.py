"""Tables of somebody's own: odd files, what labels mean, how rows are divided, and sources that are kept."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruning import DataError, DataSpec, load_data
from pruning.data import is_source
from pruning.dividing import choosing_and_measuring, in_random_order, share_of
from pruning.fitting import SPLITS, Reading, fit, guess, match_labels
from pruning.folders import gather
from pruning.needs import ModelError, check_needs, known_cuts
from pruning.sources import adopt, fetch, find_source, folder_of_sources, keep, stage
from pruning.tables import read_table, written_as

CLASSES = ("negative", "positive")
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def table(path: Path) -> pd.DataFrame:
    return read_table(path, *written_as(path))


def read(name: str, content: str | bytes) -> pd.DataFrame:
    return table(stage(name, content.encode() if isinstance(content, str) else content))


def kept(rows: dict[str, list[Any]], **reading: Any) -> str:
    content = pd.DataFrame(rows).to_csv(index=False).encode()
    return keep("mine.csv", stage("mine.csv", content), Reading("text", "label", **reading)).id


# Files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marks_at_the_beginning_of_a_file_are_understood(encoding: str) -> None:
    found = read("odd.csv", "text;label\n这部电影很好;好\n“x, y”;差\n".encode(encoding))
    assert list(found.columns) == ["text", "label"]
    assert list(found["label"]) == ["好", "差"]


def test_another_encoding_is_asked_for() -> None:
    path = stage("old.csv", "text,label\ncafé,1\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"^old\.csv is not written in utf-8: choose another encoding$"):
        read_table(path, name="old.csv")
    assert read_table(path, "cp1252")["text"][0] == "café"


@pytest.mark.parametrize(("line", "separator"), [("a,b", ","), ("a;b", ";"), ("a\tb", "\t"), ('"x;y;z",b', ",")])
def test_the_separator_is_that_of_the_first_line(tmp_path: Path, line: str, separator: str) -> None:
    (tmp_path / "x.csv").write_text(f"{line}\n1{separator}2\n")
    assert written_as(tmp_path / "x.csv") == ("utf-8", separator)


def test_text_stays_as_it_is_written() -> None:
    found = read("x.csv", 'text,label\n1.50,007\n"a ""b"", c",NA\n')
    assert found.to_dict("list") == {"text": ["1.50", 'a "b", c'], "label": ["007", "NA"]}


def test_columns_of_one_name_are_told_apart() -> None:
    frame = pd.DataFrame([["a", "b", 1]], columns=["text", "text", ""])
    path = stage("x.parquet", pd.DataFrame({"text": ["a"]}).to_parquet())
    assert list(read("x.csv", frame.to_csv(index=False))) == ["text", "text.1", "Unnamed: 2"]
    assert list(table(path)) == ["text"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("x.csv", "", "x.csv is empty"),
        ("x.csv", " \n\n", "x.csv is empty"),
        ("x.csv", "text,label\n", "has no rows"),
        ("x.csv", "text,label\na,1\nb,2,3\n", "line 3"),
        ("x.xlsx", "PK", "is not a data file that can be read: use .csv"),
        ("x", "text", "is not a data file"),
        ("x.parquet", "text,label\na,1\n", "is no Parquet file"),
        ("x.json", "5", "each row has to be an object"),
        ("x.json", "[" * 100_000, "nested too deeply"),
        ("x.jsonl", "[1]\n3\n", "each row has to be an object"),
        ("x.jsonl", '{"text":', "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(name: str, content: str, why: str) -> None:
    with pytest.raises(DataError) as error:
        read(name, content)
    assert why in str(error.value)
    assert "\n" not in str(error.value)


def test_limits_are_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_SOURCE_ROWS", "2")
    with pytest.raises(DataError, match="has 3 rows, 2 are allowed"):
        read("x.csv", "text\na\nb\nc\n")
    monkeypatch.setenv("HEADROOM_SOURCE_FILE_MB", "1")
    for name, content in (("x.csv", b"text\n" + b"x" * (1 << 21)), ("x.parquet", _packed(1 << 21))):
        with pytest.raises(DataError, match="2 MB, 1 MB are allowed"):
            read(name, content)


def _packed(size: int) -> bytes:
    """A file that is small until it is unpacked."""
    content = pd.DataFrame({"text": ["".join(map(chr, range(40, 104))) * (size // 64)]}).to_parquet(compression="gzip")
    assert len(content) < size / 10
    return content


# Fitting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Positive", " NEGATIVE ", "“positive”"], {"Positive": 1, " NEGATIVE ": 0, "“positive”": 1}),
        (["0.0", "1.0"], {"0.0": 0, "1.0": 1}),
        (["True", "false"], {"True": 1, "false": 0}),
        (["1", "2", "3"], {}),
        (["positive", "1"], {"positive": 1, "1": 1}),
        (["good", "差"], {}),
    ],
)
def test_labels_match_by_name_or_number(values: list[str], expected: dict[str, int]) -> None:
    assert match_labels(values, CLASSES) == {value: CLASSES[index] for value, index in expected.items()}


def test_class_names_that_are_numbers_come_first() -> None:
    stars = ("1", "2", "3")
    assert match_labels(["1", "3"], stars) == {"1": "1", "3": "3"}
    assert match_labels(["0", "2"], stars) == {"0": "1", "2": "3"}
    assert match_labels(["very_good", "so-so"], ("Very good", "so so")) == {"very_good": "Very good", "so-so": "so so"}


def test_columns_are_guessed() -> None:
    rows = {"id": [1, 2], "stars": [1, 0], "what was said": ["a long text", "b"], "fold": ["train", "test"]}
    found = guess(pd.DataFrame(rows), CLASSES, images=False)
    assert (found.text, found.label, found.split) == ("what was said", "stars", "fold")
    assert found.parts == (("train", "calibration"), ("test", "evaluation"))
    pictures = pd.DataFrame({"label": ["a", "b"], "pixels": [{"bytes": b"\x89PNG", "path": None}] * 2})
    assert guess(pictures, CLASSES, images=True).text == "pixels"


def test_each_row_that_does_not_fit_has_a_reason() -> None:
    rows = {
        "text": ["a", "", None, float("nan"), ["nested"], {"x": 1}, PIXEL, "b", "c", 7, "\ud800"],
        "label": [1, 1, 1, 1, 1, 1, 1, None, "odd", 0.0, 1],
    }
    found = fit(pd.DataFrame(rows, dtype=object), Reading("text", "label", (("1", "positive"), ("0", "negative"))))
    assert list(found.reasons) == [
        "", "empty text", "empty text", "empty text", "not a text", "not a text", "an image, not a text",
        "empty label", "label left out", "", "not a text",
    ]  # fmt: skip
    assert [found.labels[row] for row in (0, 9)] == ["positive", "negative"]
    assert found.inputs[9] == "7"
    assert found.fitting == sum(len(found.rows(part)) for part in ("calibration", "evaluation")) == 2
    assert sum(found.refused().values()) == 9


def test_a_nested_column_of_parquet_is_refused_row_by_row() -> None:
    content = pd.DataFrame({"text": [["a", "b"], ["c"]], "label": [0, 1]}).to_parquet()
    assert set(fit(read("x.parquet", content), Reading("text", "label")).reasons) == {"not a text"}


def test_images_have_to_be_in_an_uploaded_table(tmp_path: Path) -> None:
    rows = pd.DataFrame({"image": [PIXEL, "/etc/passwd", "../x.png", {"bytes": b"\x89PNG", "path": None}, 3]})
    reading = Reading("image", images=True)
    assert list(fit(rows, reading).reasons) == ["", *["no image in the file"] * 2, "", "no image in the file"]
    assert fit(rows, reading, tmp_path).inputs[2] == str(tmp_path / "../x.png")


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(DataError, match="there is no column 'x': the columns are text"):
        fit(pd.DataFrame({"text": ["a"]}), Reading("x"))


@given(st.lists(st.text(max_size=8), min_size=1, max_size=40), st.floats(0.1, 0.9), st.integers(0, 5))
def test_no_input_is_in_both_parts(texts: list[str], share: float, seed: int) -> None:
    found = fit(pd.DataFrame({"text": texts}, dtype=object), Reading("text", share=share, seed=seed))
    choosing, measuring = ({texts[row] for row in found.rows(part)} for part in ("calibration", "evaluation"))
    there = {text for text in texts if text.strip()}
    assert choosing | measuring == there
    assert not choosing & measuring
    if len(there) > 1:
        assert choosing
        assert measuring
    assert sorted(found.order) == list(range(len(texts)))


def test_the_split_column_decides() -> None:
    rows = pd.DataFrame({"text": list("abcd"), "fold": ["train", "test", "unlabelled", None]})
    found = fit(rows, Reading("text", split="fold", parts=(("train", "calibration"), ("test", "evaluation"))))
    assert found.parts == ("calibration", "evaluation", None, None)
    assert found.shared == 0
    twice = fit(
        rows.assign(text=list("aabc")),
        Reading("text", split="fold", parts=(("train", "calibration"), ("test", "evaluation"))),
    )
    assert twice.shared == 1
    assert set(found.reasons[2:]) == {"in neither part of the split"}


def test_the_first_rows_stand_for_all() -> None:
    """A file that is sorted by its labels does not begin with one class."""
    rows = pd.DataFrame({"text": [f"w{i}" for i in range(400)], "label": [0] * 200 + [1] * 200})
    found = fit(rows, Reading("text", "label"))
    first = [found.labels[row] for row in found.rows("evaluation")[:60]]
    assert 15 < sum(first) < 45


# Folders ---------------------------------------------------------------------------------------------------------


def test_tables_of_a_folder_are_laid_one_upon_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("text,label\nsecret,1\n")
    (folder / "train.csv").write_text("text,label\na,1\n")
    (folder / "test.jsonl").write_text('{"text": "b", "label": "0"}\n')
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    found = table(gather(folder))
    assert found.to_dict("list") == {"text": ["b", "a"], "label": ["0", "1"], "split": ["test", "train"]}
    (folder / "other.csv").write_text("words\na\n")
    with pytest.raises(DataError, match=r"test\.jsonl and other\.csv have other columns"):
        gather(folder)


def test_images_of_a_folder_are_labelled_by_their_folders(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "test/dog/2.PNG", "train/cat/notes.txt"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(b"\x89PNG")
    found = table(gather(tmp_path / "pets"))
    assert found.drop(columns="image").to_dict("list") == {"label": ["dog", "cat"], "split": ["test", "train"]}
    reading = guess(found, ("cat", "dog"), images=True)
    assert fit(found, reading).parts == ("evaluation", "calibration")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no table"):
        gather(tmp_path / "empty")


# Keeping ---------------------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(words, words), min_size=2, max_size=8, unique_by=lambda row: row[0]), st.data())
def test_what_is_kept_comes_back(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    labels = {label.strip(): data.draw(st.sampled_from(CLASSES)) for _, label in rows}
    frame = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    source = find_source(kept(frame, labels=tuple(labels.items()), share=0.5))
    assert source.reading.labels == tuple(labels.items())
    parts = [load_data(DataSpec(source.id, split=split)) for split in ("calibration", "evaluation")]
    found = [pair for part in parts for pair in zip(part.inputs, part.labels, strict=True)]
    assert sorted(found) == sorted((text, labels[label.strip()]) for text, label in rows)
    assert [part.fingerprint for part in choosing_and_measuring(DataSpec(source.id))] == [p.fingerprint for p in parts]


def test_an_id_follows_from_name_content_and_reading() -> None:
    rows = {"text": ["a", "b"], "label": [0, 1]}
    first = kept(rows)
    assert is_source(first)
    assert kept(rows) == first
    assert len({first, kept(rows, seed=1), kept({"text": ["a", "c"], "label": [0, 1]})}) == 3


def test_a_source_knows_its_columns() -> None:
    source = kept({"text": ["a", "b"], "label": [0, 1]})
    with pytest.raises(DataError, match="knows its columns"):
        load_data(DataSpec(source, text_column="text"))


def test_one_row_cannot_do_both() -> None:
    source = kept({"text": ["only", ""], "label": [0, 1]})
    assert len(load_data(DataSpec(source))) == 1
    with pytest.raises(DataError, match=r"mine\.csv has no row for calibration \(1 × empty text\)"):
        load_data(DataSpec(source, split="calibration"))


@pytest.mark.parametrize(
    "name", ["own-", "own-../../x", "own-0123456789ABCDEF", "own-0123456789abcdef\n", "own-１２３"]
)
def test_only_ids_are_looked_for(name: str) -> None:
    assert not is_source(name)
    with pytest.raises(DataError, match="is not the id of a source"):
        find_source(name)


def test_an_unknown_id_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"there is no data own-0123456789abcdef on this computer: .* bring the file"):
        load_data("own-0123456789abcdef")


@pytest.mark.parametrize(
    "change",
    [{"path": "../../secret.csv"}, {"path": ".."}, {"name": 3}, {"id": "own-0123456789abcdef"}, {"reading": {}},
     {"reading": None}, {"extra": 1}],
)  # fmt: skip
def test_a_record_that_was_changed_is_refused(change: dict[str, Any]) -> None:
    source = kept({"text": ["a", "b"], "label": [0, 1]})
    record = folder_of_sources() / source / "source.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    with pytest.raises(DataError, match="is damaged"):
        load_data(source)


def test_a_file_that_stays_outside_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("text,label\na,0\nb,1\n")
    source = keep("mine.csv", path, Reading("text", "label"))
    assert source.outside
    assert not list((folder_of_sources() / source.id).glob("*.csv"))
    path.write_text("text,label\na,0\nb,1\nc,1\n")
    assert sum(len(load_data(DataSpec(source.id, split=s))) for s in ("calibration", "evaluation")) == 3
    path.unlink()
    with pytest.raises(DataError, match=r"there is no file|cannot be read"):
        load_data(source.id)


def test_names_never_become_paths() -> None:
    path = stage("../../../etc/cron.csv", b"text\na\n")
    assert path.resolve().is_relative_to(folder_of_sources().resolve())
    source = keep("../../evil.csv", path, Reading("text"))
    assert source.file.resolve().is_relative_to(folder_of_sources().resolve())
    assert source.name == "../../evil.csv"  # only ever shown


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_SOURCES_MB", "1")
    big = {"text": ["x" * 300_000, "y" * 300_000], "label": [0, 1]}
    first = kept(big)
    for path in folder_of_sources().iterdir():
        os.utime(path, (time.time() - 100,) * 2)
    second = kept({**big, "label": [1, 0]})
    with pytest.raises(DataError, match="made room for newer data"):
        find_source(first)
    assert load_data(second).inputs
    assert sum(file.stat().st_size for file in folder_of_sources().rglob("*.*") if file.is_file()) <= 1 << 20


# The hub and models ----------------------------------------------------------------------------------------------


def test_a_hub_dataset_is_kept_with_its_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[tuple[Any, ...]] = []

    def load(name: str, config: str | None, split: str) -> datasets.Dataset:
        asked.append((name, config, split))
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
        )
        return datasets.Dataset.from_dict({"text": [f"{split} a", "b"], "label": [1, -1]}, features=features)

    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda *_: ["train", "test", "unsupervised"])
    monkeypatch.setattr(datasets, "load_dataset", load)
    found = table(fetch("owner/name", "plain"))
    assert asked == [("owner/name", "plain", "train[:100000]"), ("owner/name", "plain", "test[:100000]")]
    assert list(found["label"]) == ["pos", "", "pos", ""]
    assert list(found["split"]) == ["train", "train", "test", "test"]
    with pytest.raises(DataError, match="has the splits train, test, unsupervised, not 'x'"):
        fetch("owner/name", split="x")


@pytest.mark.parametrize("name", ["../x", "/etc", "a/../b", "a b", "", "tests", "a/b/c", "--x"])
def test_only_hub_ids_are_fetched(name: str) -> None:
    with pytest.raises(DataError, match="is not the id of a hub dataset"):
        fetch(name)


def test_a_folder_is_looked_at_without_loading_it(bert_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert_folder, tmp_path / "bert")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    found = check_needs(str(folder))
    assert (found.architecture, found.task, found.licence) == (
        "BertForSequenceClassification", "text-classification", "mit",
    )  # fmt: skip
    assert (found.layers, found.heads, found.cutting) == (2, 4, "✓")
    assert found.weights > 10_000
    assert found.memory_bytes == int(1.3 * 4 * found.weights)
    assert found.fits


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "has no config.json"),
        ({"config.json": "{"}, "is not JSON: line 1"),
        ({"config.json": "[]", "model.safetensors": "x"}, "damaged"),
        ({"config.json": "{}"}, "has no safetensors file"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, files: dict[str, str], why: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelError, match=why):
        check_needs(str(tmp_path))


def test_without_the_network_a_hub_model_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="the hub cannot be reached: check the name and the network"):
        check_needs("owner/no-such-model")
    with pytest.raises(ModelError, match="is not a model name"):
        check_needs("two words")


def test_the_table_of_model_types_is_understood() -> None:
    assert len(known_cuts()) > 500
    assert known_cuts()["bert"] == "✓"


# Named by their path ---------------------------------------------------------------------------------------------


def test_a_table_that_is_named_by_its_path_is_divided(tmp_path: Path) -> None:
    file = tmp_path / "Alternating.csv"
    file.write_text("review;sentiment\n" + "".join(f"text {i};{i % 2}\n" for i in range(20)), encoding="utf-8")
    source = adopt(str(file))
    assert (source.name, source.outside, source.reading.separator) == ("Alternating.csv", True, ";")
    parts = [load_data(DataSpec(source.id, split)) for split in SPLITS]
    assert not set(parts[0].inputs) & set(parts[1].inputs)
    for part in parts:
        assert sorted(part.labels) == ["0"] * 5 + ["1"] * 5
    assert adopt(str(file)).id == source.id


def test_a_split_column_of_a_named_table_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [{"text": f"t{i}", "label": "good", "split": "test" if i > 2 else "train"} for i in range(5)]
    file.write_text("\n".join(map(json.dumps, rows)))
    source = adopt(str(file))
    assert [len(load_data(DataSpec(source.id, split))) for split in SPLITS] == [3, 2]


@pytest.mark.parametrize("name", ["nowhere.csv", "\0.csv", "~nobody-at-all/x.csv"])
def test_no_such_table_says_so(name: str) -> None:
    with pytest.raises(DataError):
        adopt(name)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=60), st.floats(0.1, 0.9), st.integers(0, 3))
def test_each_class_has_its_share(labels: list[str], share: float, seed: int) -> None:
    texts = [f"text {i}" for i in range(len(labels))]
    chosen = share_of(in_random_order(texts, seed), texts, labels, share)
    assert 0 < len(chosen) < len(texts)
    for name in set(labels):
        same = [text for text, label in zip(texts, labels, strict=True) if label == name]
        assert abs(len(chosen.intersection(same)) - share * len(same)) <= 2
