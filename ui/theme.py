"""Colours, type and number formats of the interface as plain data. Nothing here imports streamlit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from pruning.errors import PruningError
from pruning.language import Later, mark, tr
from pruning.statistics import Estimate

Theme = Literal["light", "dark"]

FONT_FAMILY = '"Source Sans", "Source Sans Pro", "Noto Sans SC", system-ui, sans-serif'
TITLE_PX, BODY_PX, CAPTION_PX = 16, 14, 12
NOT_MEASURED = mark("not measured")
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Tokens:
    """The roles that colours play in one theme; text and signal colours have at least 5 : 1 against ``ground``."""

    ground: str
    raised: str
    text: str
    secondary: str
    accent: str
    pruned: str
    kept: str
    line: str  # grid lines and cell borders: meant to be seen only when looked for


_TOKENS: dict[str, Tokens] = {
    "light": Tokens("#FFFFFF", "#F4F6F9", "#1C2330", "#56606E", "#3451C7", "#B3541E", "#0F766E", "#DDE2EA"),
    "dark": Tokens("#0E131A", "#161D27", "#E7EBF1", "#9AA6B5", "#93A8FF", "#F2A36B", "#5FD0C2", "#2A3442"),
}

# Anchors from unimportant to important, and from negative through zero to positive. The scales are resampled so that
# equal steps of the value are equal steps of OKLab colour difference.
_SEQUENTIAL: dict[str, tuple[str, ...]] = {
    "light": ("#EDF0FA", "#7F93E2", "#3451C7", "#16216B"),
    "dark": ("#1B2433", "#4559AE", "#93A8FF", "#E3E9FF"),
}
_DIVERGING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "light": (("#F1F3F6", "#B3541E", "#7C3610"), ("#F1F3F6", "#0F766E", "#084F4A")),
    "dark": (("#1D2530", "#F2A36B"), ("#1D2530", "#5FD0C2")),
}


@dataclass(frozen=True)
class Words:
    """The words that charts and the grid editor put on single heads; `words` gives those of the reader's language."""

    head: str = "head"
    value: str = "importance"
    removed: str = "removed"
    no_head: str = "no such head"
    row_button: str = "all heads"
    hint: str = "Click or Space: remove or restore. Drag: a block. Shift + arrows: carry the state on."

    def about(self, site: str, head: int, value: str | None, removed: bool, separator: str = " · ") -> str:
        """
        >>> Words().about("Layer 2", 5, "0.0123", True)
        'Layer 2, head 5 · importance 0.0123 · removed'
        """
        parts = [f"{site}, {self.head} {head}", f"{self.value} {value or tr(NOT_MEASURED)}"]
        return separator.join([*parts, self.removed] if removed else parts)


def words() -> Words:
    """In the language of now."""
    return Words(
        tr("head"),
        tr("importance"),
        tr("removed"),
        tr("no such head"),
        tr("all heads"),
        tr("Click or Space: remove or restore. Drag: a block. Shift + arrows: carry the state on."),
    )


_WORD_FIRST = re.compile(r"[a-z]+([-'’][a-z]+)*[.,:;)]*(\s|$)")
_VALUE_FIRST = re.compile(r"\{(\w+)[^}]*\}")


def as_sentence(message: object) -> str:
    """An error or a reason as a sentence of its own; the name of a file, a model or an option keeps its first letter.

    >>> as_sentence("the file is empty"), as_sentence("reviews.csv is empty")
    ('The file is empty.', 'reviews.csv is empty.')
    """
    text = str(message)
    if _WORD_FIRST.match(text) and not _begins_with_a_value(message):
        text = f"{text[:1].upper()}{text[1:]}"
    return text if text.endswith((".", "。")) else tr("{text}.", text=text)


def _begins_with_a_value(message: object) -> bool:
    """Whether a message begins with a name that it was given, rather than with a word or with another message."""
    if isinstance(message, PruningError) and message.args:
        template, values = message.args[0], message.values
    elif isinstance(message, Later):
        template, values = message.text, message.values
    else:
        return False
    if isinstance(template, Later):
        return _begins_with_a_value(template)
    first = _VALUE_FIRST.match(template)
    if first is None or first[1] not in values:
        return False
    value = values[first[1]]
    return _begins_with_a_value(value) if isinstance(value, Later | BaseException) else first[1] != "error"


