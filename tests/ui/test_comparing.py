"""Criteria side by side on the Explore page, run without a browser; scoring is quick because nothing is computed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pruning.errors import UnsupportedError
from pruning.importance import ImportanceMap, criteria, get_criterion
from pruning.importance.base import ragged
from pruning.scopes import sizes_of
from tests.ui.conftest import Pages
from tests.ui.test_pages import fine, link_of, press, words
from ui import maps as shared_maps
from ui.agreeing import agreements, extremes
from ui.store import kept_maps as all_kept_maps
from ui.store import store

QUICK = [name for name, criterion in criteria().items() if criterion.quick]
KEPT = ("gradient", "ablation", "entropy", "magnitude", "random", "reversed")
SECTIONS = ("Criteria side by side", "Do they agree?", "How sure is it?")


def kept_maps() -> dict[str, ImportanceMap]:
    """Some of the maps that are kept, so that there is something left to score."""
    return {name: found for name, found in all_kept_maps().items() if name in KEPT}


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.store.kept_maps", kept_maps)


@pytest.fixture
def drawn_by_lot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scoring answers at once, with scores of 40 rows; attention distance refuses."""

    def score(model: Any, name: str, examples: Any, *, progress: Any, scope: str, label_free: bool) -> ImportanceMap:
        if name == "distance":
            raise UnsupportedError("these heads look at no words")
        progress(1, 1)
        sizes = sizes_of(model.anatomy, scope)  # type: ignore[arg-type]
        scores = np.random.default_rng(len(name)).random((40, sum(sizes)))
        return ImportanceMap(
            name, ragged(scores.mean(axis=0), sizes), tuple(map(str, sizes)), 40, 0, 0.1, model.fingerprint, "data",
            "2026-01-01", ragged(scores.std(axis=0) / 6, sizes), scope, label_free,  # type: ignore[arg-type]
            scores if get_criterion(name).per_example and scope != "neurons" else None,  # as with many rows
        )  # fmt: skip

    monkeypatch.setattr("pruning.importance.scoring.score", score)


def finished(script: AppTest, kind: str, worker: str = "scorer") -> AppTest:
    """Wait for a job of the page, and draw it."""
    job = getattr(store(), worker).latest((script.session_state["session_id"], kind))
    assert job is not None
    assert job.finished.wait(60)
    return fine(script.run())


def section(script: AppTest, number: int) -> AppTest:
    script.session_state["explore_section"] = SECTIONS[number]
    return fine(script.run())


def figures(script: AppTest) -> list[dict[str, Any]]:
    return [json.loads(chart.proto.spec) for chart in script.get("plotly_chart")]


def titles(script: AppTest) -> str:
    return " ".join(figure["layout"].get("title", {}).get("text", "") for figure in figures(script))


def shown(script: AppTest) -> list[str]:
    return [button.key.removeprefix("show_") for button in script.button if (button.key or "").startswith("show_")]


# Side by side -----------------------------------------------------------------------------------------------------


def test_what_is_known_is_shown_before_the_model_is_there(pages: Pages) -> None:
    script = fine(pages.open())
    assert shown(script) == [name for name in criteria() if name in kept_maps()]
    assert "can be scored when the model is there" in words(script)


def test_a_name_makes_its_picture_the_large_one(pages: Pages) -> None:
    script = press(fine(pages.open()), get_criterion("entropy").label)
    assert link_of(script) == {"criterion": "entropy"}
    assert "**Attention entropy** (shown)" in [button.label for button in script.button]


@pytest.mark.usefixtures("drawn_by_lot")
def test_all_quick_criteria_are_scored_with_one_button(pages: Pages) -> None:
    pages.load()
    script = fine(pages.open())
    missing = [name for name in QUICK if name not in kept_maps()]
    script = finished(press(script, f"Score the {len(missing)} other quick criteria"), "score all")
    known = set(kept_maps()) | set(QUICK) - {"distance"}
    assert shown(script) == [name for name in criteria() if name in known]
    assert "Attention distance is missing: these heads look at no words." in words(script)
    assert not any("other quick" in button.label for button in script.button)


@pytest.mark.usefixtures("drawn_by_lot")
def test_a_slow_criterion_is_scored_when_asked_and_says_what_it_costs(pages: Pages) -> None:
    pages.load()
    script = fine(pages.open())
    label = get_criterion("shapley").label
    assert f"{get_criterion('shapley').cost}; this model has 72 heads" in words(script)
    assert "shapley" in shown(finished(press(script, f"Score {label}"), "score more"))


# Agreement --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawn_by_lot")
def test_the_matrix_says_who_agrees_and_gets_intervals(pages: Pages) -> None:
    pages.load()
    script = fine(pages.open())
    missing = [name for name in QUICK if name not in kept_maps()]
    script = finished(press(script, f"Score the {len(missing)} other quick criteria"), "score all")
    script = section(script, 1)
    assert "Closest: " in titles(script)
    assert "in common" in titles(script)
    store().evaluator.latest((script.session_state["session_id"], "agree")).cancel()


