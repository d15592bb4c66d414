"""Registries: what is added by name once, and found by menus, help texts and the command line ever after."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from pruning.errors import PruningError
from pruning.language import later, mark


class Named(Protocol):
    """Anything with a name: a class, or a value."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)
Some = TypeVar("Some", bound=Named)


class Registry(Generic[Entry]):
    """Entries by name, in the order in which they were added.

    Args:
        what: What an entry is called in messages, in the singular.
        error: Raised where a name is unknown.
    """

    def __init__(self, what: str, error: type[PruningError] = PruningError) -> None:
        self._what, self._error = what, error
        self._entries: dict[str, Entry] = {}

    def add(self, entry: Some) -> Some:
        """Add an entry, also as a decorator; a name that is taken is refused."""
        if entry.name in self._entries:
            raise ValueError(f"a {self._what} named {entry.name!r} is registered already")
        self._entries[entry.name] = entry  # type: ignore[assignment]
        return entry

    def all(self) -> dict[str, Entry]:
        return dict(self._entries)

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            PruningError: There is none; the message lists those there are.
        """
        if name not in self._entries:
            known = ", ".join(self._entries)
            raise self._error(
                mark("there is no {what} {name!r}; there are {known}"), what=later(self._what), name=name, known=known
            )
        return self._entries[name]
