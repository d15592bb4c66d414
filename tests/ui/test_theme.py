"""Colours that can be told apart and read, and numbers that are written one way."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruning.errors import DataError
from pruning.language import later, speaking
from pruning.statistics import Estimate
from ui import theme
from ui.figures import delta_of
from ui.theme import Theme

THEMES: tuple[Theme, ...] = ("light", "dark")
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))


def seen_with_deuteranopia(colour: str) -> tuple[float, float, float]:
    """Machado, Oliveira & Fernandes (2009), severity 1, applied to linear light; returned in OKLab."""
    linear = [theme._linear(channel) for channel in theme._rgb(colour)]
    mixed = [sum(w * c for w, c in zip(row, linear, strict=True)) for row in DEUTERANOPIA]
    return theme.oklab("#" + "".join(f"{round(255 * theme._encoded(channel)):02X}" for channel in mixed))


def test_examples_in_the_docstrings() -> None:
    assert doctest.testmod(theme).failed == 0


@pytest.mark.parametrize("name", THEMES)
@pytest.mark.parametrize("role", ["text", "secondary", "accent", "pruned", "kept"])
@pytest.mark.parametrize("ground", ["ground", "raised"])
def test_contrast(name: Theme, role: str, ground: str) -> None:
    tokens = theme.tokens(name)
    least = 4.95 if ground == "ground" else 4.5  # about 5 : 1 is the aim on the ground; WCAG AA asks for 4.5
    assert theme.contrast(getattr(tokens, role), getattr(tokens, ground)) >= least


def test_contrast_of_black_and_white() -> None:
    assert theme.contrast("#000000", "#FFFFFF") == pytest.approx(21)


def test_unknown_theme() -> None:
    with pytest.raises(ValueError, match="light or dark"):
        theme.tokens("sepia")  # type: ignore[arg-type]


@given(st.integers(0, 0xFFFFFF))
def test_oklab_round_trip(rgb: int) -> None:
    colour = f"#{rgb:06X}"
    assert theme.from_oklab(*theme.oklab(colour)) == colour


@pytest.mark.parametrize("name", THEMES)
def test_sequential_is_even_and_monotonic_in_lightness(name: Theme) -> None:
    steps = [theme.oklab(colour) for colour in theme.sequential(name)]
    distances = [math.dist(a, b) for a, b in pairwise(steps)]
    assert max(distances) < 1.5 * min(distances)  # rounding to 8 bits and the bends at the anchors
    sign = -1 if name == "light" else 1
    assert all(sign * (b[0] - a[0]) > 0 for a, b in pairwise(steps))


@pytest.mark.parametrize("name", THEMES)
def test_diverging_ends_differ_for_everybody(name: Theme) -> None:
    colours = theme.diverging(name)
    low, middle, high = (seen_with_deuteranopia(colours[i]) for i in (0, 16, -1))
    assert min(math.dist(low, middle), math.dist(high, middle), math.dist(low, high)) > 0.1
    assert abs(theme.oklab(colours[0])[0] - theme.oklab(colours[-1])[0]) < 0.1  # neither side shouts louder


def test_diverging_needs_a_middle() -> None:
    with pytest.raises(ValueError, match="odd"):
        theme.diverging("light", 32)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.9996, "1.00"), (999.6, "1,000"), (0.00012345, "0.000123"), (-0.5, "−0.500"), (12.4, "12.4")],
)
def test_number(value: float, text: str) -> None:
    assert theme.number(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_was_not_measured(value: float | None) -> None:
    assert theme.number(value) == theme.percent(value) == "not measured"
    assert theme.points(None) == theme.proportion(None) == theme.parameters(None) == "not measured"


@given(st.floats(-1e9, 1e9))
def test_number_is_within_half_a_digit(value: float) -> None:
    written = float(theme.number(value).replace("−", "-").replace(",", ""))
    assert written == pytest.approx(value, rel=0.00501, abs=1e-300)


def test_signs() -> None:
    assert theme.points(Estimate(-0.0001, -0.009, 0.009)) == "0.0 points (−0.9 to 0.9)"
    assert theme.points(Estimate(0.013, 0.003, 0.023)) == "+1.3 points (0.3 to 2.3)"
    assert theme.difference(Estimate(0.0, -0.1, 0.1)) == "0 (−0.100 to 0.100)"


def test_an_interval_of_one_example() -> None:
    assert theme.measured(Estimate(0.5, -math.inf, math.inf), count=1) == "0.500 (interval not measured, n = 1)"


@pytest.mark.parametrize(("count", "text"), [(999_600, "1.00 M parameters"), (12, "12 parameters")])
def test_prefix_follows_the_rounded_number(count: int, text: str) -> None:
    assert theme.parameters(count) == text


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("the file is empty", "The file is empty."),
        ("empty", "Empty."),
        ("fine-tuning needs labels", "Fine-tuning needs labels."),
        ("reviews.csv is empty", "reviews.csv is empty."),
        ("data/reviews has no rows", "data/reviews has no rows."),
        ("“reviews” has no rows", "“reviews” has no rows."),
        ("iPhone photos", "iPhone photos."),
        (DataError("{name} is empty", name="reviews"), "reviews is empty."),
        (DataError("no row of {name} is read", name="reviews"), "No row of reviews is read."),
        (later("{name} cannot be used: {reason}", name="my reviews", reason="x"), "my reviews cannot be used: x."),
        (later("{error}", error="it is empty"), "It is empty."),
        (later("{error}. Try again", error=DataError("it is empty")), "It is empty. Try again."),
        (later("{error}. Try again", error=DataError("{name} is empty", name="a")), "a is empty. Try again."),
    ],
)
def test_a_sentence_begins_large_unless_it_begins_with_a_name(message: object, sentence: str) -> None:
    assert theme.as_sentence(message) == sentence


def test_a_name_keeps_its_letter_in_chinese_too() -> None:
    with speaking("zh"):
        assert theme.as_sentence("reviews没有样本") == "reviews没有样本。"


@pytest.mark.parametrize(
    ("text", "unclear", "lower", "arrow", "colour"),
    [
        ("−88.2 points", False, False, "down", "red"),
        ("+0.8 points", False, False, "up", "green"),
        ("+0.8 in loss", False, True, "up", "red"),
        ("−0.8 in loss", False, True, "down", "green"),
        ("−0.8 points", True, False, "down", "off"),
        ("0.0 points", False, False, "off", "off"),
    ],
)
def test_a_difference_has_the_true_minus_with_its_arrow(
    text: str, unclear: bool, lower: bool, arrow: str, colour: str
) -> None:
    assert delta_of(text, unclear, lower) == {"delta": text, "delta_arrow": arrow, "delta_color": colour}
    assert delta_of("", unclear, lower) == {}
