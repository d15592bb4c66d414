"""The question bank: complete in both languages, true to its references, and every program prints what it says."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import runpy
import warnings
from collections import Counter

import pytest

from pruning.language import LANGUAGES
from ui.learn.content import outline, references
from ui.questions.content import KINDS, LEVELS, QUESTIONS, TOPICS, Question, find_question, program, questions, search

ENGLISH, CHINESE = questions("en"), questions("zh")
PROGRAMS = sorted((QUESTIONS / "code").glob("*.py"))
MOST_LINES = 60
CITED = re.compile(r"([A-Z][A-Za-zé]+)(?: et al\.)?,? \(?((?:19|20)\d{2})\b")  # Han et al., 2015; Wilson (1927)
HAN = re.compile(r"[一-鿿]")
ALLOWED = {"torch", "numpy", "transformers", "pruning", "math", "dataclasses", "collections"}
CALLED_OUT = {  # wrong beliefs that have to be called out, by a word of each and the question that does
    "Multiplying weights by their importance": "what-is-pruning",
    "with respect to its own index": "what-is-sensitivity",
    "I zeroed the heads": "mask-or-cut",
    "High attention weight": "attention-is-not-importance",
    "90% sparse": "structured-versus-unstructured",
    "The pruned model is better": "why-intervals",
    "30% fewer parameters": "roofline",
    "Removing 50% of the heads": "half-the-heads",
}


def both() -> list[tuple[Question, Question]]:
    return list(zip(ENGLISH, CHINESE, strict=True))


def words(text: str) -> int:
    return len(text.split())


# The bank ------------------------------------------------------------------------------------------------------------


def test_there_are_enough() -> None:
    assert len(ENGLISH) >= 66
    assert sum(one.kind == "coding" for one in ENGLISH) >= 10
    assert sum(bool(one.misconception) for one in ENGLISH) >= 8
    assert len({one.id for one in ENGLISH}) == len(ENGLISH)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_topic_has_a_file_and_no_other_is_there(language: str) -> None:
    assert {path.stem for path in (QUESTIONS / language).iterdir()} == set(TOPICS)


def test_topics_are_the_lessons() -> None:
    assert list(TOPICS) == [row["slug"] for row in outline()]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_all_levels(topic: str) -> None:
    assert {one.level for one in ENGLISH if one.topic == topic} == set(LEVELS)


def test_every_kind_is_asked() -> None:
    assert Counter(one.kind for one in ENGLISH).keys() == KINDS.keys()


@pytest.mark.parametrize(("english", "chinese"), both(), ids=lambda one: one.id)
def test_a_question_is_the_same_in_both_languages(english: Question, chinese: Question) -> None:
    for name in ("topic", "id", "kind", "level", "references", "code"):
        assert getattr(english, name) == getattr(chinese, name)
    assert bool(english.misconception) == bool(chinese.misconception)
    formulas = [one.full.count("$$") // 2 for one in (english, chinese)]
    assert formulas[0] == formulas[1]
    assert re.fullmatch(r"[a-z0-9-]+", english.id)
    assert english.level in LEVELS
    assert english.kind in KINDS


@pytest.mark.parametrize("one", ENGLISH, ids=lambda one: one.id)
def test_english_is_short_and_full(one: Question) -> None:
    assert 4 <= words(one.question) <= 40
    assert 10 <= words(one.short) <= 50
    assert 60 <= words(one.full) <= 180
    assert not HAN.search("".join((one.question, one.short, one.full, one.misconception)))


@pytest.mark.parametrize("one", CHINESE, ids=lambda one: one.id)
def test_chinese_is_short_and_full(one: Question) -> None:
    assert 6 <= len(HAN.findall(one.question)) <= 60
    assert 20 <= len(HAN.findall(one.short)) <= 100
    assert 100 <= len(HAN.findall(one.full)) <= 330
    said = "".join((one.question, one.short, one.full, one.misconception))
    assert "您" not in said
    assert "！" not in said
    prose = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", said, flags=re.DOTALL)
    assert re.findall(r"[一-鿿][,;?!]", prose) == []  # punctuation is full width


@pytest.mark.parametrize("one", [*ENGLISH, *CHINESE], ids=lambda one: one.id)
def test_formulas_are_closed_and_no_field_is_empty(one: Question) -> None:
    assert all((one.question.strip(), one.short.strip(), one.full.strip()))
    for text in (one.question, one.short, one.full, one.misconception):
        inline = text.replace("$$", "")
        assert text.count("$$") % 2 == 0
        assert inline.count("$") % 2 == 0
        assert inline.count("{") == inline.count("}")
        assert text.count("**") % 2 == 0
        assert text.count("`") % 2 == 0


@pytest.mark.parametrize("one", ENGLISH, ids=lambda one: one.id)
def test_what_is_cited_exists_and_is_listed(one: Question) -> None:
    """Every paper that the text names by author and year is among the references, and those are real entries."""
    assert set(one.references) <= references().keys()
    listed = [references()[key] for key in one.references]
    said = " ".join((one.short, one.full, one.misconception))
    for name, year in CITED.findall(said):
        assert any(str(paper.year) == year and name in paper.authors for paper in listed), f"{name} {year}"


def test_references_are_cited_and_can_be_looked_up() -> None:
    cited = {key for one in ENGLISH for key in one.references} | {key for row in outline() for key in row["references"]}
    assert references().keys() == cited
    assert all(paper.url.startswith("https://") for paper in references().values())


@pytest.mark.parametrize(("belief", "name"), CALLED_OUT.items())
def test_common_misconceptions_are_called_out(belief: str, name: str) -> None:
    question = find_question("en", name)
    assert question is not None
    assert belief in question.misconception


# The search ----------------------------------------------------------------------------------------------------------


def test_search_without_wishes_finds_all() -> None:
    assert search("en") == ENGLISH
    assert search("zh") == CHINESE


@pytest.mark.parametrize("one", ENGLISH, ids=lambda one: one.id)
def test_search_finds_a_question_by_itself(one: Question) -> None:
    assert one in search("en", one.question)
    assert one in search("en", one.short.upper(), one.topic, one.level, one.kind)


def test_search_takes_all_words_in_any_order_and_either_language() -> None:
    found = search("en", "bootstrap PAIRED")
    assert {"paired-bootstrap"} <= {one.id for one in found}
    assert (
        {one.id for one in search("en", "自助法")} == {one.id for one in search("zh", "自助法")} == {"paired-bootstrap"}
    )
    assert [one.question for one in search("zh", "clopper 精确")]
    assert search("en", "bootstrap zebra") == ()


def test_filters_narrow_together() -> None:
    found = search("en", topic="kinds", level="advanced", kind="coding")
    assert [one.id for one in found] == ["neuron-removal"]
    assert search("en", topic="kinds", kind="no such") == ()


def test_an_unknown_id_finds_nothing() -> None:
    assert find_question("en", "no-such") is None
    assert find_question("zh", "two-of-four") in CHINESE


# The programs --------------------------------------------------------------------------------------------------------


def test_every_coding_question_has_its_program_and_no_other_is_there() -> None:
    coding = {one.id: one.code for one in ENGLISH if one.kind == "coding"}
    assert coding == {path.stem: path.name for path in PROGRAMS}
    assert [one.id for one in ENGLISH if one.code and one.kind != "coding"] == []


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_is_short_and_proves_itself(path: object) -> None:
    source = path.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    tree = ast.parse(source)
    assert len(source.splitlines()) <= MOST_LINES
    assert ast.get_docstring(tree)
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(tree)) >= 2
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported <= ALLOWED


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_runs_and_prints_what_is_kept(path: object) -> None:
    """By itself, as a reader would run it; its asserts hold."""
    import torch

    printed = io.StringIO()
    with torch.random.fork_rng(), warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore", DeprecationWarning)  # of packages, when they are imported
        runpy.run_path(str(path), run_name="__main__")
    assert printed.getvalue() == program(path.name)[1]  # type: ignore[attr-defined]
