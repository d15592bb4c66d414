"""The engine against forty kinds of architecture, and the machinery that does the same for all of them."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pruning import MaskError, PruningError
from pruning.conformance import REPRESENTATIVE
from pruning.conformance.check import Check, guarded, one_line
from pruning.conformance.command import conformance
from pruning.conformance.runner import Limits, read_report, run_all, write_report
from pruning.conformance.table import to_markdown, totals_of

# What is true of an architecture, and no fault: the check that is not simply right, and its answer.
SHORT = {
    "t5": {"cut layers": "partly"},  # the first layer computes the position bias of all layers
    "zamba2": {"cut layers": "unsupported"},  # so it does here, and the other layer is numbered by the configuration
    "jamba": {"cut layers": "partly"},  # the configuration computes from its number which layer attends
}
ANSWERED = {"right", "skipped"}


def answers_of(family: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every check of a result by its name."""
    found = {f"{part} {what}": check for part in ("gate", "cut") for what, check in family[part].items()}
    return found | {name: family[name] for name in ("reload", "generation", "untouched")}


@pytest.mark.parametrize("name", REPRESENTATIVE)
def test_the_engine_is_right_about(name: str) -> None:
    from pruning.conformance.checks import examine

    family = dict(examine(name))
    assert family["outcome"] not in ("not built", "no attention"), family["reason"]
    answers = answers_of(family)
    short = {check: found["status"] for check, found in answers.items() if found["status"] not in ANSWERED}
    assert short == SHORT.get(name, {}), {check: answers[check].get("reason") for check in short}
    assert all(found.get("reason") for found in answers.values() if found["status"] == "skipped")


def test_the_list_names_each_type_once() -> None:
    assert len(REPRESENTATIVE) == len(set(REPRESENTATIVE)) == 40


# The checks notice what is wrong --------------------------------------------------------------------------------------


def test_a_gate_that_does_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from pruning.conformance import gates
    from pruning.conformance.oracle import example_inputs
    from pruning.conformance.tiny import tiny_model
    from pruning.gating import Slot
    from pruning.models import wrap_model

    model = wrap_model(tiny_model("bert"))
    assert model.anatomy.sites
    monkeypatch.setattr(Slot, "gate", lambda slot, x, gate: x)
    found = gates.check_gates(model, example_inputs(model.module))
    assert found["heads"].status == found["neurons"].status == "wrong"
    assert "by hand" in found["heads"].reason


def test_a_projection_that_holds_no_heads_is_noticed() -> None:
    from dataclasses import replace

    from pruning.conformance.gates import check_gates
    from pruning.conformance.oracle import example_inputs
    from pruning.conformance.tiny import tiny_model
    from pruning.models import wrap_model

    model = wrap_model(tiny_model("bert"))
    first, *others = model.anatomy.sites
    wrong = replace(first, projection=first.projection.replace("output.dense", "self.query"))
    model.__dict__["anatomy"] = replace(model.anatomy, sites=(wrong, *others))
    found = check_gates(model, example_inputs(model.module))
    assert found["attention"].status == "wrong"
    model.__dict__["anatomy"] = replace(model.anatomy, sites=tuple(others))
    found = check_gates(model, example_inputs(model.module))
    assert found["complete"].status == "partly"
    assert first.name in found["complete"].reason


def test_a_copy_that_differs_is_noticed() -> None:
    import torch

    from pruning import Mask, prune
    from pruning.conformance.cuts import compare
    from pruning.conformance.oracle import example_inputs
    from pruning.conformance.tiny import tiny_model
    from pruning.models import wrap_model

    model = wrap_model(tiny_model("bert"))
    pruned = prune(model, Mask.parse_heads("0:1"))
    inputs = example_inputs(model.module)
    assert compare(model, pruned, inputs).status == "right"
    with torch.no_grad():
        pruned.module.classifier.weight.add_(0.1)
    found = compare(model, pruned, inputs)
    assert found.status == "wrong"
    assert set(found.more["runs"]) == {"sdpa", "sdpa, padded", "eager", "eager, padded"}


def test_what_is_raised_becomes_one_line() -> None:
    def fail() -> Check:
        raise MaskError("no\nmore")

    assert guarded(fail) == Check("wrong", reason="no")
    assert one_line(ValueError("a:\n b")) == "ValueError: a: b"
    assert one_line(KeyError()) == "KeyError"
    assert one_line(MaskError()) == "MaskError"
    with pytest.raises(MemoryError):
        one_line(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))


# The runner -----------------------------------------------------------------------------------------------------------


def acted(name: str) -> Iterator[tuple[str, Any]]:
    """A model type that does what its name says."""
    yield "doing", "acting"
    if name == "hangs":
        time.sleep(60)
    if name == "crashes":
        faulthandler.disable()  # pytest's would show where
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "exits":
        os._exit(3)
    if name == "raises":
        raise ValueError("first line\nsecond line")
    if name == "grows":
        _ = bytearray(3_000_000_000)
    if name == "interrupts":
        time.sleep(0.5)  # the parent is waiting by then
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(20)
    yield "class", name.title()
    yield "outcome", "right"


