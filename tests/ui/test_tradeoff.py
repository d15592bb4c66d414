"""The trade-off: what the chart and its words say of a table, and the page that measures one."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from pruning.cli import commands
from pruning.masks import Mask
from pruning.models import LoadedModel
from pruning.sweep import Bench, sweep
from pruning.tasks import Examples, task_of
from tests.families import examples_of, model_of
from tests.ui.conftest import Pages
from ui import sweeps
from ui.jobs import Cache, Worker
from ui.store import store
from ui.sweep_card import removed_text
from ui.sweeping import about
from ui.sweeps import Sweeps, SweepSettings
from ui.tradeoff import clicked_row, lines_of, spread, tradeoff
from ui.tradeoff_text import describe_tradeoff, finding, label_among, line_label

SMALL = SweepSettings(criteria=("magnitude", "random"), most=60, least=50, seeds=2)


def row(share: float, accuracy: float, **other: object) -> dict[str, object]:
    heads = round(72 * share)
    found: dict[str, object] = {
        "strategy": "one-shot", "criterion": "gradient", "compensation": "none", "budget": "heads", "share": share,
        "seed": 0, "heads": heads, "neurons": 100, "layers": 6, "parameters": 1000 + heads, "macs": 2000 + heads,
        "latency_ms": None, "samples": 400, "worse": 3, "better": 1, "made": "2026-01-02",
        "mask": Mask.parse_heads(f"0:0-{71 - heads}").to_code() if heads < 72 else "",
    }  # fmt: skip
    for name, value in (("accuracy", accuracy), ("loss", 1 - accuracy)):
        found |= {name: value, f"{name}_low": value - 0.02, f"{name}_high": value + 0.02}
        change = value - (0.9 if name == "accuracy" else 0.1)
        found |= {f"{name}_change": change, f"{name}_change_low": change, f"{name}_change_high": change}
    return found | other


def line(criterion: str, accuracies: list[float], **other: object) -> list[dict[str, object]]:
    shares = (1.0, 0.75, 0.5, 0.25)
    return [row(s, a, criterion=criterion, **other) for s, a in zip(shares, accuracies, strict=True)]


TABLE = pd.DataFrame(
    [
        *line("gradient", [0.9, 0.9, 0.896, 0.7]),
        *line("random", [0.9, 0.8, 0.6, 0.5]),
        *line("random", [0.9, 0.84, 0.64, 0.56], seed=1),
    ]
)

# The chart --------------------------------------------------------------------------------------------------------


def test_a_marker_for_every_plan_and_a_band_for_every_line() -> None:
    drawn = json.loads(tradeoff(TABLE).to_json())
    bands = [trace for trace in drawn["data"] if trace.get("fill") == "toself"]
    marked = [trace for trace in drawn["data"] if "customdata" in trace]
    assert [sorted(trace["customdata"]) for trace in marked] == [[1, 2, 3], [5, 6, 7, 9, 10, 11]]
    assert bands[0]["y"] == pytest.approx([68, 87.6, 88, 88, 92, 92, 91.6, 72])
    assert bands[1]["y"] == pytest.approx([50, 60, 80, 90, 90, 84, 64, 56])  # from the worst to the best order
    assert "50% of the heads left" in marked[0]["text"][1]
    assert "89.6% (87.6 to 91.6, n = 400)" in marked[0]["text"][1]
    assert "−0.4 points" in marked[0]["text"][1]
    assert "seed 1" in marked[1]["text"][3]


def test_lines_have_their_names_at_their_ends_and_none_covers_another() -> None:
    close = pd.DataFrame([*line("gradient", [0.9, 0.9, 0.9, 0.9]), *line("fisher", [0.9, 0.9, 0.9, 0.9])])
    labels = json.loads(tradeoff(close).to_json())["layout"]["annotations"]
    assert {label["text"].replace("<br>", " ") for label in labels} == {
        "Whole model", "Absolute gradient", "Fisher information",
    }  # fmt: skip
    feet = sorted(label["y"] for label in labels)
    assert feet[0] < feet[1] < feet[2]
    assert spread([1.0, 1.0], [10.0, 10.0], 0.0, 100.0) == [5.0, 15.0]


def test_many_lines_have_a_legend_and_bars() -> None:
    names = ["gradient", "fisher", "wanda", "entropy", "distance", "similarity", "output-norm", "magnitude-l1"]
    many = pd.DataFrame(
        [one for name in names for one in line(name, [0.9] * 4) + line(name, [0.8] * 4, strategy="uniform")]
    )
    drawn = json.loads(tradeoff(many).to_json())
    assert drawn["layout"]["showlegend"]
    assert drawn["layout"].get("annotations", []) == []
    shown = [trace["name"] for trace in drawn["data"] if trace.get("showlegend", True)]
    assert len(shown) == 16
    assert sum("error_y" in trace for trace in drawn["data"]) == 16


def test_the_front_is_drawn_when_asked_for() -> None:
    plain, fronted = (json.loads(tradeoff(TABLE, front=front).to_json())["data"] for front in (False, True))
    (front,) = [trace for trace in fronted if trace.get("line", {}).get("shape") == "hv"]
    assert len(fronted) == len(plain) + 1
    assert front["y"] == pytest.approx([70, 89.6, 90])
    assert front["x"] == pytest.approx([25, 50, 75])


def test_perplexity_is_drawn_on_a_logarithmic_scale() -> None:
    names = {"loss": "perplexity", "loss_low": "perplexity_low", "loss_high": "perplexity_high"}
    layout = json.loads(tradeoff(TABLE.rename(columns=names), kept="perplexity").to_json())["layout"]
    assert layout["yaxis"]["type"] == "log"
    assert layout["yaxis"]["range"][0] < -1 < layout["yaxis"]["range"][1]
    assert min(label["y"] for label in layout["annotations"]) < 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_controls_are_grey_and_others_are_not(theme: str) -> None:
    gradient, random = lines_of(TABLE, theme)  # type: ignore[arg-type]
    assert random.drawn
    assert not gradient.drawn
    assert gradient.colour != random.colour


def test_labels_say_what_differs() -> None:
    keys = [("one-shot", "gradient", "none"), ("iterative", "gradient", "none"), ("greedy", "measured loss", "mean")]
    assert [label_among(key, keys) for key in keys] == [
        "Absolute gradient, One shot",
        "Absolute gradient, Iterative",
        "Greedy + means",
    ]
    assert label_among(keys[0], keys[:1]) == "Absolute gradient"
    assert line_label(*keys[2]) == "Greedy + means"


# Words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accuracies", "title"),
    [
        ([0.9, 0.9, 0.896, 0.7], "50% of the heads can go for 0.4 points"),
        ([0.9, 0.91, 0.8, 0.7], "25% of the heads can go without losing accuracy"),
        ([0.9, 0.8, 0.7, 0.6], "Every cut that was measured costs more than 1 point of accuracy"),
    ],
)
def test_the_title_is_the_finding(accuracies: list[float], title: str) -> None:
    table = pd.DataFrame([*line("gradient", accuracies), *line("random", [0.9] * 4)])
    assert finding(table, "heads", "accuracy")[0] == title
    assert describe_tradeoff(table, "heads", "accuracy").startswith("Accuracy against the heads that are left. ")


def test_a_table_of_the_whole_model_alone_has_no_finding() -> None:
    assert finding(TABLE[:1], "heads", "accuracy") == ("", "")
    assert tradeoff(TABLE[:1]).data


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"points": [{"customdata": 3}]}, 3),
        ({"points": [{"customdata": [4]}]}, 4),
        ({"points": [{"curve_number": 1}]}, None),
        ({"points": [{"customdata": 99}]}, None),
        ({"points": [{"customdata": True}]}, None),
        ({"points": []}, None),
        (None, None),
    ],
)
def test_what_a_click_means(selection: object, expected: int | None) -> None:
    assert clicked_row(selection, 12) == expected


def test_what_goes_is_listed_by_layer() -> None:
    names = ["Layer 0", "Layer 1"]
    assert removed_text(Mask.parse_heads("0:3,1:2,1:5"), names) == ("Removes 3 heads: **Layer 0** 3 · **Layer 1** 2, 5")
    assert removed_text(Mask(), names) == "Removes nothing."
    assert about(3000) == "about 50 min"


# Settings ---------------------------------------------------------------------------------------------------------


def test_requests_are_what_makes_sense() -> None:
    requests, refused = replace(SMALL, strategies=("one-shot", "greedy"), compensations=("none", "mean")).requests()
    assert len(requests) == 2 * (1 + 2 + 1)  # for each compensation: magnitude, two random orders, greedy
    assert refused == []
    requests, refused = SweepSettings(criteria=("entropy", "gradient"), scopes=("neurons",)).requests()
    assert [request.criterion for request in requests] == ["gradient"]
    assert "entropy is not defined for neurons" in str(refused[0])


def test_searches_are_counted_once_for_all_compensations() -> None:
    assert SMALL.work == (3, 1 + 3 * 2)
    assert replace(SMALL, compensations=("none", "mean")).work == (3, 1 + 6 * 2)


def test_the_commands_exist() -> None:
    made = replace(SMALL, compensations=("none", "mean"), scopes=("heads", "neurons"), rows=300).commands(
        "demo", "x y.csv"
    )
    assert len(made) == 4
    for text in made:
        name, *arguments = shlex.split(text)[3:]
        commands.commands[name].make_context(name, arguments)
        assert "'x y.csv'" in text
    assert "--seeds 0,1" in made[1]
    assert "--budgets heads=1,heads=0.6,heads=0.5" in made[0]


# Sweeps -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(demo: LoadedModel, calibration: Examples, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Twelve rows choose and twelve others measure."""
    choosing, measuring = (calibration.at(range(start, start + 12)) for start in (0, 12))

    def make(model: LoadedModel, data: str) -> Bench:
        return Bench(model, task_of(model), choosing, measuring, known=Cache(100))

    monkeypatch.setattr(sweeps, "make_bench", make)
    return make(demo, "demo")


