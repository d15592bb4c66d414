"""Messages of the engine: read in the reader's language, written to files in English."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pruning.card import Story, model_card
from pruning.fitting import in_words
from pruning.language import later, speaking
from pruning.plan import Guarantee
from pruning.surgery import prune
from pruning.wording import both, either, english
from tests.families import model_of
from tests.test_plan import plan_of


def test_names_stand_in_a_row() -> None:
    assert str(both(["heads"])) == "heads"
    assert str(both(["heads", "neurons", "layers"])) == "heads and neurons and layers"
    assert str(either(["2:4", "4:8"])) == "2:4 or 4:8"
    with speaking("zh"):
        assert str(both(["heads", "neurons"])) == "头和神经元"
        assert english(both(["heads", "neurons"])) == "heads and neurons"


def test_rows_that_do_not_fit_are_counted_in_words() -> None:
    assert str(in_words({"empty text": 1200, "not a text": 1})) == "1,200 × empty text, 1 × not a text"
    assert in_words({}) == ""


def test_a_plan_file_is_english_whoever_writes_it() -> None:
    found = plan_of("llama", "heads=0.9")
    expected = json.dumps(found.to_json())
    with speaking("zh"):
        assert json.dumps(found.to_json()) == expected
        assert "--whole-groups" in str(found.notes[0]) != english(found.notes[0])


def test_an_anatomy_is_written_in_english() -> None:
    anatomy = model_of("bert").anatomy
    site = replace(anatomy.sites[0], support="gate", reason=later("gates of one change the output"))
    changed = replace(anatomy, sites=(site, *anatomy.sites[1:]), reason=site.reason)
    with speaking("zh"):
        value = changed.to_json()
    assert json.dumps(value)
    assert value["reason"] == value["sites"][0]["reason"] == "gates of one change the output"  # type: ignore[index]


def test_a_model_card_is_english_whoever_reads_the_page() -> None:
    model, found = model_of("llama"), plan_of("llama", "heads=0.9")
    pruned = prune(model, found.mask)
    arguments = (model, pruned, Story(), ("AutoModelForCausalLM",), True)
    card = model_card(*arguments)
    assert pruned.notes
    with speaking("zh"):
        assert model_card(*arguments) == card


@pytest.mark.parametrize(
    ("confirmed", "needed", "end"),
    [
        (True, None, "with 95% confidence no more than 2.3."),
        (False, 1200, "so nothing is removed. About 1,200 examples would be needed in all."),
        (False, None, "so nothing is removed. More examples would not help."),
    ],
)
def test_a_guarantee_says_its_figures(confirmed: bool, needed: int | None, end: str) -> None:
    found = Guarantee(2.5, 2.34, 1.25, confirmed, 40, 3, "", needed)
    assert str(found.said).endswith(end)
    with speaking("zh"):
        said = str(found.said)
    assert all(text in said for text in ("40", "1.2", "2.3"))
    assert not any(letter in said for letter in "abcdefghijklmnopqrstuvwxyz")
