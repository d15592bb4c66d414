"""The report: what was done, why, what it costs and saves, and how to make it again, as one file of HTML. Pure.

Every figure is a ``<data value="…">`` element that holds the value in full, so that a program can read the report back.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from pruning.evaluation import Flip
from pruning.statistics import Estimate
from ui import theme as look
from ui.details import LOWER_IS_BETTER, NAMES, PERCENT
from ui.export.pictures import Picture
from ui.export.script import evaluate_command, needs_file, prune_command, python_script
from ui.export.subject import Measured, Subject, versions
from ui.export.webpage import Drawn, document, place

FLIPS = {"worse": 6, "better": 4, "other": 2}  # that are shown of each kind
KINDS = {"worse": "became wrong", "better": "became right", "other": "still wrong"}
IMAGE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+")
REPLACED = {
    "none": "Nothing: what is removed counts as zero.",
    "mean": "Its mean output over the calibration rows, folded into the biases.",
    "reconstruct": "The projections that lose an input were fitted again on the calibration rows, by least squares.",
}
escape = html.escape


def report(subject: Subject, chosen: Iterable[Picture] = ()) -> str:
    """The file.

    Args:
        chosen: The figures that it shows.
    """
    drawn = [Drawn(one.draw("light"), one.draw("dark"), one.alt) for one in chosen]
    for one in drawn:
        for figure in (one.light, one.dark):
            figure.update_layout(autosize=True)
    parts = [
        _opening(subject),
        _section("What was done", _facts(subject)),
        _section("Why these parts", _paragraphs(subject.why)),
        _section("What it does to the task", _results(subject)),
        _section("What it saves", _savings(subject)),
        _section("Figures", "".join(place(number, one) for number, one in enumerate(drawn))),
        _section("Examples that are answered differently", _flips(subject.measured)),
        _section("How to make it again", _again(subject)),
        _section("What this does not say", _list(limits(subject))),
    ]
    return document(_title(subject), "\n".join(filter(None, parts)), drawn)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>" if content else ""


def _paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _title(subject: Subject) -> str:
    return f"{subject.label}: {subject.removed} removed" if subject.mask else f"{subject.label}: nothing removed"


# The finding -----------------------------------------------------------------------------------------------------


def _opening(subject: Subject) -> str:
    return f"<h1>{escape(_title(subject))}</h1>\n<p class='lead'>{_finding(subject)}</p>"


def _finding(subject: Subject) -> str:
    """The main figure of both models in two or three sentences."""
    found = subject.measured
    if found is None:
        return "It has not been measured yet what that does to the task."
    name = "perplexity" if "perplexity" in found.before.metrics else "accuracy"
    noun = NAMES[name].lower()
    before = f"{_value(name, found.before.metrics[name])} (n = {_count(found.before.samples)})"
    if not subject.mask:
        return f"The unpruned model has a {noun} of {before} on {escape(subject.data_label)}."
    change = "loss" if name == "perplexity" else name
    by = found.change.differences[change]
    paired = f"The {NAMES[change].lower()} changes by {_difference(change, by)}. {escape(verdict(change, by))}"
    return (
        f"On {escape(subject.data_label)} the unpruned model has {_article(noun)} {noun} of {before}, the pruned one "
        f"of {_value(name, found.after.metrics[name])}. {paired}"
    )


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def verdict(name: str, by: Estimate) -> str:
    """What a paired difference with its 95% interval says, and no more.

    >>> verdict("accuracy", Estimate(-0.01, -0.02, 0.001))
    'The interval holds zero: these rows do not show whether it gets better or worse.'
    """
    if by.low <= 0 <= by.high:
        return "The interval holds zero: these rows do not show whether it gets better or worse."
    better = (by.value < 0) == (name in LOWER_IS_BETTER)
    return (
        f"The whole interval is {'above' if by.value > 0 else 'below'} zero: it gets {'better' if better else 'worse'}."
    )


# Numbers ---------------------------------------------------------------------------------------------------------


def _count(number: int) -> str:
    return f'<data value="{number}">{number:,}</data>'


def _value(name: str, estimate: Estimate) -> str:
    return _estimate(estimate, look.proportion(estimate) if name in PERCENT else look.measured(estimate))


def _difference(name: str, estimate: Estimate) -> str:
    return _estimate(estimate, look.points(estimate) if name in PERCENT else look.difference(estimate))


def _estimate(estimate: Estimate, text: str) -> str:
    """Value and interval in words, and in full for programs."""
    value, mark, interval = text.partition(" (")
    ends = f'data-low="{estimate.low!r}" data-high="{estimate.high!r}"'
    shown = f" <span class='interval'>({escape(interval)}</span>" if mark else ""
    return f'<data value="{estimate.value!r}" {ends}>{escape(value)}</data>{shown}'


def _table(caption: str, heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Cells are HTML already; what begins a row is plain."""
    head = "".join(f"<th scope='col'>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr><th scope='row'>{escape(name)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for name, *cells in rows
    )
    return (
        f"<div class='scroll' tabindex='0' role='region' aria-label='{escape(caption)}'><table>"
        f"<caption>{escape(caption)}</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


# Sections --------------------------------------------------------------------------------------------------------


def _facts(subject: Subject) -> str:
    """Names, fingerprints, versions, and the date."""
    model, what, found = subject.model, subject.decision, subject.measured
    rows = {
        "Model": f"{subject.label} ({what.model}), {type(model.module).__name__}",
        "Fingerprint of the model": model.fingerprint,
        "Data": f"{subject.data_label} ({what.data})",
        "Fingerprint of the data": found.before.data if found else look.NOT_MEASURED,
        "Removed": subject.removed if subject.mask else "nothing",
        "In its place": _sentence(subject.replaced) or REPLACED[what.compensation],
        "Versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
        "Made on": subject.made,
    }
    body = "".join(f"<tr><th scope='row'>{escape(n)}</th><td>{escape(text)}</td></tr>" for n, text in rows.items())
    return f"<table class='facts'><tbody>{body}</tbody></table>"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _results(subject: Subject) -> str:
    found = subject.measured
    if found is None:
        return "<p>It was not measured. The page Export measures it.</p>"
    rows, heads = [], ["unpruned", "pruned", "difference"] if subject.mask else ["unpruned"]
    for name, before in found.before.metrics.items():
        cells = [_value(name, before)]
        if subject.mask:
            by = found.change.differences.get(name)
            cells += [_value(name, found.after.metrics[name]), _difference(name, by) if by else look.NOT_MEASURED]
        rows.append((NAMES.get(name, name), *cells))
    caption = f"n = {found.after.samples:,} rows of {subject.data_label}; 95% intervals; differences are paired"
    return _table(caption, heads, rows) + (_flip_counts(found) if subject.mask and found.before.class_names else "")


def _flip_counts(found: Measured) -> str:
    change = found.change
    worse, better, p = change.count("worse"), change.count("better"), change.p_value
    chance = (
        f' McNemar\'s exact test of equally many of both: p = <data value="{p!r}">{escape(look.number(p, 2))}</data>.'
    )
    return (
        f"<p>{_count(len(change.flips))} of {_count(change.samples)} rows get another answer: {_count(worse)} became "
        f"wrong, {_count(better)} became right.{chance if p is not None else ''}</p>"
    )


def _savings(subject: Subject) -> str:
    """What the cut model has and computes; nothing is called faster that was not timed."""
    cost, mask = subject.cost, subject.mask
    if cost is None:
        return "<p>Parameters and multiply-accumulates were not counted for this model.</p>"
    total, after = cost.total, cost.after(mask)
    example = f"{cost.tokens} tokens" if cost.tokens else "one image"
    figures = (
        ("Parameters", total.parameters, after.parameters, look.parameters),
        (f"Multiply-accumulates for {example}", total.macs, after.macs, look.macs),
    )
    rows = [
        (name, *(f'<data value="{n}">{escape(text(n))}</data>' for n in (was, now)), _share(was, now))
        for name, was, now, text in figures
    ]
    if subject.latency is not None:
        whole, cut = subject.latency.whole_ms, subject.latency.predict(mask)
        times = (f'<data value="{ms!r}">{escape(look.milliseconds(ms))}</data>' for ms in (whole, cut))
        rows.append(("Time of a forward pass, predicted", *times, _share(whole, cut)))
    timed = (
        f"The time is predicted from cuts that were timed on this computer ({subject.latency.machine})."
        if subject.latency is not None
        else "How long the models take was not measured."
    )
    note = "These are the figures of the model once it is cut. A mask alone saves nothing: what is removed is computed "
    note += f"all the same. {timed}"
    return _table("Counted", ["unpruned", "cut", "change"], rows) + f"<p class='small'>{escape(note)}</p>"


def _share(was: float, now: float) -> str:
    share = 100 * (now / was - 1)
    return f'<data value="{share!r}">{share:.1f}%</data>'.replace(">-", f">{look.MINUS}")


def _flips(found: Measured | None) -> str:
    """Some of each kind, the most confident first."""
    if found is None or not found.change.flips:
        return ""
    shown = [flip for kind, most in FLIPS.items() for flip in [f for f in found.change.flips if f.kind == kind][:most]]
    lead = f"<p>{_count(len(shown))} of {_count(len(found.change.flips))}, the most confident of each kind.</p>"
    return lead + "".join(map(_flip, shown))


def _flip(flip: Flip) -> str:
    text = f"<img class='example' src='{flip.text}' alt='example'>" if IMAGE.fullmatch(flip.text) else escape(flip.text)
    sides = ("before", flip.before, flip.confidence_before), ("after", flip.after, flip.confidence_after)
    answers = " · ".join(
        f'{when}: {escape(said)} <data value="{sure!r}">{sure:.2f}</data>' for when, said, sure in sides
    )
    kind = f"<span class='{flip.kind}'>{KINDS[flip.kind]}</span>"
    return (
        f"<blockquote><p>{text}</p><p class='small'>{kind} · row {_count(flip.position)} · label {escape(flip.label)}"
        f" · {answers}</p></blockquote>"
    )


def _again(subject: Subject) -> str:
    """Commands and program, with what they need."""
    what = subject.decision
    evaluate = evaluate_command(what)
    commands = [*([prune_command(what, measure=True)] if subject.mask else []), *([evaluate] if evaluate else [])]
    file = needs_file(what) if subject.mask else ""
    parts = [f"<p>The commands read the file {escape(file)}, which the page Export gives.</p>"] if file else []
    parts.append(f"<pre>{escape(chr(10).join(commands))}</pre>" if commands else "")
    parts.append(f"<p>The same in Python:</p><pre>{escape(python_script(subject))}</pre>")
    if subject.link:
        parts.append(f"<p>On the dashboard that made this report:</p><pre>{escape(subject.link)}</pre>")
    return "".join(parts)


def limits(subject: Subject) -> list[str]:
    """What the figures do not show, in sentences that are true of them."""
    found, sentences = subject.measured, []
    if found is not None:
        sentences.append(
            f"The figures are of {found.after.samples:,} rows of {subject.data_label}. Other data may give others."
        )
        sentences.append("An interval says how much the choice of rows matters, and nothing else.")
        if subject.decision.same_rows:
            sentences.append("The same rows were used to choose and to measure, so the figures are too good.")
    if any(one.scope == "heads" for one in subject.maps):
        sentences.append(
            "Importance ranks heads by one criterion on the calibration rows. Another may rank them differently."
        )
    if subject.latency is None:
        sentences.append("Fewer multiply-accumulates need not mean less time. It was not measured.")
    if subject.mask:
        sentences.append("The figures are of the model as it is cut. Training it afterwards would change them.")
    return sentences
