"""Words inside messages: names in a row, translated when they are read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from pruning.language import Later, later, speaking

Message = str | Later


def both(names: Iterable[Message]) -> Later:
    """Names of the program's own things, at least one, with "and" between them.

    >>> str(both(["heads", "neurons", "layers"]))
    'heads and neurons and layers'
    """
    return reduce(lambda one, other: later("{one} and {other}", one=one, other=other), map(_later, names))


def either(names: Iterable[Message]) -> Later:
    """The same with "or".

    >>> str(either(["2:4", "4:8"]))
    '2:4 or 4:8'
    """
    return reduce(lambda one, other: later("{one} or {other}", one=one, other=other), map(_later, names))


def english(message: Message) -> str:
    """For files and other programs, whoever is reading the page."""
    with speaking("en"):
        return str(message)


def _later(name: Message) -> Later:
    return later(name) if isinstance(name, str) else name
