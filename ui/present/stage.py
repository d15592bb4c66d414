"""What one step shows, as HTML in large type. Pure: values in, text out in the language of now."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pruning.language import mark, tr
from pruning.presenting.examples import Shown
from pruning.presenting.figures import Fact, Pair, Presented, figures
from pruning.presenting.prices import Prices
from pruning.presenting.story import story
from ui.present.choice import Choice
from ui.present.words import LABELS, change, compensated, interval, sentences, split, write
from ui.theme import shortened

STEPS = {
    "question": mark("The question"),
    "size": mark("Size and compute"),
    "speed": mark("Speed and cost"),
    "quality": mark("Quality"),
    "examples": mark("Examples"),
    "try": mark("Try it"),
    "story": mark("The story"),
}
SHOWN = {  # of each step, what it is about first
    "size": ("parameters", "disk", "macs", "memory"),
    "speed": ("latency", "cost", "energy", "carbon"),
    "quality": ("accuracy",),
}
KINDS = {
    ("worse", True): mark("Became wrong"),
    ("worse", False): mark("Lost most; no answer became wrong"),
    ("better", True): mark("Became right"),
    ("better", False): mark("Gained most; no answer became right"),
    ("middle", False): mark("In the middle: its loss changed by the median"),
}
RULE = mark(
    "Chosen by a rule: the new error that the smaller model is surest of, the gain that it is least sure of, and the "
    "example in the middle."
)
IMAGE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+")
escape = html.escape


@dataclass(frozen=True)
class Scene:
    """All that the steps show.

    Attributes:
        model, data: As the pickers call them.
        task: What the model is for, by the name that the engine gives it; empty until it is there.
        found: ``None`` until a plan is there.
        waiting: What to say of what is not there: that it is being measured, or that it was not.
    """

    choice: Choice
    model: str
    data: str
    task: str
    prices: Prices
    found: Presented | None = None
    waiting: str = ""
    examples: tuple[Shown, ...] = ()


def step_of(text: str) -> int:
    """The number of a step in a link, from 1; the first where there is none of that number.

    >>> step_of("3"), step_of("9"), step_of("x")
    (3, 1, 1)
    """
    return int(text) if text.isdigit() and 1 <= int(text) <= len(STEPS) else 1


def question(choice: Choice) -> str:
    """What is asked, in one sentence."""
    share = f"{choice.percent}%"
    if choice.kind == "mask":
        return tr("What if the removed parts were really gone?")
    if choice.kind == "macs":
        return tr("What if it computed {share} less?", share=share)
    return tr("What if {share} of its attention heads were gone?", share=share)


def stage_html(step: str, scene: Scene) -> str:
    """One step; ``try`` brings its own widgets, and the picture of the story is a figure."""
    parts = {"question": _question, "examples": _examples, "story": _story, "try": lambda _: ""}
    body = parts[step](scene) if step in parts else _numbers(step, scene)
    return f'<div class="present">{body}</div>'


def _question(scene: Scene) -> str:
    found = scene.found
    about = tr("{model}, measured on {data}.", model=scene.model, data=scene.data)
    if found is None or not found.evaluated:
        about = f"{scene.model} · {scene.data}"
    # Chinese has no spaces: its lines may end here, and no longer within a word.
    asked = escape(question(scene.choice)).replace("的", "的<wbr>")
    lines = [f"<p class='ask'>{asked}</p>", f"<p>{escape(about)}</p>"]
    if found is not None and found.mask:
        known = figures(found, scene.prices)
        lines.append(f"<p>{escape(story(found, scene.prices)[0].read(write))} {escape(compensated(found))}</p>")
        assert known.others
    elif scene.waiting:
        lines.append(f"<p class='wait'>{escape(scene.waiting)}</p>")
    return "".join(lines)


def _numbers(step: str, scene: Scene) -> str:
    pair = hero(step, scene)
    if pair is None:
        name = tr(LABELS[_hero_name(step, scene)])
        return f"<p class='label'>{escape(name)}</p><p class='wait'>{escape(missing(scene))}</p>"
    said = [s for s in sentence_of(step, scene) if s]
    return (
        f"<p class='label'>{escape(tr(LABELS[pair.name]))}</p>"
        f"<div class='pair'>{_side(tr('before'), pair.before, '')}<span class='arrow' aria-hidden='true'>→</span>"
        f"{_side(tr('after'), pair.after, pair.verdict)}</div>"
        f"<p class='change {pair.verdict}'>{escape(change(pair))}</p>"
        + "".join(f"<p class='said'>{escape(text)}</p>" for text in said)
    )


def missing(scene: Scene) -> str:
    """Why a number is not there."""
    if scene.found is not None and scene.found.problem is not None:
        return tr("Not measured: {error}.", error=scene.found.problem)
    return scene.waiting or tr("not measured")


def hero(step: str, scene: Scene) -> Pair | None:
    """The number pair of a step, as far as it is measured."""
    if scene.found is None:
        return None
    pairs = figures(scene.found, scene.prices).pairs
    return pairs.get(_hero_name(step, scene))


def _hero_name(step: str, scene: Scene) -> str:
    """What the large numbers of a step are: compute where compute was asked for."""
    if step == "size" and scene.choice.kind == "macs":
        return "macs"
    if step == "quality" and scene.task == "language-modeling":
        return "perplexity"
    return SHOWN[step][0]


def beside(step: str, scene: Scene) -> list[Pair]:
    """The other quantities of a step; all of them for the story."""
    if scene.found is None:
        return []
    pairs = figures(scene.found, scene.prices).pairs
    if step == "story":
        return list(pairs.values())
    first = _hero_name(step, scene) if step in SHOWN else ""
    return [pairs[name] for name in SHOWN.get(step, ()) if name in pairs and name != first]


def sentence_of(step: str, scene: Scene) -> list[str]:
    """The sentences of the story that are about this step."""
    if scene.found is None:
        return []
    found = scene.found
    names = {"size": {"parameters"}, "speed": {"latency", "cost"}, "quality": {"accuracy", "perplexity"}}[step]
    return [
        sentence.read(write)
        for sentence in story(found, scene.prices)
        if any(fact.name.split(" ")[0] in names for fact in sentence.facts.values())
    ]


def _side(when: str, fact: Fact, verdict: str) -> str:
    number, unit = split(fact)
    small = f" <span class='unit'>{escape(unit)}</span>" if unit else ""
    between = f"<span class='interval'>{escape(interval(fact))}</span>" if interval(fact) else ""
    return (
        f"<div class='side {verdict}'><span class='when'>{escape(when)}</span>"
        f"<span class='number'>{escape(number)}{small}</span>{between}</div>"
    )


def timed(scene: Scene) -> str:
    """How the times were taken; empty where there are none."""
    timing = scene.found.timing if scene.found is not None else None
    if timing is None:
        return ""
    return tr(
        "Times: medians of {n} runs of each model in turns, threads: {threads}, on {machine}. Intervals are 95%.",
        n=timing.runs, threads=timing.threads, machine=timing.machine,
    )  # fmt: skip


# Examples and the story ------------------------------------------------------------------------------------------


def _examples(scene: Scene) -> str:
    if not scene.examples:
        return f"<p class='wait'>{escape(missing(scene))}</p>"
    return "".join(map(example_html, scene.examples)) + f"<p class='small'>{escape(tr(RULE))}</p>"


def example_html(one: Shown, kind: str = "") -> str:
    """One example with what both models make of it."""
    kind = kind or tr(KINDS[one.kind, one.flipped])
    image = IMAGE.fullmatch(one.text)
    alt = escape(tr("the image that was classified"))
    text = f"<img src='{one.text}' alt='{alt}'>" if image else escape(shortened(one.text))
    label = f" · {escape(tr('label {name}', name=one.label))}" if one.label else ""
    sides = ((tr("before"), one.before, one.sure_before), (tr("after"), one.after, one.sure_after))
    answers = "".join(
        f"<span class='answer'><span class='when'>{escape(when)}</span> {escape(said)} {sure:.2f}</span>"
        for when, said, sure in sides
    )
    return (
        f"<blockquote class='{one.kind if one.flipped else ''}'><p class='small'><b>{escape(kind)}</b>"
        f" · {escape(tr('row {n}', n=one.position))}{label}</p><p>{text}</p>"
        f"<p class='answers'>{answers}</p></blockquote>"
    )


def _story(scene: Scene) -> str:
    if scene.found is None:
        return f"<p class='wait'>{escape(missing(scene))}</p>"
    lines: Sequence[str] = sentences(scene.found, scene.prices)
    return "<ul class='story'>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