@pytest.fixture
def shared() -> Sweeps:
    return Sweeps(Worker("test sweeps"))


def test_a_sweep_keeps_its_points_and_another_shares_them(
    shared: Sweeps, bench: Bench, demo: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pruning.evaluation

    evaluated: list[Mask] = []
    real = pruning.evaluation.evaluate
    monkeypatch.setattr(
        pruning.evaluation, "evaluate", lambda m, e, mask=None, **o: evaluated.append(mask) or real(m, e, mask, **o)
    )
    job = shared.start("a", demo, "demo", SMALL)
    assert job.finished.wait(120)
    found = shared.found(demo, "demo", SMALL)
    assert found is not None
    assert found.complete
    assert len(found.rows) == 3 * 3
    assert len(evaluated) == 1 + 3 * 2
    wider = replace(SMALL, least=40)
    assert shared.start("a", demo, "demo", wider).finished.wait(120)
    again = shared.found(demo, "demo", wider)
    assert again is not None
    assert len(again.rows) == 3 * 4
    assert len(evaluated) == 1 + 3 * 3
    assert shared.seconds_per_row(demo)
    assert shared.rows_of(demo, "demo") == 12


def test_a_cancelled_sweep_keeps_what_it_has(shared: Sweeps, bench: Bench, demo: LoadedModel) -> None:
    keep = shared._keep

    def stop(key: object, swept: sweeps.Swept) -> None:
        keep(key, swept)
        if len(swept.rows) == 2:
            job.cancel()

    shared._keep = stop  # type: ignore[method-assign]
    job = shared.start("a", demo, "demo", SMALL)
    assert job.finished.wait(120)
    assert job.state == "cancelled"
    found = shared.found(demo, "demo", SMALL)
    assert found is not None
    assert not found.complete
    assert len(found.rows) == 2


def test_lines_that_cannot_be_are_named_and_the_others_are_measured(
    shared: Sweeps, bench: Bench, demo: LoadedModel
) -> None:
    """LAMP needs values whose high end is important; entropy has its low one."""
    mixed = SweepSettings(("entropy", "magnitude"), ("layer-adaptive",), most=50, least=50)
    assert shared.start("a", demo, "demo", mixed).finished.wait(120)
    found = shared.found(demo, "demo", mixed)
    assert found is not None
    assert {one["criterion"] for one in found.rows} == {"magnitude"}
    assert "entropy" in str(found.refused[0])
    job = shared.start("a", demo, "demo", replace(mixed, criteria=("entropy",)))
    assert job.finished.wait(120)
    assert job.state == "failed"


def test_the_kept_table_is_shown_only_with_its_own_model_and_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from pruning.builtin import BUILT_IN
    from pruning.data import load_data

    file = tmp_path / "sweep.csv"
    monkeypatch.setattr(sweeps, "KEPT_FILE", file)
    now = {"model": BUILT_IN["demo"].fingerprint(), "data": load_data("demo").fingerprint}
    for wrong, shown in (({}, True), ({"model": "123"}, False), ({"data": "456"}, False)):
        TABLE.assign(**{**now, **wrong}).to_csv(file, index=False)
        sweeps.kept_sweep.cache_clear()
        assert (sweeps.kept_sweep() is not None) == shown
        if shown:
            assert sweeps.kept_sweep().rows[0]["mask"] == ""  # type: ignore[union-attr]
    sweeps.kept_sweep.cache_clear()


def test_a_language_model_is_drawn_by_accuracy_and_perplexity() -> None:
    model, settings = model_of("gpt2-lm"), replace(SMALL, compensations=("none", "mean"))
    bench = Bench(model, task_of(model), examples_of("gpt2-lm", 4), examples_of("gpt2-lm", 6))
    table = sweep(bench, settings.requests()[0], settings.budgets)
    assert "worse" not in table
    for kept in ("accuracy", "perplexity"):
        assert tradeoff(table, kept=kept, saved="macs", front=True).data
        assert "MACs" in finding(table, "macs", kept)[0] or "Every cut" in finding(table, "macs", kept)[0]


# The page ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_kept_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(sweeps, "KEPT_FILE", tmp_path / "none.csv")
    sweeps.kept_sweep.cache_clear()
    yield
    sweeps.kept_sweep.cache_clear()


def opened(pages: Pages) -> AppTest:
    return fine(pages.open().switch_page("pages/tradeoff.py").run())


def fine(script: AppTest) -> AppTest:
    assert [error.value for error in script.exception] == []
    return script


def words(script: AppTest) -> str:
    return "\n".join(element.value for element in [*script.markdown, *script.caption, *script.info])


def button(script: AppTest, label: str) -> Any:
    (found,) = [found for found in script.button if found.label == label]
    return found


@pytest.mark.usefixtures("no_kept_sweep")
def test_the_page_says_what_to_do_before_and_after_the_model_is_there(pages: Pages) -> None:
    script = opened(pages)
    assert script.title[0].value == "Trade-off"
    assert "demo is loading" in words(script)
    assert button(script, "Start the sweep").disabled
    pages.load()
    fine(script.run())
    assert "Nothing has been measured yet" in words(script)
    assert "5 searches and up to 41 evaluations. How long that takes is not known yet" in words(script)
    assert not button(script, "Start the sweep").disabled
    fine(script.multiselect(key="sweep_criteria").set_value([]).run())
    assert button(script, "Start the sweep").disabled
    fine(script.multiselect(key="sweep_criteria").set_value(["entropy"]).run())
    fine(script.selectbox(key="sweep_scopes").set_value(("neurons",)).run())
    assert "Left out: the criterion entropy is not defined for neurons" in words(script)
    assert button(script, "Start the sweep").disabled


@pytest.mark.usefixtures("no_kept_sweep")
def test_a_sweep_from_the_button_to_the_plan_in_prune(pages: Pages, bench: Bench) -> None:
    pages.load()
    script = opened(pages)
    fine(script.multiselect(key="sweep_criteria").set_value(["magnitude"]).run())
    fine(script.slider(key="sweep_shares").set_value((50, 60)).run())
    fine(button(script, "Start the sweep").click().run())
    job = store().scorer.latest((script.session_state["session_id"], "sweep"))
    assert job is not None
    assert job.finished.wait(120)
    fine(script.run())
    assert "The sweep" not in words(script)
    assert script.get("plotly_chart")
    assert len(script.dataframe[0].value) == 3
    assert "Click a point of the chart" in words(script)
    assert "at the pace of the last one" in words(script)
    shown = store().sweeps.found(bench.model, "demo", SweepSettings(("magnitude",), most=60, least=50))
    assert shown is not None
    script.session_state["tradeoff_row"] = ((shown.settings,), 2)
    fine(script.run())
    assert "Removes 36 heads" in words(script)
    fine(button(script, "Open in Prune").click().run())
    assert script.session_state["session"].mask.to_code() == shown.rows[2]["mask"]


@pytest.mark.usefixtures("no_kept_sweep")
def test_the_sweep_of_these_settings_is_there_when_one_comes_back(pages: Pages, bench: Bench) -> None:
    """And it is the other visitors', too."""
    pages.load()
    default = SweepSettings()
    store().sweeps._keep(
        sweeps.sweep_key(bench.model, "demo", default), sweeps.Swept(default, tuple(TABLE.to_dict("records")), False)
    )
    script = opened(pages)
    assert "The sweep was stopped" in words(script)
    assert len(script.dataframe[0].value) == len(TABLE)


@pytest.mark.usefixtures("no_kept_sweep")
def test_latency_is_measured_only_when_asked_for(pages: Pages, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import pruning.latency

    class Table:
        def predict(self, mask: Mask) -> float:
            return 10 - len(mask.heads) / 12

    monkeypatch.setattr(pruning.latency, "measure_latency_table", lambda model, progress: Table())
    pages.load()
    settings, rows = SweepSettings(), tuple(TABLE.to_dict("records"))
    store().sweeps._keep(sweeps.sweep_key(bench.model, "demo", settings), sweeps.Swept(settings, rows, True))
    script = opened(pages)
    script.session_state["tradeoff_saved"] = "latency_ms"
    fine(script.run())
    assert "Latency has not been measured on this computer" in words(script)
    assert not script.get("plotly_chart")
    fine(button(script, "Measure latency on this computer").click().run())
    job = store().scorer.latest((script.session_state["session_id"], "latency"))
    assert job is not None
    assert job.finished.wait(60)
    fine(script.run())
    assert script.get("plotly_chart")
    assert script.dataframe[0].value["latency"].min() == 10 - 54 / 12


@pytest.mark.usefixtures("no_kept_sweep")
def test_of_many_lines_the_first_few_are_drawn(pages: Pages, bench: Bench) -> None:
    pages.load()
    names = ["gradient", "fisher", "wanda", "entropy", "distance", "similarity", "random"]
    settings, rows = SweepSettings(), tuple(one for name in names for one in line(name, [0.9] * 4))
    store().sweeps._keep(sweeps.sweep_key(bench.model, "demo", settings), sweeps.Swept(settings, rows, True))
    script = opened(pages)
    drawn = json.loads(script.get("plotly_chart")[0].proto.spec)
    labels = {label["text"].replace("<br>", " ") for label in drawn["layout"]["annotations"]}
    assert len(labels) == 1 + 5
    assert "Random" not in labels
    assert len(script.dataframe[0].value) == len(rows)
