"""The texts of the lessons: both languages say the same things, and every reference is there."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import ui.learn.experiments  # noqa: F401  it registers them
from pruning.language import LANGUAGES
from ui.learn.base import experiments
from ui.learn.content import LESSONS, OPTIONAL, REQUIRED, lessons, outline, references

ROOT = Path(__file__).resolve().parents[1]
SLUGS = [row["slug"] for row in outline()]


def text(language: str, slug: str) -> dict[str, Any]:
    return tomllib.loads((LESSONS / language / f"{slug}.toml").read_text(encoding="utf-8"))


def test_twelve_lessons_in_their_order() -> None:
    assert len(SLUGS) == len(set(SLUGS)) == 12
    for language in LANGUAGES:
        assert [(one.number, one.slug) for one in lessons(language)] == list(enumerate(SLUGS, 1))


def test_every_lesson_has_its_experiment() -> None:
    assert set(experiments()) == set(SLUGS)


def test_there_are_no_other_files() -> None:
    for language in LANGUAGES:
        assert {path.stem for path in (LESSONS / language).iterdir()} == set(SLUGS)


@pytest.mark.parametrize("slug", SLUGS)
def test_both_languages_say_the_same_things(slug: str) -> None:
    one, other = (text(language, slug) for language in LANGUAGES)
    assert one.keys() == other.keys()
    assert set(REQUIRED) <= one.keys() <= {*REQUIRED, *OPTIONAL}
    assert len(one["notice"]) == len(other["notice"]) in (2, 3)
    for words in (one, other):
        assert all(value for value in words.values())
        assert all(words["notice"])
    assert len(one["idea"].split()) <= 130
    assert any("\u4e00" <= letter <= "\u9fff" for letter in other["idea"])
    assert all(one[key] != other[key] for key in one)


@pytest.mark.parametrize("row", outline(), ids=SLUGS)
def test_references_and_pages_exist(row: dict[str, Any]) -> None:
    assert row["references"]
    assert set(row["references"]) <= references().keys()
    assert (ROOT / "pages" / f"{row['page']}.py").is_file()


def test_references_are_complete() -> None:
    for reference in references().values():
        assert all((reference.authors, reference.title, reference.venue))
        assert 1900 < reference.year < 2030
        assert urlsplit(reference.url).scheme == "https"
