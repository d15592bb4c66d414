"""How facts, pairs and sentences are written. Pure: values in, text out in the language of now."""

from __future__ import annotations

from pruning.language import mark, tr
from pruning.presenting.figures import Fact, Figures, Pair, Presented
from pruning.presenting.prices import CURRENCIES, Prices
from pruning.presenting.story import COMPENSATED, story
from ui import theme as look

LABELS = {
    "parameters": mark("Parameters"),
    "disk": mark("Weights on disk"),
    "macs": mark("Compute for a request"),
    "memory": mark("Memory for a request"),
    "latency": mark("Time of a request"),
    "cost": mark("Cost of a million requests"),
    "energy": mark("Energy of a million requests"),
    "carbon": mark("CO2e of a million requests"),
    "accuracy": mark("Accuracy"),
    "perplexity": mark("Perplexity"),
}
OTHERS = {
    "heads": mark("Heads removed"),
    "all heads": mark("Heads in all"),
    "neurons": mark("Neurons removed"),
    "all neurons": mark("Neurons in all"),
    "layers": mark("Layers removed"),
    "all layers": mark("Layers in all"),
    "runs": mark("Runs of each model"),
    "rows": mark("Rows that measure"),
    "worse": mark("Answers that became wrong"),
    "better": mark("Answers that became right"),
    "possible loss": mark("Largest loss that cannot be excluded"),
    "price": mark("Price of an hour"),
    "watts": mark("Power, watts"),
    "tokens": mark("Length of a request, tokens"),
    "carbon factor": mark("CO2e of a kilowatt-hour, grams"),
}
SOURCES = {"counted": mark("counted"), "measured": mark("measured"), "computed": mark("computed from stated prices"),
           "stated": mark("stated, not measured")}  # fmt: skip


def write(fact: Fact) -> str:
    """One fact, as the page, the story and the file all write it.

    >>> write(Fact("cost", 1.386, "money", "computed", currency="USD")), write(Fact("x", 1.084, "times", "counted"))
    ('$1.39', '1.08×')
    """
    value, unit = fact.value, fact.unit
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "parameters":
        return look.parameters(int(value))
    if unit == "macs":
        return look.macs(int(value))
    if unit == "bytes":
        return f"{look.number(value / 1e6)} MB"
    if unit == "ms":
        return look.milliseconds(value)
    if unit == "money":
        return _money(value, fact.currency)
    if unit == "times":
        return f"{look.number(value)}×"
    if unit in ("kwh", "kg"):
        return f"{look.number(value)} {'kWh' if unit == 'kwh' else 'kg'}"
    return _quality(fact)


def _money(value: float, currency: str) -> str:
    sign = CURRENCIES[currency]
    return f"{sign}{value:,.2f}" if value >= 0.1 or not value else f"{sign}{look.number(value, 2)}"


def _quality(fact: Fact) -> str:
    """Shares, points and losses; a change comes with its interval."""
    estimate = fact.estimate
    if fact.unit == "share":
        return look.percent(fact.value)
    if fact.unit == "points":
        if estimate is not None:
            return look.points(estimate)
        return tr("{value} points", value=f"{100 * fact.value:.1f}")
    if fact.name.endswith("change") and estimate is not None:
        return look.difference(estimate)
    return look.number(fact.value)


def split(fact: Fact) -> tuple[str, str]:
    """The number and its unit apart, for large type.

    >>> split(Fact("x", 12.4, "ms", "measured")), split(Fact("x", 0.875, "share", "measured"))
    (('12.4', 'ms'), ('87.5%', ''))
    """
    text = write(fact)
    if fact.unit == "parameters":  # in words that depend on the language; compute is scaled alike, and has none
        text = look.macs(int(fact.value)).removesuffix("MACs").strip()
    number, _, unit = text.partition(" ")
    return number, unit


def interval(fact: Fact) -> str:
    """The 95% interval as it stands below a number; empty where there is none."""
    estimate = fact.estimate
    if estimate is None:
        return ""
    if fact.unit == "share":
        return look.proportion(estimate).partition("(")[2].rstrip(")")
    if fact.unit == "ms":
        return look.measured(estimate).partition("(")[2].rstrip(")")
    if fact.unit == "plain":
        return look.measured(estimate).partition("(")[2].rstrip(")")
    return ""


SMALLER = {
    "better": mark("{times} smaller"),
    "worse": mark("{times} as large"),
    "same": mark("no change"),
    "unclear": mark("no measurable change"),
}


def change(pair: Pair) -> str:
    """What happened to a quantity, in a word or two; what is not measured to change is not said to."""
    if pair.change is not None:
        return write(pair.change)
    assert pair.times is not None
    if pair.verdict == "worse":
        inverse = Fact(pair.times.name, 1 / pair.times.value, "times", pair.times.source)
        return tr(SMALLER["worse"], times=write(inverse))
    if pair.verdict == "better" and pair.name == "latency":
        return tr("{times} as fast", times=write(pair.times))
    return tr(SMALLER[pair.verdict], times=write(pair.times))


def sentences(found: Presented, prices: Prices) -> list[str]:
    """The story in the language of now."""
    return [sentence.read(write) for sentence in story(found, prices)]


def compensated(found: Presented) -> str:
    """What stands in for what is removed."""
    return tr(COMPENSATED[found.compensation]) if found.mask else ""


def table(known: Figures) -> list[dict[str, str]]:
    """Every fact there is: quantities with both models, then what belongs to no pair."""
    rows = [
        {
            "what": tr(LABELS[pair.name]),
            "before": _with_interval(pair.before),
            "after": _with_interval(pair.after),
            "change": change(pair),
            "source": tr(SOURCES[pair.after.source]),
        }
        for pair in known.pairs.values()
    ]
    for name, fact in known.others.items():
        cell = {"what": tr(OTHERS[name]), "before": "", "after": write(fact), "change": ""}
        rows.append({**cell, "source": tr(SOURCES[fact.source])})
    return rows


def _with_interval(fact: Fact) -> str:
    between = interval(fact)
    return f"{write(fact)} ({between})" if between else write(fact)
