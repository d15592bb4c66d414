"""Both pages, run without a browser: before and after the model is there, from links, and through their widgets."""

from __future__ import annotations

import pytest
from streamlit.proto.Metric_pb2 import Metric
from streamlit.testing.v1 import AppTest

from pruning.importance import criteria
from pruning.language import later
from pruning.masks import Mask
from tests.ui.conftest import Pages
from ui.store import Loading, Store, kept_maps, store

TWO = Mask.parse_heads("0:3,2:5")
EVERY = Mask.parse_heads(",".join(f"{site}:0-11" for site in range(6)))


def fine(script: AppTest) -> AppTest:
    assert [error.value for error in script.exception] == []
    return script


def words(script: AppTest) -> str:
    return "\n".join(element.value for element in [*script.markdown, *script.caption])


def link_of(script: AppTest) -> dict[str, str]:
    """The query parameters; what the test wrote is text, what the page wrote is a list."""
    values = script.query_params.items()
    return {name: value if isinstance(value, str) else value[0] for name, value in values}


def mask_of(script: AppTest) -> Mask:
    """The mask as the link and as the page say it."""
    mask = Mask.from_code(link_of(script).get("mask", ""))
    assert f"Removed {len(mask.heads)} of 72 heads" in words(script)
    return mask


def press(script: AppTest, label: str) -> AppTest:
    (button,) = [button for button in script.button if button.label == label]
    return fine(button.click().run())


def measured(script: AppTest) -> AppTest:
    """Wait until the evaluation that the page has asked for is there, and draw it."""
    job = store().evaluator.latest((script.session_state["session_id"], "evaluate"))
    assert job is not None
    assert job.finished.wait(60)
    return fine(script.run())


# Before and after the model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["explore", "prune"])
def test_a_page_is_complete_before_the_model_is_there(pages: Pages, page: str) -> None:
    script = fine(pages.open(page))
    assert script.title[0].value.lower() == page
    assert any(caption.value.startswith("Loading:") for caption in script.sidebar.caption)
    assert script.get("plotly_chart")
    if page == "prune":
        assert "The model is loading" in script.info[0].value
        assert mask_of(press(script, "Invert")) == EVERY


@pytest.mark.parametrize("page", ["explore", "prune"])
def test_a_page_notices_that_the_model_has_come(pages: Pages, page: str) -> None:
    script = fine(pages.open(page))
    pages.load()
    fine(script.run())
    assert any(caption.value == "Ready · 72 heads in 6 attention layers" for caption in script.sidebar.caption)
    if page == "prune":
        assert "Measured on all 64 examples" in words(measured(script))


def test_the_panel_shows_both_models_and_what_cutting_saves(pages: Pages) -> None:
    pages.load()
    script = measured(fine(pages.open("prune", mask=EVERY.to_code())))
    (table,) = [html.proto.body for html in script.get("html") if "<table>" in html.proto.body]
    assert "Unpruned, n = 64" in table
    assert "Pruned, n = 64" in table
    assert [metric.label for metric in script.metric] == ["Accuracy", "Loss"]
    assert script.metric[0].delta.startswith("\N{MINUS SIGN}")
    assert script.metric[0].proto.direction == Metric.MetricDirection.DOWN
    assert script.metric[0].proto.color == Metric.MetricColor.RED
    assert "If really cut:" in words(script)
    assert "A mask alone saves nothing" in words(script)
    assert "flipped" in words(script)


@pytest.mark.parametrize("criterion", sorted(criteria()))
def test_every_criterion_can_be_chosen(pages: Pages, criterion: str) -> None:
    pages.load()
    script = fine(pages.open("explore", criterion=criterion))
    assert criteria()[criterion].about in words(script)
    assert link_of(script).get("criterion", "gradient") == criterion
    assert criterion not in kept_maps() or script.dataframe


# Links and notices ------------------------------------------------------------------------------------------------


def test_a_link_opens_what_it_says(pages: Pages) -> None:
    script = fine(pages.open("prune", mask=TWO.to_code(), criterion="magnitude", data="tweets"))
    assert mask_of(script) == TWO
    assert link_of(script) == {"mask": TWO.to_code(), "criterion": "magnitude", "data": "tweets"}
    assert [warning.value for warning in script.warning] == []


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"mask": "!!"},
            "The link does not fit: the mask code in the link is damaged, because '!' cannot be in one "
            "(a code looks like BgMF, which removes heads 0:3,2:5; nothing is removed now).",
        ),
        ({"criterion": "fame"}, "The link does not fit: there is no criterion 'fame'."),
    ],
)
def test_a_wrong_link_is_said_until_the_next_change(pages: Pages, parameters: dict[str, str], sentence: str) -> None:
    script = fine(pages.open("explore", **parameters))
    assert [warning.value.replace("\\", "") for warning in script.warning] == [sentence]  # as it is read
    assert link_of(script) == {}
    assert fine(script.run()).warning, "another run must not take it away before anyone could read it"
    script.selectbox(key=next(box.key for box in script.selectbox if box.label == "Criterion")).set_value("random")
    assert not fine(script.run()).warning


