"""Data and model: what this server opens, what the page says of a table, and what a session sees of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from pruning import DataError, LoadedModel, ModelError
from pruning.data import Dataset, DataSpec
from pruning.fitting import Reading, fit
from pruning.needs import check_needs
from pruning.sources import keep, stage
from tests.test_layers import ROOT, heavy_modules_after
from tests.ui.conftest import Pages
from ui import allowed, state
from ui.jobs import Job
from ui.maps import modified
from ui.sources import counts
from ui.sources.balance import balance_chart, describe_balance, finding
from ui.sources.models import facts, measuring_text, megabytes, why_not
from ui.store import Store, store

ROWS = b"what;verdict\n" + b"".join(
    f"{text};{label}\n".encode()
    for text, label in [("a good film", "Top"), ("a bad film", "Flop"), ("so so", "Meh"), ("", "Top")] * 3
    + [(f"film {i}", "Top" if i % 2 else "Flop") for i in range(20)]
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and nothing restricted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HEADROOM_MODELS", raising=False)
    monkeypatch.delenv("HEADROOM_ROOT", raising=False)
    return tmp_path


def test_the_parts_are_imported_without_torch() -> None:
    names = sorted(path.stem for path in (ROOT / "ui" / "sources").glob("*.py"))
    assert heavy_modules_after("\n".join(f"import ui.sources.{name}" for name in names if name != "__init__")) == []


# What this server opens ------------------------------------------------------------------------------------------


def model_opens(name: str) -> bool:
    try:
        allowed.check_model(name)
    except ModelError:
        return False
    return True


def data_opens(name: str) -> bool:
    try:
        allowed.check_data(name)
    except DataError:
        return False
    return True


@pytest.fixture
def root(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for visitors, beside what is none of their business, with ways out of it."""
    root = place / "root"
    (root / "model").mkdir(parents=True)
    for path in (root / "in.csv", place / "secret.csv"):
        path.write_text("text,label\na,0\nb,1\n")
    (place / "other").mkdir()
    (root / "out.csv").symlink_to(place / "secret.csv")
    (root / "out").symlink_to(place / "other")
    (root / "loop").symlink_to(root / "loop")
    (place / "way-in").symlink_to(root)
    (place / "rooted").mkdir()
    monkeypatch.setenv("HEADROOM_ROOT", str(place / "way-in"))
    return root


def test_everything_may_be_opened_on_ones_own_computer(place: Path) -> None:
    assert all(map(model_opens, ["demo", "owner/name", str(place), "~/x", "../x"]))
    assert all(map(data_opens, ["demo", "imdb", str(place / "x.csv"), "../x.csv"]))


def test_links_and_dots_do_not_lead_out_of_the_root(root: Path, place: Path) -> None:
    assert all(map(data_opens, ["demo", "owner/name", str(root / "in.csv"), str(root / "model" / ".." / "in.csv")]))
    assert model_opens(str(root / "model"))
    outside = [place / "secret.csv", root / ".." / "secret.csv", root / "out.csv", root / "loop", "~/x.csv", "x.csv",
               "../x", "/etc/passwd", "~nobody-of-that-name/x", "a\0b.csv", place / "rooted" / "x.csv"]  # fmt: skip
    assert [name for name in map(str, outside) if data_opens(name)] == []
    folders = [place / "other", root / "out", root / "model" / ".." / ".." / "other", "/", "tests", "./tests", "a/b/c"]
    assert [name for name in map(str, folders) if model_opens(name)] == []
    with pytest.raises(DataError, match=f"it opens the built-in data, uploads, hub datasets, and files below {root}"):
        allowed.check_data("/etc/passwd.csv")


