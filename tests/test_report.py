"""What Export writes without a page: commands, the program, tables, figures and the report."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pruning import DataSpec, LoadedModel, Mask, compare, count_cost, evaluate, load_data, score, task_of
from pruning.cli import commands
from pruning.errors import Cancelled
from pruning.recovery.reconstruction import compensate
from pruning.statistics import Estimate
from tests.families import examples_of, model_of
from ui.export import browser, exports, gathering
from ui.export.pictures import pictures, sized
from ui.export.report import limits, report, verdict
from ui.export.script import evaluate_command, needs_file, prune_command, python_script
from ui.export.subject import Decision, Measured, Subject
from ui.export.tables import FILES, IMPORTANCE, importance_table, predictions_table, results_table
from ui.export.webpage import Drawn, document, place
from ui.jobs import Job

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "</title><script>alert('x')</script><img src=http://evil.example/x>&amp; \"quoted\" 'name'\n# and a line"
MIXED = Mask.parse_heads("0:0") | Mask(layers=frozenset({1}))


def subject_of(family: str = "bert", mask: Mask | None = None, **changes: Any) -> Subject:
    """A tiny model, measured on 24 rows, with two importance maps."""
    model, examples = model_of(family), examples_of(family, 24)
    mask = Mask.parse_heads("0:0,1:1") if mask is None else mask
    before, after = evaluate(model, examples), evaluate(model, examples, mask)
    maps = score(model, "magnitude"), score(model, "gradient", examples)
    known = Subject(
        model=model, decision=Decision("demo", "demo", mask), label="Tiny", data_label="Rows",
        cost=count_cost(model, 8), measured=Measured(before, after, compare(before, after)), maps=maps,
        why=("Because.",),
    )  # fmt: skip
    return replace(known, **changes)


# Commands and program ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "words", "file"),
    [
        (Decision("demo", "demo", Mask.parse_heads("0:1,2:3")), "demo --heads 0:1,2:3 --data demo", ""),
        (Decision("demo", "demo", MIXED), "demo --mask mask.json --data demo", "mask.json"),
        (Decision("demo", "tweets", MIXED, "mean"), "demo --mask mask.json --recover mean --data tweets", "mask.json"),
        (
            Decision("my model", "my rows.csv", MIXED, "mean", planned=True, rows=1500),
            "'my model' --plan plan.json --recover-data 'my rows.csv' --data 'my rows.csv' --samples 1500",
            "plan.json",
        ),
    ],
)
def test_commands_are_complete_and_the_command_line_knows_their_options(what: Decision, words: str, file: str) -> None:
    cut, measure = prune_command(what, measure=True), evaluate_command(what)
    assert cut == f"python -m pruning prune {words} -o smaller"
    assert needs_file(what) == file
    for line in (cut, measure):
        _, _, _, name, *arguments = shlex.split(line)
        commands.commands[name].make_context(name, arguments)


def test_rows_that_made_the_replacement_are_not_measured_on_the_command_line() -> None:
    what = Decision("m", "a.csv", MIXED, "mean", same_rows=True)
    assert evaluate_command(what) == ""
    assert "--data a.csv" not in prune_command(what, measure=True)


def test_the_program_gives_the_figures_of_the_page(demo: LoadedModel, tmp_path: Path) -> None:
    """It is run as it is, on few rows, in a process that knows nothing of this one."""
    task, rows = task_of(demo), 24
    calibration, evaluation = (
        task.encode(demo, load_data(DataSpec("demo", split, rows))) for split in ("calibration", "evaluation")
    )  # type: ignore[arg-type]
    ranked = score(demo, "magnitude")
    mask = ranked.lowest(9)
    before = evaluate(demo, evaluation)
    after = evaluate(demo, evaluation, mask, compensation=compensate(demo, mask, calibration, "mean"))
    known = Subject(
        demo, Decision("demo", "demo", mask, "mean"), HOSTILE, "Rows", maps=(ranked,), criterion="magnitude",
        measured=Measured(before, after, compare(before, after)),
    )  # fmt: skip
    program = python_script(known).replace("ROWS = None", f"ROWS = {rows}")
    (tmp_path / "prune.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "prune.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "other weights" not in done.stdout
    assert "the 9 least important heads by weight magnitude are the mask: True" in done.stdout
    found = re.findall(r"^(\w+): (\S+) before, (\S+) \((\S+) to (\S+)\) after", done.stdout, re.MULTILINE)
    assert {name for name, *_ in found} == set(before.metrics)
    for name, old, *new in found:
        here = after.metrics[name]
        assert float(old) == pytest.approx(before.metrics[name].value, abs=2e-5)
        assert [float(one) for one in new] == pytest.approx([here.value, here.low, here.high], abs=2e-5)
    assert "difference after reloading 0.0" in done.stdout
    assert Mask.read(tmp_path / "smaller" / "mask.json") == mask


def test_a_program_without_a_mask_measures_and_cuts_nothing() -> None:
    program = python_script(subject_of(mask=Mask(), maps=()))
    compile(program, "prune.py", "exec")
    assert "prune(" not in program
    assert "calibration" not in program


@pytest.mark.parametrize("mask", [MIXED, Mask()])
def test_a_program_is_python_whatever_the_names_are(mask: Mask) -> None:
    named = subject_of(mask=mask)
    hostile = replace(named, label=HOSTILE, decision=replace(named.decision, model=HOSTILE, data=HOSTILE))
    compile(python_script(hostile), "prune.py", "exec")


def test_a_mask_that_is_too_long_comes_from_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.export.script.LONGEST_CODE", 1)
    assert 'mask = Mask.read("mask.json").check(model.anatomy)' in python_script(subject_of())


# Tables -----------------------------------------------------------------------------------------------------------


def test_importance_is_tidy_and_what_goes_with_a_layer_is_removed() -> None:
    known = subject_of(mask=MIXED)
    table = importance_table(known.maps, MIXED, known.model.anatomy)
    assert tuple(table.columns) == IMPORTANCE
    assert len(table) == 2 * known.model.anatomy.total_heads
    gradient = table[table["criterion"] == "gradient"]
    row = gradient[(gradient["site"] == 1) & (gradient["head"] == 1)].iloc[0]
    assert row["value"] == known.maps[1].values[1][1]
    assert row["standard error"] == known.maps[1].standard_errors[1][1]
    assert row["path"] == known.maps[1].sites[1]
    gone = {(site, head) for site, head in gradient[gradient["removed"]][["site", "head"]].itertuples(index=False)}
    inside = {(1, head) for head in range(known.model.anatomy.heads_per_site[1])}
    assert gone == {(0, 0)} | inside


def test_results_and_predictions_are_those_of_the_evaluations() -> None:
    measured = subject_of().measured
    assert measured is not None
    results = results_table(measured).set_index(["metric", "model"])
    for name, estimate in measured.after.metrics.items():
        assert tuple(results.loc[(name, "pruned"), ["value", "low", "high"]]) == (
            estimate.value, estimate.low, estimate.high,
        )  # fmt: skip
    change = measured.change.differences["accuracy"]
    assert results.loc[("accuracy", "difference"), "value"] == change.value
    assert set(results["n"]) == {24}
    rows = predictions_table(measured)
    assert len(rows) == 24
    assert int(rows["flipped"].sum()) == len(measured.change.flips)
    assert rows["loss after"].tolist() == measured.after.outcome.losses.tolist()


@pytest.mark.parametrize("kind", FILES)
def test_every_format_holds_the_same_rows(kind: str) -> None:
    known = subject_of("llama-lm")
    assert known.measured is not None
    for table in (importance_table(known.maps, known.mask, known.model.anatomy), predictions_table(known.measured)):
        written = FILES[kind][1](table)
        read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": lambda file: pd.DataFrame(json.load(file))}
        pd.testing.assert_frame_equal(read[kind](BytesIO(written)), table, check_dtype=False, rtol=1e-12)


# Figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "swin", "llama-lm"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_is_drawn_for_every_family(family: str, theme: str) -> None:
    known = pictures(subject_of(family, Mask.parse_heads("0:0")))
    names = [one.name for one in known]
    assert names[:2] == ["importance-gradient-heads", "importance-magnitude-heads"]
    assert "mask" in names
    assert ("differences" in names) == (family != "llama-lm")
    for one in known:
        figure = sized(one.draw(theme), theme, 760, 9 / 16)  # type: ignore[arg-type]
        assert figure.layout.width == 760
        assert figure.layout.height >= 427
        assert one.alt.endswith(".")


def test_neurons_and_layers_have_figures_of_their_own() -> None:
    from pruning.masks import NeuronId

    known = subject_of(mask=Mask(neurons=frozenset({NeuronId(0, 1), NeuronId(0, 2)})))
    more = tuple(score(known.model, "magnitude", scope=scope) for scope in ("neurons", "layers"))  # type: ignore[arg-type]
    names = {one.name: one for one in pictures(replace(known, maps=(*known.maps, *more)))}
    assert {"importance-magnitude-neurons", "importance-magnitude-layers", "mask-neurons"} <= set(names)
    assert "mask" not in names
    assert names["mask-neurons"].draw("light").data[0].x[0] > 0


def test_a_sweep_has_a_figure_of_its_first_lines() -> None:
    from tests.ui.test_tradeoff import TABLE

    known = {one.name: one for one in pictures(subject_of(sweep=TABLE))}
    assert "50% of the heads can go" in known["tradeoff"].alt
    assert sized(known["tradeoff"].draw("dark"), "dark", 1200).layout.width == 1200


def test_a_page_of_figures_holds_plotly_once_and_asks_for_nothing() -> None:
    one = pictures(subject_of())[0]
    drawn = [Drawn(one.draw("dark"), one.draw("dark"), one.alt)] * 2
    page = document("Figures", "".join(place(i, d) for i, d in enumerate(drawn)), drawn, "dark")
    assert page.count("plotly.js v") == 1
    assert page.count('id="figure-') == 2
    assert requests_of(page) == []
    assert "prefers-color-scheme: dark) { :root" not in page


@pytest.mark.skipif(bool(browser.missing()), reason=f"figures cannot be converted: {browser.missing()}")
@pytest.mark.parametrize(("kind", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_browser_draws_figures_in_the_font_of_the_screen(kind: browser.Format, start: bytes) -> None:
    figure = sized(pictures(subject_of())[0].draw("light"), "light", 560)
    seen: list[tuple[int, int]] = []
    (found,) = browser.convert([figure], kind, lambda done, total: seen.append((done, total)))
    assert found.startswith(start)
    assert seen == [(0, 1), (1, 1)]
    if kind == "svg":
        text = found.decode()
        assert "@font-face" in text
        assert set(re.findall(r"https?://[\w./]+", text)) <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
    if kind == "png":
        assert int.from_bytes(found[16:20], "big") == 560 * browser.SCALE


def test_without_a_browser_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(browser.VARIABLE, "/nowhere/chrome")
    assert str(browser.missing()) == "BROWSER_PATH names /nowhere/chrome, and there is no program there"
    with pytest.raises(browser.UnsupportedError, match="figures cannot be made into PNG: BROWSER_PATH names"):
        browser.convert([], "png")
    monkeypatch.delenv(browser.VARIABLE)
    monkeypatch.setenv("PATH", "")
    assert "there is no Chromium or Chrome" in str(browser.missing())


# The report -------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Rows of tables as lists of cells, each a list of values in full; all tags; and the text outside scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[tuple[float, float | None, float | None]]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._row, self._in, self._quiet = "", "", "", False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.tags.append((tag, found))
        self._quiet = tag in ("script", "style")
        if tag == "th" and found.get("scope") == "row":
            self._in, self._row = "row", ""
        if tag == "data":
            ends = (found.get("data-low"), found.get("data-high"))
            value = float(found["value"] or "nan"), *(None if end is None else float(end) for end in ends)
            self.rows.setdefault(self._row, []).append(value)  # type: ignore[arg-type]

    def handle_endtag(self, tag: str) -> None:
        self._in = "" if tag == "th" else self._in
        self._quiet = False if tag in ("script", "style") else self._quiet
        if tag == "tr":
            self._row = ""

    def handle_data(self, data: str) -> None:
        if self._in == "row":
            self._row += data
        if not self._quiet:
            self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def requests_of(page: str) -> list[str]:
    """Addresses that elements would fetch."""
    tags = read(page).tags
    found = [a.get(name) or "" for _, a in tags for name in ("src", "href", "srcset", "action", "data", "poster")]
    return [address for address in found if address and not address.startswith("data:")]


def full(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def test_every_number_of_the_report_is_one_of_the_page() -> None:
    known = subject_of()
    assert known.measured is not None
    assert known.cost is not None
    measured, after = known.measured, known.cost.after(known.mask)
    rows = read(report(known)).rows
    names = {"Accuracy": "accuracy", "F1": "f1", "Loss": "loss", "Calibration error": "calibration_error"}
    for label, name in names.items():
        wanted = [measured.before.metrics[name], measured.after.metrics[name], measured.change.differences[name]]
        assert rows[label] == [full(one) for one in wanted]
    assert [value for value, *_ in rows["Parameters"]][:2] == [known.cost.total.parameters, after.parameters]
    macs = [value for value, *_ in rows["Multiply-accumulates for 8 tokens"]]
    assert macs[:2] == [known.cost.total.macs, after.macs]
    loose = {value for value, *_ in rows[""]}
    allowed = {measured.change.p_value, 24.0, *(float(measured.change.count(k)) for k in ("worse", "better"))}
    allowed |= {float(len(measured.change.flips)), measured.before.metrics["accuracy"].value}
    allowed |= {measured.after.metrics["accuracy"].value, measured.change.differences["accuracy"].value}
    for flip in measured.change.flips:
        allowed |= {float(flip.position), flip.confidence_before, flip.confidence_after}
    allowed |= {float(n) for n in range(13)}  # how many flips are shown
    assert loose <= allowed


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (Estimate(-0.01, -0.02, 0.001), "do not show"),
        (Estimate(-0.02, -0.03, -0.01), "below zero: it gets worse"),
        (Estimate(0.02, 0.01, 0.03), "above zero: it gets better"),
    ],
)
def test_the_sentence_on_a_difference_says_no_more_than_its_interval(by: Estimate, words: str) -> None:
    assert words in verdict("accuracy", by)
    other = {"better": "worse", "worse": "better"}
    turned = re.sub("better|worse", lambda found: other[found[0]], words) if "zero" in words else words
    assert turned in verdict("loss", by)


def test_nothing_in_a_name_or_an_example_becomes_a_tag() -> None:
    known = subject_of()
    assert known.measured is not None
    flips = tuple(
        replace(flip, text=HOSTILE, label=HOSTILE, before=HOSTILE, after=HOSTILE)
        for flip in (known.measured.change.flips or (make_flip(),))
    )
    images = tuple(replace(flips[0], text=f"data:image/png;base64,{rest}") for rest in ("iVBORw==", "x' onerror='y"))
    change = replace(known.measured.change, flips=(*images, *flips))
    hostile = replace(
        known, label=HOSTILE, data_label=HOSTILE, why=(HOSTILE,), replaced=HOSTILE, link=HOSTILE,
        decision=replace(known.decision, model=HOSTILE, data=HOSTILE), measured=replace(known.measured, change=change),
    )  # fmt: skip
    page = report(hostile, pictures(hostile)[:3])
    reader = read(page)
    assert requests_of(page) == []
    assert [tag for tag, _ in reader.tags].count("script") == 2
    assert [a["src"] for tag, a in reader.tags if tag == "img"] == ["data:image/png;base64,iVBORw=="]
    assert not [name for _, a in reader.tags for name in a if name.startswith("on")]
    assert "alert('x')" in reader.text
    assert "Content-Security-Policy" in page


def make_flip() -> Any:
    from pruning.evaluation import Flip

    return Flip(0, "", "", "", "", 0.5, 0.5, "worse")


def test_the_report_says_what_was_not_measured() -> None:
    known = subject_of(measured=None, cost=None)
    text = read(report(known)).text
    assert "It has not been measured yet what that does to the task." in text
    assert "were not counted" in text
    assert "faster" not in text
    assert "It was not measured." in limits(known)[-2]


@pytest.mark.parametrize("family", ["llama-lm", "vit"])
def test_other_tasks_have_their_own_main_figure(family: str) -> None:
    known = subject_of(family, Mask.parse_heads("0:0"))
    text = read(report(known)).text
    noun = "perplexity" if family == "llama-lm" else "accuracy"
    assert f"the unpruned model has a{'n' if noun == 'accuracy' else ''} {noun} of" in text


def test_a_report_of_the_whole_model_has_no_second_column() -> None:
    known = subject_of(mask=Mask())
    page = read(report(known))
    assert "nothing removed" in page.text
    assert len(page.rows["Accuracy"]) == 1
    assert gathering.reasons(known, None) == ("Nothing is removed.",)


def test_the_reason_is_the_criterion_that_ranks_just_these_lowest() -> None:
    known = subject_of()
    lowest = replace(known, decision=replace(known.decision, mask=known.maps[0].lowest(3)))
    assert "is what weight magnitude ranks lowest." in gathering.reasons(lowest, None)[0]
    assert "chosen by hand" in gathering.reasons(replace(lowest, maps=()), None)[0]


# Files ------------------------------------------------------------------------------------------------------------


def test_a_shelf_keeps_the_newest_and_removes_what_it_drops(tmp_path: Path) -> None:
    import gc

    shelf = exports.Shelf(files=3, limit_bytes=250)
    for number in range(4):
        home = tmp_path / str(number)
        home.mkdir()
        (home / "a.zip").write_bytes(b"x" * 100)
        shelf.put(("one session", number), exports.Package(home / "a.zip"))
    gc.collect()
    assert [(tmp_path / str(number)).exists() for number in range(4)] == [False, False, True, True]
    assert shelf.get(("one session", 3)) is not None
    assert shelf.get(("another session", 3)) is None


def test_a_folder_of_work_that_is_cancelled_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    job = Job(("one", "kind"), "what", lambda job: None)
    job.cancel()
    with pytest.raises(Cancelled), exports.temporary_folder():
        job.report(0, 1)
    assert list(tmp_path.iterdir()) == []
