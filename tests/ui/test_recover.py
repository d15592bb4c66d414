"""The Recover page without a browser: nothing removed, without training, training, its result, and the other parts."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterator
from dataclasses import fields

import pytest
from streamlit.testing.v1 import AppTest

from pruning import LoadedModel
from pruning.language import later
from pruning.masks import Mask
from pruning.recovery.methods import recovery_methods
from pruning.recovery.settings import History, Training
from tests.families import examples_of, model_of
from tests.ui.conftest import ROOT, Pages, served
from tests.ui.test_pages import fine, press, words
from ui.jobs import Job, Worker
from ui.recovery_charts import describe_training, kept_row, training_chart, training_title
from ui.store import Loading, Store, store
from ui.training_form import CHOSEN_ABOVE, advanced_fields, field_help

MASK = Mask.parse_heads("0:0,1:1")
ROWS = 24


@pytest.fixture(params=["bert"])
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedModel]:
    with served(model_of(request.param), examples_of(request.param, ROWS), monkeypatch) as model:
        yield model


def opened(mask: Mask = MASK, view: str = "Pruned model") -> AppTest:
    script = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    script.query_params.update({"mask": mask.to_code()} if mask else {})
    script.session_state["recover_view"] = view
    script.run()
    while store().request_model("demo").state == "loading":
        time.sleep(0.01)
    return fine(script.switch_page("pages/recover.py").run())


def ended(script: AppTest, worker: Worker, kind: str) -> Job:
    """Wait for a job of the session, and draw what came of it."""
    job = worker.latest((script.session_state["session_id"], kind))
    assert job is not None
    assert job.finished.wait(60)
    assert job.state in ("done", "cancelled"), job.error
    fine(script.run())
    return job


def labels(script: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in script.metric}


def trained(script: AppTest) -> AppTest:
    press(script, "Start training")
    ended(script, store().recoveries.trainer, "train")
    ended(script, store().evaluator, "measure recovered")
    return script


# The page ---------------------------------------------------------------------------------------------------------


def test_before_the_model_is_there_the_page_says_what_is_waiting(pages: Pages) -> None:
    script = fine(pages.open("explore", mask=MASK.to_code()))
    fine(script.switch_page("pages/recover.py").run())
    assert script.title[0].value == "Recover"
    assert "The mask (2 heads removed) is waiting for it." in script.info[0].value
    pages.load()
    fine(script.run())
    assert "Start training" in [button.label for button in script.button]


def test_an_empty_mask_offers_an_example(pages: Pages) -> None:
    pages.load()
    script = fine(pages.open("explore"))
    fine(script.switch_page("pages/recover.py").run())
    assert script.info[0].value.startswith("Nothing is removed yet")
    press(script, "Take 48 of 72 heads of lowest absolute gradient")
    assert "Start training" in [button.label for button in script.button]


def test_a_model_that_fails_leaves_nothing_to_recover(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Store, loading: Loading) -> None:
        loading.error, loading.state = "demo cannot be used", "failed"

    monkeypatch.setattr(Store, "_load", fail)
    store.clear()
    script = opened()
    assert [info.value for info in script.info] == ["There is no model to recover. Pick one in the sidebar."]


# Recovery ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiny", ["bert", "llama-lm"], indirect=True)
def test_the_replacements_stand_side_by_side(tiny: LoadedModel) -> None:
    script = opened()
    assert set(labels(script).values()) == {"not measured"}
    press(script, "Measure all three")
    ended(script, store().evaluator, "compare replacements")
    assert list(labels(script)) == ["Nothing in place", "Means in place", "Reconstruction in place"]
    assert "not measured" not in labels(script).values()
    assert "Measure all three" not in [button.label for button in script.button]


def test_a_training_is_measured_exported_and_belongs_to_its_mask(tiny: LoadedModel) -> None:
    script = trained(opened())
    assert {"Unpruned", "Pruned", "Recovered"} <= set(labels(script))
    assert "Training changed the pruned model by" in words(script)
    assert "Distillation on 10 rows, 2 held out" in words(script)
    assert "holds out 2 for stopping early. The data has no split" in words(script)
    press(script, "Make the checkpoint")
    ended(script, store().recoveries.trainer, "pack")
    found = store().recoveries.trained(script.session_state["session_id"])
    assert found is not None
    archive = store().recoveries.archive(found)
    assert archive is not None
    assert {"smaller/config.json", "smaller/model.safetensors"} <= set(zipfile.ZipFile(archive.path).namelist())
    assert "--recover distill --recover-minutes 2" in "\n".join(code.value for code in script.code)
    script.session_state["session"] = None
    del script.session_state["session"]
    script.query_params["mask"] = Mask.parse_heads("0:1").to_code()
    fine(script.run())
    assert "Recovered" not in labels(script)
    assert any("another mask (2 heads, distillation)" in info.value for info in script.info)
    press(script, "Restore that mask")
    assert "Recovered" in labels(script)


def test_a_cancelled_training_keeps_nothing_and_a_stopped_one_its_best(tiny: LoadedModel) -> None:
    script, recoveries = opened(), store().recoveries
    fine(script.number_input(key="train_distill_epochs").set_value(100_000).run())
    for label, state, kept in (("Cancel", "cancelled", False), ("Stop and keep the best", "done", True)):
        press(script, "Start training")
        job = recoveries.trainer.latest((script.session_state["session_id"], "train"))
        assert job is not None
        while job.done < 2 and job.active:
            job.finished.wait(0.01)
        fine(script.run())
        press(script, label)
        assert ended(script, recoveries.trainer, "train").state == state
        assert (recoveries.trained(script.session_state["session_id"]) is not None) == kept


def test_a_training_in_steps_says_so_everywhere(tiny: LoadedModel) -> None:
    script = opened(Mask.parse_heads("0:0,1:1-2"))
    assert script.selectbox(key="train_cuts").value == 1
    trained(fine(script.selectbox(key="train_cuts").set_value(3).run()))
    found = store().recoveries.trained(script.session_state["session_id"])
    assert found is not None
    assert found.asked.cuts == 3
    assert found.recovered.settings.minutes == pytest.approx(2 / 3)
    assert found.recovered.pruned.mask == found.asked.mask
    assert "Distillation in 3 cuts on 10 rows, 2 held out" in words(script)
    assert "--recover-minutes 2 --recover-steps 3" in "\n".join(code.value for code in script.code)
    job = store().recoveries.trainer.latest((script.session_state["session_id"], "train"))
    assert job is not None
    assert job.step == later("Training after cut {n} of {total}", n=3, total=3)


def test_several_steps_need_nothing_in_place(tiny: LoadedModel) -> None:
    script = opened()
    fine(script.selectbox(key="train_cuts").set_value(2).run())
    fine(next(one for one in script.segmented_control if "Means" in one.options).set_value("mean").run())
    assert script.selectbox(key="train_one_cut").disabled
    assert "choose “Nothing” above for them" in words(script)
    trained(script)
    found = store().recoveries.trained(script.session_state["session_id"])
    assert found is not None
    assert (found.asked.compensation, found.asked.cuts) == ("mean", 1)


def test_a_setting_out_of_range_says_what_is_allowed(tiny: LoadedModel) -> None:
    script = opened()
    fine(script.number_input(key="train_distill_held_out").set_value(1.5).run())
    assert "it must be 0 or more and below 1" in script.error[0].value
    assert next(b for b in script.button if b.label == "Start training").disabled


def test_training_rows_never_measure(tiny: LoadedModel) -> None:
    rows = store().recoveries.rows(tiny, "file.csv")
    assert rows.divided
    assert len(rows.train) + len(rows.measure) == ROWS
    assert set(map(id, rows.train.features)).isdisjoint(map(id, rows.measure.features))


# The other parts --------------------------------------------------------------------------------------------------


def test_single_weights_are_measured_in_accuracy_size_and_speed(tiny: LoadedModel) -> None:
    script = opened(view="Single weights")
    assert "Zeros alone make nothing faster or smaller" in words(script)
    press(script, "Measure")
    ended(script, store().recoveries.trainer, "sparsify")
    assert list(labels(script)) == ["As it is", "With zeros", "Zeros"]
    assert labels(script)["Zeros"] == "50.0%"
    tables = [html.proto.body for html in script.get("html") if "<table>" in html.proto.body]
    assert "Compressed rows, CSR" in tables[0]
    assert "sparse kernel" in tables[1]


def test_single_weights_go_while_the_others_are_trained(tiny: LoadedModel) -> None:
    script = opened(view="Single weights")
    fine(script.toggle(key="sparse_training").set_value(True).run())
    assert "20% of them are held out for stopping early" in words(script)
    press(script, "Train and measure")
    ended(script, store().recoveries.trainer, "sparsify")
    assert labels(script)["Zeros"] == "50.0%"
    assert "Fine-tuning of all weights on 10 rows, 2 held out" in words(script)
    assert "While training" in [header.value for header in script.header]
    fine(script.segmented_control(key="sparse_pattern").set_value("2:4").run())
    toggle = script.toggle(key="sparse_at_once")
    assert (toggle.disabled, toggle.value) == (True, False)
    assert "A pattern cannot grow" in toggle.help
    press(script, "Measure")
    ended(script, store().recoveries.trainer, "sparsify")
    assert "Fine-tuning" not in words(script)


def test_an_ensemble_is_compared_with_its_best_member(tiny: LoadedModel) -> None:
    script = opened(view="Ensembles")
    assert script.multiselect[0].value[:2] == ["present", "gradient"]
    fine(script.multiselect[0].set_value(["present", "gradient", "random 0"]).run())
    press(script, "Measure the ensemble")
    ended(script, store().scorer, "ensemble")
    assert "Disagreement" in words(script)
    assert script.header[0].value.startswith("The ensemble is ")
    (table,) = [html.proto.body for html in script.get("html") if "<table>" in html.proto.body]
    assert "The present mask</td><td>2</td>" in table
    fine(script.multiselect[0].set_value(["random 0"]).run())
    assert "Pick at least two members." in [info.value for info in script.info]


@pytest.mark.parametrize("tiny", ["llama-lm"], indirect=True)
def test_a_language_model_is_told_why_there_is_no_ensemble(tiny: LoadedModel) -> None:
    script = opened(view="Ensembles")
    assert script.info[0].value.startswith("Ensembles are for classification")


# Pure parts -------------------------------------------------------------------------------------------------------

RECORD = (History(0, 0.0, None, 0.5, 0.8), History(5, 2.0, 0.6, 0.4, 0.9), History(10, 4.0, 0.3, 0.45, 0.9))


def test_the_chart_marks_the_state_that_is_kept() -> None:
    figure = training_chart(RECORD)
    assert kept_row(RECORD) is RECORD[1]
    ring = next(trace for trace in figure.data if trace.name == "kept")
    assert (ring.x, ring.y) == ((5,), (0.4,))
    widths = {trace.name: trace.line.width for trace in figure.data if trace.mode == "lines+markers"}
    assert widths["held out"] > widths["training"]
    assert "after 5 steps training loss 0.600, held out 0.400" in describe_training(RECORD)


def test_the_chart_breaks_at_every_cut_and_rings_what_follows_the_last() -> None:
    again = (History(0, 0.0, None, 0.7, 0.7), History(6, 2.0, 0.3, 0.6, 0.8))
    figure = training_chart((*RECORD, *again))
    lines = {trace.name: trace.x for trace in figure.data if trace.mode == "lines+markers"}
    assert lines["held out"] == (0, 5, 10, None, 10, 16)
    assert lines["training"] == (5, 10, None, 16)
    ring = next(trace for trace in figure.data if trace.name == "kept")
    assert (ring.x, ring.y) == ((16,), (0.6,))
    assert [shape.x0 for shape in figure.layout.shapes] == [10]
    assert training_title((*RECORD, *again)) == "After cut 2 the held-out loss fell to 0.600"
    assert "after 16 steps training loss 0.300" in describe_training((*RECORD, *again))


@pytest.mark.parametrize(
    ("record", "title"),
    [
        ((), "Nothing is held out: the last state is kept"),
        (RECORD[:1], "The held-out loss is 0.500 before training"),
        ((RECORD[0], History(5, 1.0, 0.6, 0.7, 0.5)), "Training has not lowered the held-out loss"),
        (RECORD, "The held-out loss fell from 0.500 to 0.400"),
        ((History(0, 0, None, None, None),), "Nothing is held out: the last state is kept"),
    ],
)  # fmt: skip
def test_the_title_is_the_finding(record: tuple[History, ...], title: str) -> None:
    assert training_title(record) == title
    assert training_chart(record).layout.title.text


def test_every_setting_has_its_help_and_only_those_that_matter_are_shown() -> None:
    assert set(field_help()) == {field.name for field in fields(Training)}
    shown = {
        name: {field.name for field in advanced_fields(method.settings)}
        for name, method in recovery_methods().items()
        if method.settings is not None
    }
    assert not {"rank", "temperature", "distill_weight"} & shown["finetune"]
    assert "rank" in shown["lora"]
    assert shown["distill"] == {field.name for field in fields(Training)} - set(CHOSEN_ABOVE)
