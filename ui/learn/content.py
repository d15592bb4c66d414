"""The texts of the lessons and their references, read from ``assets``. No streamlit here."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pruning.builtin import ASSETS

LESSONS, REFERENCES = ASSETS / "lessons", ASSETS / "references.toml"
REQUIRED = ("title", "idea", "question", "notice", "reveal", "door")
OPTIONAL = ("misconception",)


@dataclass(frozen=True)
class Reference:
    """A published paper.

    Attributes:
        authors: As they are cited: "Michel, Levy and Neubig".
    """

    authors: str
    year: int
    title: str
    venue: str
    url: str

    @property
    def cite(self) -> str:
        """
        >>> Reference("Michel, Levy and Neubig", 2019, "Are Sixteen Heads Really Better than One?", "NeurIPS", "").cite
        'Michel, Levy and Neubig (2019). Are Sixteen Heads Really Better than One? NeurIPS.'
        """
        end = "" if self.title.endswith(("?", "!", ".")) else "."
        return f"{self.authors} ({self.year}). {self.title}{end} {self.venue}."


@dataclass(frozen=True)
class Lesson:
    """One lesson in one language.

    Attributes:
        number: From 1, in the order of ``lessons.toml``.
        page: File name of the page where one can play on.
        references: Their keys; the first is the main one.
        idea: Markdown.
        notice: What to see in the result.
        misconception: A common wrong belief; empty where none is told.
    """

    slug: str
    number: int
    page: str
    references: tuple[str, ...]
    title: str
    idea: str
    question: str
    notice: tuple[str, ...]
    reveal: str
    door: str
    misconception: str = ""


@lru_cache
def outline() -> tuple[dict[str, Any], ...]:
    """What ``lessons.toml`` says of every lesson."""
    return tuple(_read(LESSONS / "lessons.toml")["lesson"])


@lru_cache
def lessons(language: str) -> tuple[Lesson, ...]:
    """The lessons that are written, in one language.

    Raises:
        KeyError: A text has not all the keys.
    """
    found = []
    for number, row in enumerate(outline(), 1):
        path = LESSONS / language / f"{row['slug']}.toml"
        if path.is_file():
            texts = _read(path)
            words = {key: texts[key] for key in REQUIRED} | {key: texts.get(key, "") for key in OPTIONAL}
            words["notice"] = tuple(words["notice"])
            found.append(Lesson(row["slug"], number, row["page"], tuple(row["references"]), **words))
    return tuple(found)


@lru_cache
def references() -> dict[str, Reference]:
    """All of them, by key."""
    names = Reference.__dataclass_fields__
    return {key: Reference(**{name: row[name] for name in names}) for key, row in _read(REFERENCES).items()}


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))