def test_each_type_gets_a_result_whatever_becomes_of_its_process() -> None:
    names = ["works", "hangs", "crashes", "exits", "raises", "grows", "again"]
    seen: list[tuple[int, int, str]] = []
    found = run_all(
        names,
        acted,
        jobs=2,
        limits=Limits(seconds=2, memory_gb=1),
        on_done=lambda done, total, name, family: seen.append((done, total, name)),
    )
    assert {name: (family["outcome"], family.get("reason")) for name, family in found.items()} == {
        "works": ("right", None),
        "hangs": ("stopped", "took longer than 2 s (acting)"),
        "crashes": ("stopped", "the process died of SIGSEGV (acting)"),
        "exits": ("stopped", "the process ended without a result (acting)"),
        "raises": ("stopped", "ValueError: first line (acting)"),
        "grows": ("stopped", "needs more than 1 GB (acting)"),
        "again": ("right", None),
    }
    assert [done for done, _, _ in seen] == list(range(1, 8))
    assert all(set(family) <= {"class", "outcome", "reason", "seconds"} for family in found.values())
    assert found["works"]["class"] == "Works"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl + C interrupts: a process that a shell has started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_keeps_what_is_done() -> None:
    kept: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_all(["works", "interrupts", "never"], acted, on_done=lambda done, total, name, family: kept.append(name))
    assert kept == ["works"]


# The report and the command -------------------------------------------------------------------------------------------


def test_a_report_goes_on_only_with_the_same_libraries(tmp_path: Path) -> None:
    from pruning.conformance.runner import new_report

    report = new_report() | {"families": {"bert": {"outcome": "right", "difference": float("inf")}}}
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json")["families"] == {"bert": {"outcome": "right", "difference": "inf"}}
    assert list(tmp_path.iterdir()) == [tmp_path / "report.json"]
    write_report(report | {"torch": "0.1"}, tmp_path / "old.json")
    with pytest.raises(PruningError, match=r"torch '0\.1'"):
        read_report(tmp_path / "old.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(PruningError, match="cannot be read"):
        read_report(tmp_path / "broken.json")


def test_the_command_writes_results_and_goes_on_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruning.conformance.command.prepare", lambda: acted)
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    options = ["--json", str(results), "--table", str(page), "--jobs", "2"]
    first = CliRunner().invoke(conformance, ["--family", "bert", *options])
    assert first.exit_code == 0, first.output
    assert "1 of 1" in first.stderr
    second = CliRunner().invoke(conformance, ["--family", "bert", "--family", "gpt2", *options, "--resume"])
    assert second.exit_code == 0, second.output
    assert "bert" not in second.stderr
    report = json.loads(results.read_text())
    assert list(report["families"]) == ["bert", "gpt2"]
    assert report["totals"]["outcomes"]["right"] == 2
    assert {"version", "date", "transformers", "torch"} <= report.keys()
    assert "Of 2 model types 2 were built" in page.read_text()


def test_the_command_refuses_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruning.conformance.command.prepare", lambda: acted)
    refused = CliRunner().invoke(conformance, ["--family", "no_such_type"])
    assert isinstance(refused.exception, PruningError)
    assert "'no_such_type'" in str(refused.exception)
    assert CliRunner().invoke(conformance, ["--resume"]).exit_code == 2


# The table ------------------------------------------------------------------------------------------------------------

FOUND = {"sites": 2, "heads": 8, "blocks": 2, "layers": 2, "layout": ["compact"]}
GATES = {what: {"status": "right", "difference": 0.0} for what in ("heads", "neurons", "layers")}
CUTS = {what: {"status": "right", "difference": 2e-7} for what in ("heads", "neurons", "layers", "together")}
RIGHT = {
    "class": "A",
    "found": FOUND,
    "gate": GATES,
    "cut": CUTS,
    "reload": {"status": "right"},
    "generation": {"status": "skipped"},
    "outcome": "right",
    "reason": "",
}
FAMILIES: dict[str, dict[str, Any]] = {
    "a": RIGHT,
    "b": RIGHT | {"outcome": "wrong", "reason": "reload: a | b", "reload": {"status": "wrong"}},
    "c": {
        "class": "C",
        "found": FOUND,
        "gate": GATES,
        "outcome": "stopped",
        "reason": "took longer (cutting)",
    },
    "d": {"outcome": "not built", "reason": "no class"},
    "e": {"class": "E", "found": FOUND | {"sites": 0}, "outcome": "no attention", "reason": "none found"},
}


def test_totals_count_what_has_attention() -> None:
    totals = totals_of(FAMILIES)
    assert (totals["families"], totals["built"], totals["with_attention"]) == (5, 4, 3)
    assert totals["reload"]["right"] == totals["reload"]["wrong"] == totals["reload"]["stopped"] == 1
    assert (totals["gating"]["right"], totals["gating"]["of"]) == (3, 3)
    assert (totals["generation"]["skipped"], totals["generation"]["of"]) == (2, 1)


def test_the_page_has_a_row_for_each_type_and_a_reason_for_each_failure() -> None:
    page = to_markdown({"date": "2026-01-01", "transformers": "5", "torch": "2", "families": FAMILIES})
    assert "| Masking heads | 3 | 3 | 100.0% |" in page
    assert "| a | A | 2 | 8 | 2 | 2 | ✓ ✓ ✓ | ✓ | ✓ | ✓ | ✓ | 2e-07 | ✓ | – |" in page
    assert "- b: reload: a \\| b" in page
    sections = page.split("\n## ")
    assert "- e: none found" in next(part for part in sections if part.startswith("Without attention heads"))
    last = sections[-1]
    assert last.startswith("Not built, or stopped")
    assert "- c: took longer" in last
    assert "- d: no class" in last
