"""The Export page without a browser: what it offers when, the files it makes, and whose they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel
from pruning.masks import Mask, NeuronId
from tests.families import examples_of, model_of
from tests.ui.conftest import ROOT, Pages, served
from tests.ui.test_pages import fine, press, words
from ui.export import browser, exports, figure_part, view
from ui.export.exports import Exports, Package, wanted
from ui.export.subject import Decision, Subject
from ui.export.told import even
from ui.files import command
from ui.jobs import Job, Worker
from ui.maps import modified
from ui.replacing import Replacements
from ui.state import Session
from ui.store import store

MASK = Mask.parse_heads("0:0,1:1")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    monkeypatch.setattr("ui.sweeping.kept_sweep", lambda: None)
    monkeypatch.setattr("ui.export.gathering.known_maps", lambda _: {})  # Home may or may not have scored one by now
    with served(model_of("bert"), examples_of("bert", 16), monkeypatch) as model:
        yield model


def opened(mask: Mask = MASK, **parameters: str) -> AppTest:
    script = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    script.query_params.update(parameters | ({"mask": mask.to_code()} if mask else {}))
    script.run()
    while store().request_model("demo").state == "loading":
        time.sleep(0.01)
    return fine(script.switch_page("pages/export.py").run())


def ended(script: AppTest, worker: Worker, kind: str) -> Job:
    """Wait for a job of the session, and draw what came of it."""
    job = worker.latest((script.session_state["session_id"], kind))
    assert job is not None
    assert job.finished.wait(60)
    assert job.state == "done", job.error
    fine(script.run())
    return job


def downloads(script: AppTest) -> dict[str, bool]:
    """The download buttons by label, and whether they are enabled."""
    return {one.proto.label: not one.proto.disabled for one in script.get("download_button")}


# The page ---------------------------------------------------------------------------------------------------------


def test_before_the_model_is_there_the_page_says_what_is_waiting(pages: Pages) -> None:
    script = fine(pages.open("explore", mask=MASK.to_code()))
    fine(script.switch_page("pages/export.py").run())
    assert script.title[0].value == "Export"
    assert "The mask (2 heads removed) is waiting for it." in script.info[0].value
    pages.load()
    fine(script.run())
    assert "Make the checkpoint" in [button.label for button in script.button]


def test_an_empty_mask_leads_to_prune_and_still_gives_numbers_and_a_report(tiny: LoadedModel) -> None:
    script = opened(Mask())
    assert "nothing removed" in words(script)
    assert "this would be the unpruned model" in script.info[0].value
    assert "Open Prune" in [button.label for button in script.button]
    assert "Make the checkpoint" not in [button.label for button in script.button]
    assert downloads(script)["Download the report"]
    assert "There is nothing to draw yet" in script.info[1].value


def test_the_first_line_is_measured_when_asked_and_the_tables_open(tiny: LoadedModel) -> None:
    script = opened()
    assert "2 of 8 heads removed · nothing in its place · not measured yet" in words(script)
    assert not downloads(script)["Results"]
    press(script, "Measure it")
    ended(script, store().evaluator, "evaluate")
    assert "n = 16" in words(script)
    assert "against the unpruned model" in words(script)
    found = downloads(script)
    assert found["Results"]
    assert found["Predictions"]
    assert not found["Sweep"]


@pytest.mark.parametrize("keep", ["none", "mean"])
def test_what_another_session_has_measured_is_not_asked_for_again(tiny: LoadedModel, keep: str) -> None:
    first = opened(keep=keep)
    press(first, "Measure it")
    ended(first, store().evaluator, "evaluate")
    data = first.session_state["session"].data
    store()._examples.put((tiny.fingerprint, data, "evaluation", modified(data)), examples_of("bert", 16))
    assert "against the unpruned model" in words(opened(keep=keep))  # a reload is a new session, too
    assert "not measured yet" in words(opened(Mask.parse_heads("0:1"), keep=keep))


def test_the_checkpoint_is_made_once_and_its_checks_are_told(tiny: LoadedModel, tmp_path: Path) -> None:
    script = opened()
    press(script, "Make the checkpoint")
    ended(script, store().exports.worker, "export checkpoint")
    said = words(script)
    assert "Reloaded with plain transformers: difference 0." in said
    assert "Its model card holds no figures" in said
    assert "It needs `trust_remote_code=True`: the code is `modeling_headroom.py`" in said
    assert 'AutoModelForSequenceClassification.from_pretrained("smaller", trust_remote_code=True)' in [
        one.value for one in script.code
    ]
    (label,) = [label for label in downloads(script) if label.startswith("Download the checkpoint")]
    assert "MB" in label or "kB" in label
    found = package_of(script)
    assert found is not None
    with zipfile.ZipFile(found.path) as archive:
        assert archive.testzip() is None
        assert {"smaller/config.json", "smaller/model.safetensors", "smaller/README.md", "smaller/mask.json"} <= set(
            archive.namelist()
        )
    script.query_params["mask"] = Mask.parse_heads("0:1").to_code()
    del script.session_state["session"]
    fine(script.run())
    assert "Make the checkpoint" in [button.label for button in script.button], "that was another mask"


def test_code_of_its_own_is_announced_where_parts_become_unlike(tiny: LoadedModel) -> None:
    anatomy = tiny.anatomy
    heads = [Mask.parse_heads(text) for text in ("0:0", "0:0,1:1", "0:0,0:1,1:0")]
    assert [even(mask, anatomy) for mask in heads] == [False, True, False]
    assert not even(Mask(neurons=frozenset({NeuronId(0, 1)})), anatomy)
    assert even(Mask(layers=frozenset({0})), anatomy)
    assert "and transformers loads it with `trust_remote_code=True`" in words(opened(heads[0]))
    assert "whether that needs `trust_remote_code=True` is said before you download it" in words(opened(heads[1]))


def package_of(script: AppTest) -> Package | None:
    model = store().request_model("demo").model
    assert model is not None
    about = Subject(model, Decision("demo", "demo", MASK), "", "")
    return store().exports.package(script.session_state["session_id"], wanted("checkpoint", about))


def test_two_sessions_have_files_of_their_own(tiny: LoadedModel) -> None:
    first, second = opened(), opened()
    press(first, "Make the checkpoint")
    ended(first, store().exports.worker, "export checkpoint")
    fine(second.run())
    assert package_of(second) is None
    assert "Make the checkpoint" in [button.label for button in second.button]


def test_figures_are_chosen_and_need_a_browser_for_all_but_html(
    tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = opened()
    assert downloads(script)["Download the figures"]
    box = next(one for one in script.multiselect if one.label == "Figures")
    assert box.value == ["mask"]
    monkeypatch.setenv(browser.VARIABLE, "/nowhere")
    fine(script.segmented_control(key="export_figure_format").set_value("png").run())
    assert "Download the figures" not in downloads(script)
    assert "PNG needs a browser to draw it, and BROWSER\\_PATH names /nowhere" in words(script)
    assert next(b for b in script.button if b.label == "Draw as PNG").disabled
    fine(next(one for one in script.multiselect if one.label == "Figures").set_value([]).run())
    assert "Choose at least one figure." in words(script)
    assert "With no figures from above." in words(script)


def test_figures_are_converted_as_a_job(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(figures: list[Any], kind: str, progress: Any) -> list[bytes]:
        progress(len(figures), len(figures))
        return [f"{kind} of {figure.layout.width}".encode() for figure in figures]

    monkeypatch.setattr(exports, "convert", convert)
    monkeypatch.setattr(figure_part, "missing", str)
    script = opened()
    fine(script.segmented_control(key="export_figure_format").set_value("svg").run())
    press(script, "Draw as SVG")
    ended(script, store().exports.worker, "export figures")
    assert "Download mask.svg" in downloads(script)
    fine(script.segmented_control(key="export_theme").set_value("dark").run())
    assert "Download mask.svg" not in downloads(script), "these would be light"


def test_the_popover_of_prune_shares_files_and_command(tiny: LoadedModel) -> None:
    assert command(Session(), None) == "python -m pruning prune demo --mask mask.json -o smaller"
    script = opened()
    assert "Mask file" in downloads(script)
    assert any(code.value.startswith("python -m pruning prune demo --heads 0:0,1:1") for code in script.code)
    assert any("load_model(" in code.value for code in script.code)
    assert any(MASK.to_code() == code.value for code in script.code)


def test_names_of_files_are_safe() -> None:
    named = {"demo": "demo", "/home/me/my model/": "my-model", "org/bert_base": "bert_base", "../..": "model"}
    for model, start in named.items():
        subject = Subject(model_of("bert"), Decision(model, "demo", MASK), "", "")
        assert view.file_name(subject, "a.zip") == f"{start}-a.zip"


# Files ------------------------------------------------------------------------------------------------------------


def made(job: Job, within: float = 120) -> Job:
    assert job.finished.wait(within)
    return job


@pytest.mark.parametrize(
    ("mask", "compensation"),
    [
        (Mask(layers=frozenset({1})), "none"),
        (Mask(neurons=frozenset({NeuronId(0, 1), NeuronId(0, 5)})), "mean"),
        (MASK | Mask(neurons=frozenset({NeuronId(1, 2)})), "reconstruct"),
    ],
)
def test_whatever_is_removed_can_be_packed_and_is_noted(mask: Mask, compensation: str) -> None:
    model, records = model_of("bert"), []
    found = Exports(Replacements(lambda *_: examples_of("bert", 16)), lambda make: records.append(make()))
    subject = Subject(model, Decision("demo", "demo", mask, compensation), "Tiny", "Rows")
    job = made(found.checkpoint("one", subject))
    assert job.state == "done", job.error
    package = found.package("one", job.fingerprint)
    assert package is not None
    assert found.package("two", job.fingerprint) is None
    with zipfile.ZipFile(package.path) as archive:
        assert Mask.from_json(json.loads(archive.read("smaller/mask.json"))) == mask
    (record,) = records
    assert (record.kind, record.owner, record.mask) == ("export", "one", mask)
    assert record.settings == {"compensation": compensation, "format": "checkpoint"}


def test_a_checkpoint_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = Exports(Replacements(lambda *_: examples_of("bert", 16)))
    subject = Subject(model_of("bert"), Decision("demo", "demo", Mask.parse_heads("9:9")), "Tiny", "Rows")
    job = made(found.checkpoint("one", subject))
    assert job.state == "failed"
    assert "9" in str(job.error)
    assert list(tmp_path.glob("headroom-*")) == []


def test_files_are_gone_when_the_process_ends(tmp_path: Path) -> None:
    """In a process of its own, which ends like any other."""
    program = (
        "from pathlib import Path; from ui.export.exports import Package, Shelf, temporary_folder\n"
        "shelf = Shelf()\n"
        "with temporary_folder() as home:\n"
        "    (home / 'a.zip').write_bytes(b'x')\n"
        "    shelf.put('key', Package(home / 'a.zip'))\n"
        "print(home, home.exists())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("True\n")
    assert list(tmp_path.glob("headroom-*")) == []


@pytest.mark.slow
def test_onnx_is_translated_and_checked_in_a_process_of_its_own() -> None:
    found = Exports(Replacements(lambda *_: examples_of("bert", 16)))
    subject = Subject(model_of("bert"), Decision("demo", "demo", MASK), "Tiny", "Rows")
    job = made(found.onnx("one", subject), 240)
    assert job.state == "done", job.error
    package = found.package("one", job.fingerprint)
    assert package is not None
    assert package.path.name == "model.onnx"
    assert "Run by onnxruntime and compared with torch" in str(package.about[0])
    assert [path.name for path in package.path.parent.iterdir()] == ["model.onnx"]


def test_a_refusal_of_onnx_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = Exports(Replacements(lambda *_: examples_of("bert", 16)))
    subject = Subject(model_of("bert"), Decision("demo", "demo", MASK), "Tiny", "Rows")
    monkeypatch.setattr(
        exports, "_translate", lambda *_: (_ for _ in ()).throw(exports.UnsupportedError("a fixed length is needed"))
    )
    job = made(found.onnx("one", subject))
    assert (job.state, str(job.error)) == ("failed", "a fixed length is needed")