def test_kept_maps_agree_without_intervals(pages: Pages) -> None:
    script = section(fine(pages.open()), 1)
    assert "Spearman's correlation, 72 heads, 6 criteria" in titles(script)
    assert "No intervals" in words(script)
    (measure,) = [group for group in script.segmented_control if group.label == "Measure of agreement"]
    script = fine(measure.set_value("overlap").run())
    assert "Share of the 18 lowest in common" in titles(script)
    (slider,) = [one for one in script.slider if one.label == "Lowest heads (k)"]
    assert "Share of the 5 lowest in common" in titles(fine(slider.set_value(5).run()))


def test_agreements_are_symmetric_and_look_at_the_important_end() -> None:
    maps = tuple(kept_maps().values())
    names = [one.criterion for one in maps]
    values = agreements(maps, "spearman", 18)
    assert np.allclose(values, values.T)
    assert values[names.index("gradient"), names.index("reversed")] == pytest.approx(-1.0)
    assert agreements(maps, "overlap", 72).min() == 1.0


def test_controls_are_no_news() -> None:
    values = np.array([[1.0, -1.0, 0.5], [-1.0, 1.0, 0.1], [0.5, 0.1, 1.0]])
    assert extremes(["gradient", "reversed", "entropy"], values) == (("gradient", "entropy", 0.5),) * 2
    assert extremes(["gradient", "reversed"], values[:2, :2]) is None


# How sure ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawn_by_lot")
def test_intervals_are_there_at_once_and_stability_after_scoring(pages: Pages) -> None:
    pages.load()
    script = section(fine(pages.open()), 2)
    assert "of the 14 lowest heads could change places" in titles(script).replace("<br>", " ").replace(
        "</b>", ""
    ).replace("<b>", "")
    script = finished(press(script, "Score the 512 rows"), "score more")
    assert "40 rows do not reach 0.95" in titles(script) or "rows are enough for 0.95" in titles(script)


@pytest.mark.parametrize(("criterion", "sentence"), [("magnitude", "looks at no rows"), ("random", "no interval")])
def test_without_rows_there_is_nothing_to_be_sure_of(pages: Pages, criterion: str, sentence: str) -> None:
    script = section(fine(pages.open(criterion=criterion)), 2)
    assert any(sentence in info.value for info in script.info)


# Scope, normalisation, labels -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("drawn_by_lot")
@pytest.mark.parametrize(("scope", "count"), [("neurons", 6 * 1536), ("layers", 6)])
def test_other_scopes_have_pictures_tables_and_lines(pages: Pages, scope: str, count: int) -> None:
    pages.load()
    script = finished(fine(pages.open(scope=scope)), "score")
    assert len(script.dataframe[0].value) == count
    assert script.header[0].value == f"All {scope}, least important first"
    assert "Most important: " in titles(script)
    assert not any(button.label.startswith("Remove these") for button in script.button)
    for number in (1, 2):
        section(script, number)


def test_a_scope_that_a_criterion_does_not_know_takes_another_criterion(pages: Pages) -> None:
    script = fine(pages.open(criterion="entropy"))
    (scope,) = [group for group in script.segmented_control if group.label == "Scope"]
    script = fine(scope.set_value("layers").run())
    assert link_of(script) == {"scope": "layers"}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"scope": "atoms"}, "scope is heads or neurons or layers, not 'atoms'"),
        ({"scope": "layers", "criterion": "entropy"}, "entropy is not defined for layers"),
        ({"normalise": "loud"}, "normalise is none or layer-l2 or min-max, not 'loud'"),
        ({"scope": "layers", "normalise": "layer-l2"}, "layer-l2 would give every layer the same importance"),
    ],
)
def test_a_link_that_does_not_fit_is_said(pages: Pages, parameters: dict[str, str], sentence: str) -> None:
    (warning,) = fine(pages.open(**parameters)).warning
    assert sentence in warning.value.replace("\\", "")


def test_a_normalised_map_is_drawn_and_its_raw_intervals_are_not(pages: Pages) -> None:
    script = fine(pages.open(normalise="layer-l2"))
    rows = np.array(figures(script)[0]["data"][0]["z"])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(6))
    assert "low" not in script.dataframe[0].value
    assert "low" in fine(pages.open()).dataframe[0].value


@pytest.mark.usefixtures("drawn_by_lot")
def test_own_answers_as_labels_make_another_map(pages: Pages) -> None:
    pages.load()
    script = finished(fine(pages.open(labels="predicted")), "score")
    assert "with the model's own answers as labels" in words(script)
    assert "512" in words(fine(pages.open()))  # the kept one is still there


def test_maps_with_and_without_labels_are_kept_apart() -> None:
    class Model:
        fingerprint = "m"

    what = shared_maps.Scoring("gradient")
    free = replace(what, label_free=True)
    assert what.key(Model, "demo") != free.key(Model, "demo")  # type: ignore[arg-type]
    assert replace(what, criterion="magnitude").key(Model, "demo") == replace(free, criterion="magnitude").key(  # type: ignore[arg-type]
        Model,
        "demo",  # type: ignore[arg-type]
    )
    assert what.key(Model, "demo") != replace(what, scope="layers").key(Model, "demo")  # type: ignore[arg-type]
