"""The short code of a mask in a link: pairs of numbers, packed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator

from pruning.errors import MaskError
from pruning.language import mark

LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
LARGEST_COUNT, LARGEST_INDEX = 1 << 20, 1 << 24  # bound what a hostile link or file can make us build
BEYOND = mark("the mask code in the link is damaged, because it holds a number beyond any model")


def pack(pairs: Iterable[tuple[int, int]]) -> str:
    """Delta-coded variable-length integers in URL-safe base64: about one and a half characters a head."""
    data, row, column = bytearray(), 0, -1
    for group, index in pairs:
        step = group - row
        delta = index - (column if not step else -1) - 1
        for number in [1 + 2 * (step - 1), delta] if step else [2 * delta]:
            data += _varint(number)
        row, column = group, index
    return base64.urlsafe_b64encode(bytes(data)).decode().rstrip("=")


def unpack(text: str) -> Iterator[tuple[int, int]]:
    """The inverse of `pack`.

    Raises:
        MaskError: The text is damaged, or would give more than a mask may hold.
    """
    if wrong := next((letter for letter in text if letter not in LETTERS), ""):
        raise MaskError("the mask code in the link is damaged, because {letter!r} cannot be in one", letter=wrong)
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise MaskError("the mask code in the link is cut short") from error
    row, column, numbers = 0, -1, _varints(data)
    for count, number in enumerate(numbers):
        if count >= LARGEST_COUNT:
            raise MaskError("the mask code in the link is too long")
        if number % 2:
            row, column = row + (number - 1) // 2 + 1, -1
            try:
                number = 2 * next(numbers)
            except StopIteration:
                raise MaskError("the mask code in the link is cut short") from None
        column += number // 2 + 1
        if max(row, column) > LARGEST_INDEX:
            raise MaskError(BEYOND)
        yield row, column


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def _varints(data: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if shift > 35:
            raise MaskError(BEYOND)
        if not byte & 0x80:
            yield number
            number, shift = 0, 0
    if shift:
        raise MaskError("the mask code in the link is cut short")