def tokens(theme: Theme) -> Tokens:
    """The tokens of one theme.

    Raises:
        ValueError: The theme is neither ``light`` nor ``dark``.
    """
    if theme not in _TOKENS:
        raise ValueError(f"theme is light or dark, not {theme!r}")
    return _TOKENS[theme]


@lru_cache(maxsize=64)
def sequential(theme: Theme, steps: int = 33) -> tuple[str, ...]:
    """``steps`` colours of one hue, from just off the ground to the deep (light) or bright (dark) end."""
    return _even(_SEQUENTIAL[theme], steps)


@lru_cache(maxsize=64)
def diverging(theme: Theme, steps: int = 33) -> tuple[str, ...]:
    """``steps`` colours (an odd number) from the pruned colour through the ground to the kept colour."""
    if steps % 2 == 0:
        raise ValueError(f"a diverging scale has a middle, so steps must be odd, not {steps}")
    negative, positive = (_even(side, steps // 2 + 1) for side in _DIVERGING[theme])
    return negative[::-1] + positive[1:]


# Colour arithmetic ------------------------------------------------------------------------------------------------


def oklab(colour: str) -> tuple[float, float, float]:
    """``#RRGGBB`` in OKLab (Ottosson 2020): lightness 0 to 1 and two opponent axes."""
    r, g, b = (_linear(channel) for channel in _rgb(colour))
    long = math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    medium = math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def from_oklab(lightness: float, a: float, b: float) -> str:
    """The inverse of `oklab`, clipped to what a screen can show."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(channel)):02X}" for channel in linear)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def with_alpha(colour: str, alpha: float) -> str:
    """``#RRGGBB`` as ``rgba(…)``, which plotly understands everywhere."""
    red, green, blue = (round(255 * channel) for channel in _rgb(colour))
    return f"rgba({red},{green},{blue},{alpha:g})"


def _rgb(colour: str) -> tuple[float, float, float]:
    return int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _encoded(channel: float) -> float:
    channel = min(1.0, max(0.0, channel))
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel) for channel in _rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _even(anchors: tuple[str, ...], steps: int) -> tuple[str, ...]:
    """Walk the anchors in OKLab in steps of equal length."""
    points = [oklab(anchor) for anchor in anchors]
    lengths = [math.dist(here, there) for here, there in pairwise(points)]
    colours = []
    for step in range(steps):
        rest, leg = sum(lengths) * step / max(1, steps - 1), 0
        while leg < len(lengths) - 1 and rest > lengths[leg]:
            rest, leg = rest - lengths[leg], leg + 1
        share = rest / lengths[leg]
        mixed = (p + share * (q - p) for p, q in zip(points[leg], points[leg + 1], strict=True))
        colours.append(from_oklab(*mixed))
    return tuple(colours)


# Text ------------------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Text of unknown origin for a place that reads Markdown: no mark in it means anything, no picture is fetched.

    >>> plain("a_b![x](http://y)") == r"a\\_b\\!\\[x\\](http://y)"
    True
    """
    return "".join(f"\\{c}" if c in r"\`*_[]#!|<>~$" else c for c in text)


def shortened(text: str, letters: int = 180) -> str:
    """
    >>> shortened("one two three", 9)
    'one two …'
    """
    return text if len(text) <= letters else f"{text[: letters - 1].rsplit(' ', 1)[0]} …"


# Numbers ----------------------------------------------------------------------------------------------------------


def number(value: float | None, digits: int = 3) -> str:
    """A number with ``digits`` significant digits.

    >>> number(0.01234), number(-12.0), number(20941), number(0.0), number(None)
    ('0.0123', '−12.0', '20,900', '0', 'not measured')
    >>> number(0.0000123)
    '1.23e−5'
    """
    if value is None or not math.isfinite(value):
        return tr(NOT_MEASURED)
    if value == 0:
        return "0"
    mantissa, exponent_text = f"{value:.{digits - 1}e}".split("e")
    exponent = int(exponent_text)
    if not -4 <= exponent < 15:
        return _true_minus(f"{mantissa}e{exponent}")
    rounded = float(f"{mantissa}e{exponent}")
    return _true_minus(f"{rounded:,.{max(0, digits - 1 - exponent)}f}")


def percent(fraction: float | None) -> str:
    """A fraction as a percentage with one decimal.

    >>> percent(0.875)
    '87.5%'
    """
    return tr(NOT_MEASURED) if fraction is None or not math.isfinite(fraction) else f"{_fixed(100 * fraction)}%"


def proportion(estimate: Estimate | None, count: int | None = None) -> str:
    """A proportion with its interval and its sample count.

    >>> proportion(Estimate(0.875, 0.857, 0.891), 1500)
    '87.5% (85.7 to 89.1, n = 1,500)'
    """
    if estimate is None or not math.isfinite(estimate.value):
        return tr(NOT_MEASURED)
    low_high = _interval(_fixed(100 * estimate.low), _fixed(100 * estimate.high), estimate)
    sample = "" if count is None else tr(", n = {count:,}", count=count)
    return f"{percent(estimate.value)} ({low_high}{sample})"


def points(estimate: Estimate | None) -> str:
    """A difference of two proportions in percentage points, with its sign and its interval.

    >>> points(Estimate(-0.008, -0.017, 0.001))
    '−0.8 points (−1.7 to 0.1)'
    """
    if estimate is None or not math.isfinite(estimate.value):
        return tr(NOT_MEASURED)
    low_high = _interval(_fixed(100 * estimate.low), _fixed(100 * estimate.high), estimate)
    return tr("{value} points", value=_signed(_fixed(100 * estimate.value))) + f" ({low_high})"


def measured(estimate: Estimate | None, unit: str = "", count: int | None = None) -> str:
    """Any other value with its interval: three significant digits.

    >>> measured(Estimate(0.2987, 0.281, 0.3163), count=1500)
    '0.299 (0.281 to 0.316, n = 1,500)'
    """
    if estimate is None or not math.isfinite(estimate.value):
        return tr(NOT_MEASURED)
    low_high = _interval(number(estimate.low), number(estimate.high), estimate)
    sample = "" if count is None else tr(", n = {count:,}", count=count)
    return f"{number(estimate.value)}{unit and ' ' + unit} ({low_high}{sample})"


def difference(estimate: Estimate | None, unit: str = "") -> str:
    """A difference in the value's own unit, with its sign and its interval.

    >>> difference(Estimate(0.0213, 0.0101, 0.0325))
    '+0.0213 (0.0101 to 0.0325)'
    """
    text = measured(estimate, unit)
    return text if estimate is None or not math.isfinite(estimate.value) else _signed(text)


def parameters(count: int | None) -> str:
    """
    >>> parameters(20_941_312), parameters(1_300_000_000), parameters(912)
    ('20.9 M parameters', '1.30 G parameters', '912 parameters')
    """
    return tr(NOT_MEASURED) if count is None else tr("{count} parameters", count=_scaled(count))


def macs(count: int | None) -> str:
    """
    >>> macs(1_520_000_000), macs(380_000_000)
    ('1.52 GMACs', '380 MMACs')
    """
    return tr(NOT_MEASURED) if count is None else f"{_scaled(count)}MACs" if count >= 999.5 else f"{count} MACs"


def milliseconds(value: float | None) -> str:
    """
    >>> milliseconds(12.4), milliseconds(None)
    ('12.4 ms', 'not measured')
    """
    return tr(NOT_MEASURED) if value is None else f"{number(value)} ms"


def _scaled(count: float) -> str:
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        # 999,600 is written 1.00 M: the prefix follows the rounded number
        if abs(float(f"{count:.2e}")) >= factor:
            return f"{number(count / factor)} {prefix}"
    return f"{count:,.0f}"


def _fixed(value: float) -> str:
    text = f"{value:.1f}"
    return _true_minus("0.0" if text == "-0.0" else text)


def _signed(text: str) -> str:
    zero = not any(digit in "123456789" for digit in text.split(" ")[0])
    return text if text.startswith(MINUS) or zero else f"+{text}"


def _interval(low: str, high: str, estimate: Estimate) -> str:
    bounded = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    return tr("{low} to {high}", low=low, high=high) if bounded else tr("interval not measured")


def _true_minus(text: str) -> str:
    return text.replace("-", MINUS)
