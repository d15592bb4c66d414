"""What Streamlit says in English alone, and what we say instead."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from pruning.language import speaking
from ui.streamlits_words import OTHERS, PLACES, streamlits_words

NAME = re.compile(r"\{\w+\}")
# Made up of parts while it runs, or said by React Aria within.
COMPOSED = {"Press Enter to apply", "Press Enter to submit form", "Drag and drop a file here", "{n} results"}
COMPOSED |= {"{n} options available.", "{n} option available."}


def test_english_is_left_alone_where_it_speaks_to_readers() -> None:
    assert streamlits_words() == OTHERS


def test_every_word_has_a_place_and_one_name_at_most() -> None:
    with speaking("zh"):
        said = streamlits_words()
    assert said.keys() == PLACES.keys() | OTHERS.keys()
    for text, ours in ((text, ours) for texts in said.values() for text, ours in texts.items()):
        names = NAME.findall(text)
        assert len(names) <= 1
        assert NAME.findall(ours) == names


def test_streamlit_still_says_them() -> None:
    home = find_spec("streamlit").submodule_search_locations[0]
    files = Path(home, "static", "static", "js").glob("*.js")
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    texts = {text for places in (PLACES, OTHERS) for texts in places.values() for text in texts} - COMPOSED
    parts = {part.strip() for text in texts for part in NAME.split(text)}
    assert sorted(part for part in parts if part not in code) == []