def test_no_paths_at_all(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_ROOT", "none")
    (place / "x.csv").write_text("text\na\n")
    assert not data_opens(str(place / "x.csv"))
    assert not model_opens(str(place))
    assert data_opens("imdb")
    assert model_opens("owner/name")


def test_models_of_a_list(place: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_MODELS", "bert-*, google/*")
    assert all(map(model_opens, ["demo", "digits", "bert-base-uncased", "google/vit", str(root / "model")]))
    assert not any(map(model_opens, ["other/bert-base", "Google/vit", str(place)]))
    monkeypatch.delenv("HEADROOM_ROOT")
    assert not model_opens(str(root / "model"))  # a list alone opens no folder that is not on it
    monkeypatch.setenv("HEADROOM_MODELS", f"{root}/*")
    assert model_opens(str(root / "model"))
    assert not model_opens(str(root / "out"))  # leads elsewhere
    with pytest.raises(ModelError, match="it opens the built-in models and"):
        allowed.check_model("owner/name")


def test_the_store_asks_before_it_opens(demo: LoadedModel, root: Path, place: Path) -> None:
    own = Store()
    assert len(own.examples(demo, str(root / "in.csv"), "evaluation")) == 1  # the other chooses
    with pytest.raises(DataError, match="this server does not open"):
        own.examples(demo, str(root / "out.csv"), "evaluation")
    outside = keep("x.csv", place / "secret.csv", Reading("text", "label"))
    with pytest.raises(DataError, match="this server does not open"):
        own.examples(demo, outside.id, "evaluation")
    refused = own.request_model(str(place / "other"))
    own._load(refused)
    assert str(refused.error).startswith("this server does not open")


def test_a_table_may_not_name_images_elsewhere(root: Path, place: Path) -> None:
    def rows(*values: str) -> Dataset:
        return Dataset(DataSpec(str(root / "in.csv")), values, (), tuple(range(len(values))), 0, "")

    allowed.check_images(rows("a.png", "model/../b.png", "data:image/png;base64,xx"), "image-classification")
    allowed.check_images(rows("/etc/passwd"), "text-classification")  # a text like any other
    for value in ("../secret.png", "/etc/passwd", "out/x.png"):
        with pytest.raises(DataError, match="row 1: this server does not open"):
            allowed.check_images(rows("a.png", value), "image-classification")


# Figures and words -----------------------------------------------------------------------------------------------


def test_the_title_says_how_the_classes_are_balanced() -> None:
    def of(**rows: int) -> str:
        return finding({name: {"calibration": count, "evaluation": 0} for name, count in rows.items()}, 2)

    assert of() == "No row fits"
    assert of(positive=3) == "Every row is positive"
    assert of(positive=50, negative=50) == "The classes are about even: the largest, positive, has 50.0%"
    assert of(positive=75, negative=25) == "positive has 75.0% of the rows, 3.0 times as many as negative"


def test_class_names_are_no_markup() -> None:
    balance = {"<a href=x>&": {"calibration": 2, "evaluation": 1}, "b" * 60: {"calibration": 0, "evaluation": 1}}
    drawn = balance_chart(balance, 3)
    assert drawn.data[0].y[0] == "&lt;a href=x&gt;&amp;"
    assert [sum(trace.x) for trace in drawn.data] == [2, 2]
    assert "4 rows" not in describe_balance(balance, 3)
    assert "2 of 3 classes occur" in describe_balance(balance, 3)


def test_what_a_model_needs_is_told(bert_folder: Path) -> None:
    needs = check_needs(str(bert_folder))
    assert facts(needs)[:2] == [
        "Architecture: BertForSequenceClassification, 2 layers of 4 heads.",
        "Task: text classification.",
    ]
    assert why_not(needs) == ""
    assert measuring_text(needs) == "98 MB"
    assert megabytes(2_500_000_000) == "2.5 GB"


def test_texts_longer_than_the_model_reads_are_counted(demo: LoadedModel) -> None:
    job = Job(("one", "lengths"), "texts", lambda job: None)
    assert counts.count_long(job, demo, ["short", "word " * 600, "x" * 900]) == (1, 512)


def test_a_source_has_the_name_of_its_file_and_its_own_tasks() -> None:
    source = keep("My réviews.csv", stage("My réviews.csv", b"text,label\na,0\nb,1\n"), Reading("text", "label"))
    assert state.data_label(source.id) == "My réviews.csv"
    assert state.fits(source.id, "text-classification")
    assert not state.fits(source.id, "image-classification")
    assert modified(source.id) == 0.0
    assert state.data_label("own-0123456789abcdef") == "own-0123456789abcdef"
    assert state.fits("own-0123456789abcdef", "image-classification")  # nothing is known of it


# The page --------------------------------------------------------------------------------------------------------


def bring(script: AppTest, name: str = "my films.csv", content: bytes = ROWS) -> AppTest:
    script.file_uploader[0].upload(name, content, "text/csv")
    return fine(script.run())


def fine(script: AppTest) -> AppTest:
    assert not script.exception
    return script


def box(script: AppTest, label: str) -> SimpleNamespace:
    return next(one for one in script.selectbox if one.label.startswith(label))


def metrics(script: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in script.metric}


def test_a_table_is_mapped_counted_and_used(pages: Pages) -> None:
    pages.load()
    script = bring(fine(pages.open("data")))
    assert [header.value for header in script.header][:2] == ["my films.csv", "Columns"]
    assert (box(script, "Text column").value, box(script, "Label column").value) == ("what", "verdict")
    assert metrics(script)["Rows that fit"] == "0 of 32"
    assert next(b for b in script.button if b.label == "Use this data").disabled
    box(script, "Top").set_value("positive")
    box(script, "Flop").set_value("negative")
    fine(script.run())
    assert metrics(script)["Rows that fit"] == "26 of 32"
    assert any("3 × label left out, 3 × empty text" in warning.value for warning in script.warning)
    next(b for b in script.button if b.label == "Use this data").click()
    fine(script.run())
    source = script.session_state["sources"][0]
    assert source.startswith("own-")
    wanted = [script.session_state[key] for key in ("data_wanted",) if key in script.session_state]
    assert source in [script.session_state["session"].data, *wanted]
    other = fine(pages.open("data"))
    assert "sources" not in other.session_state
    opened = fine(pages.open("data", data=source))
    assert opened.session_state["sources"] == [source]


def test_a_table_that_cannot_be_read_says_so(pages: Pages) -> None:
    script = bring(fine(pages.open("data")), "no.csv", b"text,label\na,1\nb,2,3\n")
    assert any("No.csv cannot be read" in e.value or "no.csv cannot be read" in e.value for e in script.error)
    script = bring(fine(pages.open("data")), "no.csv", b"  ")
    assert [error.value for error in script.error] == ["no.csv is empty."]


def test_before_the_model_is_there_a_built_in_one_s_classes_are_known(pages: Pages) -> None:
    script = bring(fine(pages.open("data")))
    assert box(script, "Top").options == ["leave out", "negative", "positive"]


def test_an_id_that_is_not_here_says_why(pages: Pages) -> None:
    script = fine(pages.open("data", data="own-0123456789abcdef"))
    assert any("it was made on another one" in warning.value for warning in script.warning)


def test_a_restricted_server_offers_no_paths(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_ROOT", "none")
    monkeypatch.setenv("HEADROOM_MODELS", "google/*")
    script = fine(pages.open("data"))
    assert "On this computer" not in script.segmented_control(key="source_way").options
    script.segmented_control(key="sources_view").set_value("Model")
    fine(script.run())
    assert any("it opens the built-in models and google/" in caption.value for caption in script.caption)


def test_a_folder_is_checked_before_it_is_loaded(pages: Pages, bert_folder: Path) -> None:
    pages.load()
    script = fine(pages.open("data"))
    script.segmented_control(key="sources_view").set_value("Model")
    fine(script.run())
    assert [m.value for m in script.markdown if m.value.startswith("**")] == [
        "**MiniLM, movie-review sentiment**", "**ViT, handwritten digits**", "**SmolLM2-135M, language model**",
    ]  # fmt: skip
    script.text_input(key="model_asked").set_value(str(bert_folder))
    fine(script.run())
    next(b for b in script.button if b.label == "Check").click()
    fine(script.run())
    (job,) = [store().reader.latest(owner) for owner in list(store().reader._latest) if owner[1] == "needs"]
    assert job is not None
    assert job.finished.wait(30)
    fine(script.run())
    assert "Memory to load it" in metrics(script)
    assert not script.button(key="load checked").disabled


def test_equal_inputs_are_counted_by_row() -> None:
    import pandas as pd

    found = fit(pd.DataFrame({"t": ["a", "a", "b"], "l": ["x", "x", "y"]}), Reading("t", "l"))
    assert sum(sum(parts.values()) for parts in found.balance().values()) == 3
