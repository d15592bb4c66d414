"""Everything that people read is said in every language: catalogues in step with the code, and no text around them."""

from __future__ import annotations

import ast
import re
import string
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from pruning.errors import MaskError, ModelError, PruningError, message_of
from pruning.language import FOLDERS, LANGUAGES, Later, catalogue, later, listing, speaking, tr, trn
from tests.test_layers import ROOT

sys.path.insert(0, str(ROOT / "assets"))
import make_messages

LANGUAGE_NAMES = sorted(FOLDERS)
DRAWS = {  # what puts its first argument on the screen
    "button", "caption", "checkbox", "code", "download_button", "error", "expander", "file_uploader",
    "form_submit_button", "header", "info", "markdown", "metric", "multiselect", "number_input", "page_link",
    "pills", "popover", "progress", "radio", "segmented_control", "select_slider", "selectbox", "slider", "spinner",
    "subheader", "success", "tabs", "text_area", "text_input", "title", "toast", "toggle", "warning", "write",
}  # fmt: skip
NAMED = {"alt", "help", "label", "placeholder", "subtitle", "title", "title_text", "text"}  # arguments that are read


@lru_cache(maxsize=1)
def said() -> dict[make_messages.Message, list[str]]:
    return make_messages.messages()


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("name", LANGUAGE_NAMES)
def test_every_message_is_translated_and_none_is_left_over(name: str) -> None:
    known = {message.id: message.string for message in catalogue(name) if message.id}
    missing = [text for text in said() if not known.get(text) or not all(strings(known[text]))]
    assert missing == [], "python assets/make_messages.py lists them"
    assert [text for text in known if text not in said()] == []


@pytest.mark.parametrize("name", LANGUAGE_NAMES)
def test_translations_have_the_same_placeholders(name: str) -> None:
    wrong = []
    for message in catalogue(name):
        if message.id:
            wanted = set().union(*(fields(text) for text in strings(message.id)))
            wrong += [text for text in strings(message.string) if fields(text) != wanted]
    assert wrong == []


@pytest.mark.parametrize("name", LANGUAGE_NAMES)
def test_no_translation_is_fuzzy(name: str) -> None:
    assert [message.id for message in catalogue(name) if message.id and message.fuzzy] == []


def strings(one: str | tuple[str, ...] | list[str]) -> list[str]:
    return [one] if isinstance(one, str) else list(one)


# In the code ------------------------------------------------------------------------------------------------------


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node, getattr(node.func, "id", getattr(node.func, "attr", ""))


def is_text(node: ast.expr) -> bool:
    """Whether it is a text with a word in it, as a literal or with values; a name of a file or a page is none."""
    parts: list[Any] = node.values if isinstance(node, ast.JoinedStr) else [node]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return any(sum(map(str.isalpha, text)) > 3 and not re.fullmatch(r"[\w~./-]*[./][\w./-]*", text) for text in texts)


@pytest.mark.parametrize("path", list(make_messages.sources()), ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_are_literals(path: Path) -> None:
    """What has its values in it already would never be found in a catalogue."""
    speakers = make_messages.SPEAKERS | make_messages.error_names()
    found = [node.lineno for node, name in calls(path) if name in speakers and node.args]
    wrong = [
        node.lineno
        for node, name in calls(path)
        if name in speakers and node.args and isinstance(node.args[0], ast.JoinedStr)
    ]
    assert wrong == [], found


@pytest.mark.parametrize("path", sources("ui", "pages"), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_drawn_untranslated(path: Path) -> None:
    wrong = []
    for node, name in calls(path):
        drawn = [node.args[0]] if name in DRAWS and node.args and is_drawn(node.func) else []
        drawn += [word.value for word in node.keywords if word.arg in NAMED]
        wrong += [f"line {one.lineno}: {ast.unparse(one)[:90]}" for one in drawn if is_text(one) and not is_markup(one)]
    assert wrong == []


def is_drawn(function: ast.expr) -> bool:
    """A method of streamlit or of one of its containers; a log is read by nobody on a page."""
    return isinstance(function, ast.Attribute) and "log" not in ast.unparse(function.value)


def is_markup(node: ast.expr) -> bool:
    """Styles and bare marks around values are no text; commands and code are in no language."""
    text = ast.unparse(node)
    return "<style" in text or "class=" in text or "hovertemplate" in text


# Speaking ---------------------------------------------------------------------------------------------------------


def test_english_is_what_the_code_says() -> None:
    assert tr("{n:,} heads", n=1024) == "1,024 heads"
    assert trn("{n} head", "{n} heads", 1) == "1 head"
    assert tr("a {brace} without values") == "a {brace} without values"
    assert tr("") == ""


@pytest.mark.parametrize("name", LANGUAGE_NAMES)
def test_a_language_ends_with_its_context(name: str) -> None:
    with speaking(name):
        assert tr("Home") != "Home"
    with pytest.raises(ValueError, match="out"), speaking(name):
        raise ValueError("out")
    assert tr("Home") == "Home"


def test_there_is_no_other_language() -> None:
    with pytest.raises(KeyError), speaking("xx"):
        pass
    assert set(LANGUAGES) == {"en", *FOLDERS}


def test_errors_are_translated_when_they_are_read() -> None:
    inner = MaskError("the model has no head {head}", head=3)
    error = ModelError("{name} cannot be used: {reason}", name="x", reason=inner)
    assert str(error) == "x cannot be used: the model has no head 3"
    kept = message_of(error)
    with speaking("zh"):
        assert str(error) == str(kept) == "无法使用x：模型没有头3"
    assert str(kept) == "x cannot be used: the model has no head 3"


def test_kept_messages_keep_no_error() -> None:
    """An error holds the frames that raised it, and those hold models."""
    kept = message_of(PruningError("{error}", error=MaskError("a")))
    assert isinstance(kept.values["error"], Later)
    assert str(message_of(ValueError("b {c}"))) == "b {c}"


def test_errors_survive_another_process() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(MaskError("the model has no head {head}", head=later("{n} heads", n=2))))
    assert str(error) == "the model has no head 2 heads"


def test_lists_are_joined_as_the_language_does() -> None:
    with speaking("zh"):
        assert listing(["a", "b"]) == "a、b"
