"""The errors that Headroom raises on purpose. Each message is one sentence that a person can act on."""

from __future__ import annotations

from typing import Any

from pruning.language import Later, tr


class PruningError(Exception):
    """Bad input or an impossible request: shown to the user as it stands, without a traceback.

    Args:
        message: In English, with ``{name}`` where a value stands. It is translated when it is read, since an error of
            shared work may be read in two languages.
        values: By name; another error or message among them is translated, too.
    """

    def __init__(self, message: str | Later = "", /, **values: Any) -> None:
        super().__init__(message)
        self.values = values

    def __str__(self) -> str:
        message = self.args[0] if self.args else ""
        return tr(message, **self.values)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {"values": self.values}


class ModelError(PruningError):
    """A model that cannot be found, read, trusted or held in memory."""


class DataError(PruningError):
    """A data set that cannot be found or read, or that does not fit the model's task."""


class MaskError(PruningError):
    """A mask that cannot be read, or that does not fit the model."""


class UnsupportedError(PruningError):
    """Something that this model, task or criterion cannot do, with the reason."""


class Cancelled(PruningError):
    """The person who asked for this work no longer wants it."""


def first_line(error: BaseException, limit: int = 300) -> str:
    """One line that says something: a heading is followed by its first item, and no words by the type's name."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[:2] if lines[0].endswith(":") else lines[:1])[:limit]


def named_line(error: BaseException, limit: int = 300) -> str:
    """The same after the type, since the libraries' messages may be as short as ``'weight'``."""
    name, line = type(error).__name__, first_line(error, limit)
    return line if line == name else f"{name}: {line}"[:limit]


def message_of(error: BaseException) -> Later:
    """What an error says, to be kept for long: an error itself keeps frames alive, and the models in them."""
    if not isinstance(error, PruningError) or not error.args:
        return Later("{error}", {"error": str(error)})
    values = {
        name: message_of(value) if isinstance(value, BaseException) else value for name, value in error.values.items()
    }
    text = error.args[0]
    return text if isinstance(text, Later) else Later(text, values)
