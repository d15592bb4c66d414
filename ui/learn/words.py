"""What is said of a guess: kind, true, and short. No streamlit here."""

from __future__ import annotations

from dataclasses import replace

from pruning.language import mark, tr
from pruning.learning.records import Scale, Truth
from ui.theme import MINUS

CLOSE, NOT_FAR = 0.1, 0.25  # shares of the slider
PERCENT, POINTS = mark("{value}%"), mark("{value} points")


def amount(value: float, scale: Scale) -> str:
    """A value with its unit."""
    digits = f"{value:,.{scale.digits}f}"
    digits = digits.lstrip("-") if not digits.strip("-0.,") else digits  # a rounded -0 is 0
    return tr(scale.unit, value=digits.replace("-", MINUS))


def finer(scale: Scale, *values: float) -> Scale:
    """With a digit more than the slider has, where a measured value needs it: 1.4 points are not 1."""
    whole = scale.digits > 0 or all(float(value).is_integer() for value in values)
    return scale if whole else replace(scale, digits=1)


def slider_format(scale: Scale) -> str:
    """The unit for a slider, which writes its numbers with the rules of ``printf``."""
    return tr(scale.unit, value="\0").replace("%", "%%").replace("\0", f"%.{scale.digits}f")


def unit_of(scale: Scale) -> str:
    """The unit alone, for an axis."""
    return tr(scale.unit, value="").strip()


def verdict(guess: float, truth: Truth, scale: Scale) -> str:
    """How close it was, in a few words."""
    missed = truth.missed_by(guess, scale) / (scale.high - scale.low)
    if missed == 0:
        return tr("Spot on")
    if missed <= CLOSE:
        return tr("Very close")
    if missed <= NOT_FAR:
        return tr("Not far off")
    apart = replace(scale, unit=POINTS) if scale.unit == PERCENT else scale  # 45% more could be of 20%
    distance = amount(abs(truth.value - guess), apart)
    if truth.value > guess:
        return tr("A surprise: it is {distance} more than you said", distance=distance)
    return tr("A surprise: it is {distance} less than you said", distance=distance)


def told(truth: Truth, scale: Scale, samples: int = 0) -> str:
    """The truth, with its interval and on how many examples it stands."""
    scale = finer(scale, truth.value)
    value = amount(truth.value, scale)
    if truth.low is None or truth.high is None:
        return tr("{truth} (n = {n:,})", truth=value, n=samples) if samples else value
    low, high = (f"{end:,.{scale.digits}f}".replace("-", MINUS) for end in (truth.low, truth.high))
    if not samples:
        return tr("{truth} ({low} to {high})", truth=value, low=low, high=high)
    return tr("{truth} ({low} to {high}, n = {n:,})", truth=value, low=low, high=high, n=samples)
