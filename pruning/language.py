"""The language of what people read: one catalogue for each, English in the code, and no streamlit here.

A message is written in English where it is used and translated while it is drawn: `tr`. What is kept longer than one
drawing (an error, a step of long work that another session may see, too) stays untranslated until it is read: `Later`.
Catalogues are gettext's ``.po`` files; Babel reads them (https://babel.pocoo.org), so nothing has to be compiled.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any

LOCALES = Path(__file__).resolve().parents[1] / "assets" / "locales"
LANGUAGES = {"en": "English", "zh": "简体中文"}  # each by its own name
FOLDERS = {"zh": "zh_CN"}
DEFAULT = "en"

_chosen: ContextVar[str | None] = ContextVar("language", default=None)
_follow: list[Callable[[], str]] = [lambda: DEFAULT]


def language() -> str:
    """The language of now: what `speaking` has chosen, else what the interface follows, else English."""
    return _chosen.get() or _follow[-1]()


def follow(source: Callable[[], str]) -> None:
    """Ask an interface for the language of whoever it is drawing for."""
    _follow[:] = [source]


def tag() -> str:
    """The language of now as browsers call it: ``zh-CN``."""
    return FOLDERS.get(language(), language()).replace("_", "-")


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Use a language in this context.

    Raises:
        KeyError: There is no such language.
    """
    LANGUAGES[name]
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def best_language(tag: str | None) -> str:
    """The language for a browser's tag such as ``zh-CN``; English for one that is not spoken here.

    >>> best_language("zh-Hans-CN"), best_language("en-GB"), best_language("fr"), best_language(None)
    ('zh', 'en', 'en', 'en')
    """
    name = (tag or "").replace("_", "-").partition("-")[0].lower()
    return name if name in LANGUAGES else DEFAULT


@dataclass(frozen=True)
class Later:
    """A message that is translated when it is read.

    Attributes:
        text: In English, with ``{name}`` where a value stands.
        values: By name; among them other messages.
    """

    text: str
    values: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return tr(self.text, **self.values)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def later(text: str, /, **values: Any) -> Later:
    """A message for whoever reads it, in a language that is not known yet."""
    return Later(text, values)


def mark(text: str) -> str:
    """The text as it is: a constant that is translated where it is drawn, so that the catalogue gets to know it."""
    return text


def tr(message: str | Later, /, **values: Any) -> str:
    """A message in the language of now.

    Args:
        message: In English, with ``{name}`` (and a format, ``{share:.0%}``) where a value stands; without values,
            braces mean nothing.
    """
    if isinstance(message, Later):
        return str(message)
    text = _catalogue(language()).gettext(message) if message else ""
    return text.format(**values) if values else text


def trn(one: str, many: str, count: int, /, **values: Any) -> str:
    """A message about a number of things; ``{n}`` stands for the number.

    >>> trn("{n} head", "{n:,} heads", 1), trn("{n} head", "{n:,} heads", 1024)
    ('1 head', '1,024 heads')
    """
    return _catalogue(language()).ngettext(one, many, count).format(n=count, **values)


def listing(words: Iterable[object]) -> str:
    """Words with what stands between them in the language of now.

    >>> listing(["accuracy", "loss"])
    'accuracy, loss'
    """
    return tr(", ").join(map(str, words))


@lru_cache(maxsize=len(LANGUAGES))
def _catalogue(name: str) -> NullTranslations:
    """Every catalogue of a language as one; English needs none."""
    if name not in FOLDERS:
        return NullTranslations()
    from babel.messages.mofile import write_mo

    merged = catalogue(name)
    compiled = io.BytesIO()
    write_mo(compiled, merged)
    return GNUTranslations(io.BytesIO(compiled.getvalue()))


def catalogue(name: str) -> Any:
    """The messages of a language as Babel's ``Catalog``."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import read_po

    merged = Catalog(locale=FOLDERS[name])
    for path in sorted((LOCALES / FOLDERS[name]).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file, locale=FOLDERS[name]):
                if message.id:
                    merged[message.id] = message
    return merged
