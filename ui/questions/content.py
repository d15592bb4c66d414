"""The question bank as data, read from ``assets/questions``, and the search in it. No streamlit here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache

from pruning.builtin import ASSETS
from pruning.language import LANGUAGES, mark

QUESTIONS = ASSETS / "questions"
TOPICS = {  # in the order of the lessons, and by their slugs
    "attention": mark("Attention and heads"),
    "why": mark("What pruning is, and why"),
    "kinds": mark("Kinds of pruning"),
    "importance": mark("Importance criteria"),
    "budgets": mark("Thresholds and budgets"),
    "adaptive": mark("Attention-based, adaptive, multi-level"),
    "sensitivity": mark("Sensitivity"),
    "measuring": mark("Measuring honestly"),
    "speed": mark("Speed and size"),
    "recovery": mark("Recovery"),
    "failure": mark("Failure and guarantees"),
    "strategy": mark("Deployment"),
}
LEVELS = {"beginner": mark("Beginner"), "intermediate": mark("Intermediate"), "advanced": mark("Advanced")}
KINDS = {
    "definition": mark("Definition"),
    "comparison": mark("Comparison"),
    "design": mark("Design"),
    "coding": mark("Coding"),
}


@dataclass(frozen=True)
class Question:
    """One question with its answers, in one language.

    Attributes:
        topic: A key of `TOPICS`, which is the slug of the lesson that fits, too.
        kind, level: Keys of `KINDS` and `LEVELS`.
        full: Markdown with formulas.
        misconception: A common wrong belief and why it is wrong; empty where none is told.
        references: Their keys in ``assets/references``.
        code: File name of the program; empty where there is none.
    """

    topic: str
    id: str
    kind: str
    level: str
    question: str
    short: str
    full: str
    misconception: str = ""
    references: tuple[str, ...] = ()
    code: str = ""


@lru_cache
def questions(language: str) -> tuple[Question, ...]:
    """The bank in one language: topics in their order, questions in that of the file.

    Raises:
        TypeError: A question lacks a field, or has one that there is not.
    """
    found = []
    for topic in TOPICS:
        text = (QUESTIONS / language / f"{topic}.toml").read_text(encoding="utf-8")
        for row in tomllib.loads(text)["question"]:
            row["references"] = tuple(row.get("references", ()))
            found.append(Question(topic, **row))
    return tuple(found)


def find_question(language: str, name: str) -> Question | None:
    """The question with an id, or None."""
    return next((one for one in questions(language) if one.id == name), None)


def search(language: str, text: str = "", topic: str = "", level: str = "", kind: str = "") -> tuple[Question, ...]:
    """The questions that hold every word of the text, in either language, and are of the topic, level and kind.

    An empty wish is none.
    """
    words, texts = text.casefold().split(), _texts()
    wishes = {name: value for name, value in (("topic", topic), ("level", level), ("kind", kind)) if value}
    return tuple(
        one
        for one in questions(language)
        if all(getattr(one, name) == value for name, value in wishes.items())
        and all(word in texts[one.id] for word in words)
    )


@lru_cache
def program(name: str) -> tuple[str, str]:
    """The code of a program and what it prints."""
    path = QUESTIONS / "code" / name
    return path.read_text(encoding="utf-8"), path.with_suffix(".txt").read_text(encoding="utf-8")


@lru_cache
def _texts() -> dict[str, str]:
    """All that is said in question and answers, by id: readers of Chinese search for English terms, too."""
    found: dict[str, str] = {}
    for language in LANGUAGES:
        for one in questions(language):
            said = " ".join((one.question, one.short, one.full, one.misconception)).casefold()
            found[one.id] = f"{found.get(one.id, '')} {said}"
    return found