@pytest.mark.parametrize("page", ["prune", "explore", "head", "compare", "export", "present"])
def test_a_model_that_cannot_be_loaded_is_named_on_the_page(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    load = Store._load

    def refuse(its: Store, loading: Loading) -> None:
        if loading.name == "demo":
            return load(its, loading)
        loading.error, loading.state = later("the hub has no model {name!r}", name=loading.name), "failed"
        return None

    monkeypatch.setattr(Store, "_load", refuse)
    pages.load()
    script = fine(fine(pages.open(page, model="no/such", mask=TWO.to_code())).run())
    assert [warning.value for warning in script.main.warning] == [
        "The model no/such could not be loaded, and what is shown is the built-in model MiniLM, movie-review "
        "sentiment. The reason: the hub has no model 'no/such'."
    ]
    assert "mask" not in link_of(script)
    assert fine(script.run()).main.warning, "until somebody has read it"
    fine(script.button(key="dismiss_refused").click().run())
    assert not script.main.warning


def test_a_mask_of_another_model_is_emptied_and_that_is_said(pages: Pages) -> None:
    script = fine(pages.open("prune", mask=Mask.parse_heads("0:1,9:9").to_code()))
    assert [warning.value for warning in script.warning] == [
        "The mask does not fit this model: the model has no head 9:9. All heads are kept now."
    ]
    assert mask_of(script) == Mask()


def test_a_late_link_of_the_browser_does_not_bring_the_old_mask_back(pages: Pages) -> None:
    """The panel runs within the page: it must not take our own writing for the browser's answer."""
    pages.load()
    script = fine(pages.open("prune", mask=TWO.to_code()))
    press(script, "Invert")
    script.query_params["mask"] = TWO.to_code()
    assert mask_of(fine(script.run())) == EVERY - TWO


# Edits ------------------------------------------------------------------------------------------------------------


def test_invert_reset_undo_and_redo(pages: Pages) -> None:
    script = fine(pages.open("prune", mask=TWO.to_code()))
    for label, expected in [
        ("Invert", EVERY - TWO), ("Reset", Mask()), ("Undo", EVERY - TWO), ("Undo", TWO), ("Redo", EVERY - TWO),
        ("Undo", TWO), ("Remove the layer's heads", TWO | Mask.parse_heads("0:0-11")),
        ("Restore the layer's heads", Mask.parse_heads("2:5")), ("Undo", TWO | Mask.parse_heads("0:0-11")),
    ]:  # fmt: skip
        assert mask_of(press(script, label)) == expected, label
    disabled = {button.label: button.disabled for button in script.button}
    assert not disabled["Undo"]
    assert not disabled["Redo"]


def test_what_cannot_be_done_is_disabled(pages: Pages) -> None:
    script = fine(pages.open("prune"))
    disabled = {button.label for button in script.button if button.disabled}
    assert {"Undo", "Redo", "Reset"} <= disabled


def test_the_sliders_set_the_mask_and_follow_it(pages: Pages) -> None:
    script, importance = fine(pages.open("prune")), kept_maps()["gradient"]
    assert mask_of(fine(script.slider[0].set_value(5).run())) == importance.lowest(5)
    assert mask_of(press(script, "Undo")) == Mask()
    assert script.slider[0].value == 0
    stops = script.select_slider[0].options
    assert mask_of(fine(script.select_slider[0].set_value(stops[-1]).run())) == EVERY
    assert script.slider[0].value == 72
    assert mask_of(fine(script.select_slider[0].set_value(stops[0]).run())) == Mask()
    assert script.slider[0].value == 0


def test_the_sliders_do_not_claim_a_mask_that_they_do_not_give(pages: Pages) -> None:
    lowest = kept_maps()["gradient"].lowest(2)
    by_hand = fine(pages.open("prune", mask=(EVERY - kept_maps()["gradient"].lowest(70)).to_code()))
    assert "The 2 removed heads are not the 2 least important by" in words(by_hand)
    assert "least important by" not in words(fine(pages.open("prune", mask=lowest.to_code())))


def test_a_sentence_is_answered_when_the_model_is_there(pages: Pages) -> None:
    script = fine(pages.open("prune", mask=EVERY.to_code()))
    (field,) = [field for field in script.text_input if field.label == "Your own sentence"]
    fine(field.set_value("A delight.").run())
    assert "The answer comes when the model is there." in words(script)
    pages.load()
    fine(script.run())
    assert "All heads" in words(script)
    assert "Without the removed heads" in words(script)


def test_two_sessions_do_not_share_a_mask(pages: Pages) -> None:
    one, other = pages.open("prune", mask=TWO.to_code()), pages.open("prune")
    press(other, "Invert")
    assert mask_of(fine(one.run())) == TWO
    assert mask_of(fine(other.run())) == EVERY
