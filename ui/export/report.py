"""The report: what was done, why, what it costs and saves, and how to make it again, as one file of HTML. Pure.

Every figure is a ``<data value="…">`` element that holds the value in full, so that a program can read the report back.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from pruning.evaluation import Flip
from pruning.language import mark, tr, trn
from pruning.statistics import Estimate
from ui import theme as look
from ui.details import LOWER_IS_BETTER, NAMES, PERCENT
from ui.export.limits import limits
from ui.export.pictures import Picture
from ui.export.script import evaluate_command, needs_file, prune_command, python_script
from ui.export.subject import Measured, Subject, versions
from ui.export.webpage import Drawn, document, place
from ui.history.words import in_line

FLIPS = {"worse": 6, "better": 4, "other": 2}  # that are shown of each kind
KINDS = {"worse": mark("became wrong"), "better": mark("became right"), "other": mark("still wrong")}
IMAGE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+")
REPLACED = {
    "none": mark("Nothing: what is removed counts as zero."),
    "mean": mark("Its mean output over the calibration rows, folded into the biases."),
    "reconstruct": mark(
        "The projections that lose an input were fitted again on the calibration rows, by least squares."
    ),
}
WHOLE = {
    "accuracy": mark("The unpruned model has an accuracy of {before} on {data}."),
    "perplexity": mark("The unpruned model has a perplexity of {before} on {data}."),
}
BOTH = {
    "accuracy": mark("On {data} the unpruned model has an accuracy of {before}, the pruned one of {after}."),
    "perplexity": mark("On {data} the unpruned model has a perplexity of {before}, the pruned one of {after}."),
}
CHANGES = {"accuracy": mark("The accuracy changes by {change}."), "loss": mark("The loss changes by {change}.")}
BELOW_AND_BETTER = mark("The whole interval is below zero: it gets better.")
BELOW_AND_WORSE = mark("The whole interval is below zero: it gets worse.")
MCNEMAR = mark("McNemar's exact test of equally many of both: p = {p}.")
escape = html.escape


def report(subject: Subject, chosen: Iterable[Picture] = ()) -> str:
    """The file, in the language of now; commands and programs in it are English.

    Args:
        chosen: The figures that it shows.
    """
    drawn = [Drawn(one.draw("light"), one.draw("dark"), one.alt) for one in chosen]
    for one in drawn:
        for figure in (one.light, one.dark):
            figure.update_layout(autosize=True)
    parts = [
        _opening(subject),
        _section(tr("What was done"), _facts(subject)),
        _section(tr("Why these parts"), _paragraphs(subject.why)),
        _section(tr("What it does to the task"), _results(subject)),
        _section(tr("What it saves"), _savings(subject)),
        _section(tr("Figures"), "".join(place(number, one) for number, one in enumerate(drawn))),
        _section(tr("Examples that are answered differently"), _flips(subject.measured)),
        _section(tr("How to make it again"), _again(subject)),
        _section(tr("What this does not say"), _list(limits(subject))),
    ]
    return document(_title(subject), "\n".join(filter(None, parts)), drawn)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>" if content else ""


def _paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _title(subject: Subject) -> str:
    if not subject.mask:
        return tr("{model}: nothing removed", model=subject.label)
    return tr("{model}: {removed} removed", model=subject.label, removed=subject.removed)


# The finding -----------------------------------------------------------------------------------------------------


def _opening(subject: Subject) -> str:
    return f"<h1>{escape(_title(subject))}</h1>\n<p class='lead'>{_finding(subject)}</p>"


def _finding(subject: Subject) -> str:
    """The main figure of both models in two or three sentences."""
    found = subject.measured
    if found is None:
        return tr("It has not been measured yet what that does to the task.")
    name = "perplexity" if "perplexity" in found.before.metrics else "accuracy"
    before = f"{_value(name, found.before.metrics[name])} (n = {_count(found.before.samples)})"
    if not subject.mask:
        return tr(WHOLE[name], data=escape(subject.data_label), before=before)
    after, change = _value(name, found.after.metrics[name]), "loss" if name == "perplexity" else name
    by = found.change.differences[change]
    both = tr(BOTH[name], data=escape(subject.data_label), before=before, after=after)
    return in_line([both, tr(CHANGES[change], change=_difference(change, by)), escape(verdict(change, by))])


def verdict(name: str, by: Estimate) -> str:
    """What a paired difference with its 95% interval says, and no more.

    >>> verdict("accuracy", Estimate(-0.01, -0.02, 0.001))
    'The interval holds zero: these rows do not show whether it gets better or worse.'
    """
    if by.low <= 0 <= by.high:
        return tr("The interval holds zero: these rows do not show whether it gets better or worse.")
    if (by.value < 0) == (name in LOWER_IS_BETTER):
        above, below = tr("The whole interval is above zero: it gets better."), tr(BELOW_AND_BETTER)
    else:
        above, below = tr("The whole interval is above zero: it gets worse."), tr(BELOW_AND_WORSE)
    return above if by.value > 0 else below


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
        tr("Model"): f"{subject.label} ({what.model}), {type(model.module).__name__}",
        tr("Fingerprint of the model"): model.fingerprint,
        tr("Data"): f"{subject.data_label} ({what.data})",
        tr("Fingerprint of the data"): found.before.data if found else tr(look.NOT_MEASURED),
        tr("Removed"): subject.removed if subject.mask else tr("nothing"),
        tr("In its place"): look.as_sentence(subject.replaced) if subject.replaced else tr(REPLACED[what.compensation]),
        tr("Versions"): ", ".join(f"{name} {number}" for name, number in versions().items()),
        tr("Made on"): subject.made,
    }
    body = "".join(f"<tr><th scope='row'>{escape(n)}</th><td>{escape(text)}</td></tr>" for n, text in rows.items())
    return f"<table class='facts'><tbody>{body}</tbody></table>"


def _results(subject: Subject) -> str:
    found = subject.measured
    if found is None:
        return _paragraphs([tr("It was not measured. The page Export measures it.")])
    rows, heads = [], [tr("unpruned"), tr("pruned"), tr("difference")] if subject.mask else [tr("unpruned")]
    for name, before in found.before.metrics.items():
        cells = [_value(name, before)]
        if subject.mask:
            by = found.change.differences.get(name)
            cells += [_value(name, found.after.metrics[name]), _difference(name, by) if by else tr(look.NOT_MEASURED)]
        rows.append((tr(NAMES.get(name, name)), *cells))
    caption = trn(
        "n = {n} row of {data}; differences are paired",
        "n = {n:,} rows of {data}; 95% intervals; differences are paired",
        found.after.samples,
        data=subject.data_label,
    )
    return _table(caption, heads, rows) + (_flip_counts(found) if subject.mask and found.before.class_names else "")


def _flip_counts(found: Measured) -> str:
    change = found.change
    worse, better, p = change.count("worse"), change.count("better"), change.p_value
    told = tr(
        "{n} of {total} rows get another answer: {worse} became wrong, {better} became right.",
        n=_count(len(change.flips)),
        total=_count(change.samples),
        worse=_count(worse),
        better=_count(better),
    )
    if p is None:
        return f"<p>{told}</p>"
    shown = f'<data value="{p!r}">{escape(look.number(p, 2))}</data>'
    return f"<p>{in_line([told, tr(MCNEMAR, p=shown)])}</p>"


def _savings(subject: Subject) -> str:
    """What the cut model has and computes; nothing is called faster that was not timed."""
    cost, mask = subject.cost, subject.mask
    if cost is None:
        return _paragraphs([tr("Parameters and multiply-accumulates were not counted for this model.")])
    total, after = cost.total, cost.after(mask)
    work = tr("Multiply-accumulates for one image")
    if cost.tokens:
        work = tr("Multiply-accumulates for {n} tokens", n=cost.tokens)
    figures = (
        (tr("Parameters"), total.parameters, after.parameters, look.parameters),
        (work, total.macs, after.macs, look.macs),
    )
    rows = [
        (name, *(f'<data value="{n}">{escape(text(n))}</data>' for n in (was, now)), _share(was, now))
        for name, was, now, text in figures
    ]
    if subject.latency is not None:
        whole, cut = subject.latency.whole_ms, subject.latency.predict(mask)
        times = (f'<data value="{ms!r}">{escape(look.milliseconds(ms))}</data>' for ms in (whole, cut))
        rows.append((tr("Time of a forward pass, predicted"), *times, _share(whole, cut)))
    timed = tr("How long the models take was not measured.")
    if subject.latency is not None:
        timed = tr(
            "The time is predicted from cuts that were timed on this computer ({machine}).",
            machine=subject.latency.machine,
        )
    note = tr(
        "These are the figures of the model once it is cut. A mask alone saves nothing: what is removed is computed "
        "all the same."
    )
    table = _table(tr("Counted"), [tr("unpruned"), tr("cut"), tr("change")], rows)
    return f"{table}<p class='small'>{escape(in_line([note, timed]))}</p>"


def _share(was: float, now: float) -> str:
    share = 100 * (now / was - 1)
    return f'<data value="{share!r}">{share:.1f}%</data>'.replace(">-", f">{look.MINUS}")


def _flips(found: Measured | None) -> str:
    """Some of each kind, the most confident first."""
    if found is None or not found.change.flips:
        return ""
    shown = [flip for kind, most in FLIPS.items() for flip in [f for f in found.change.flips if f.kind == kind][:most]]
    counts = {"n": _count(len(shown)), "total": _count(len(found.change.flips))}
    lead = tr("{n} of {total}, the most confident of each kind.", **counts)
    return f"<p>{lead}</p>" + "".join(map(_flip, shown))


def _flip(flip: Flip) -> str:
    text, alt = escape(flip.text), escape(tr("example"))
    if IMAGE.fullmatch(flip.text):
        text = f"<img class='example' src='{flip.text}' alt='{alt}'>"
    sides = (tr("before"), flip.before, flip.confidence_before), (tr("after"), flip.after, flip.confidence_after)
    answers = " · ".join(
        f'{when}: {escape(said)} <data value="{sure!r}">{sure:.2f}</data>' for when, said, sure in sides
    )
    kind = f"<span class='{flip.kind}'>{tr(KINDS[flip.kind])}</span>"
    where = tr("row {n} · label {label}", n=_count(flip.position), label=escape(flip.label))
    return f"<blockquote><p>{text}</p><p class='small'>{kind} · {where} · {answers}</p></blockquote>"


def _again(subject: Subject) -> str:
    """Commands and program, with what they need."""
    what = subject.decision
    evaluate = evaluate_command(what)
    commands = [*([prune_command(what, measure=True)] if subject.mask else []), *([evaluate] if evaluate else [])]
    file = needs_file(what) if subject.mask else ""
    needs = [tr("The commands read the file {file}, which the page Export gives.", file=file)] if file else []
    parts = [_paragraphs(needs)]
    parts.append(f"<pre>{escape(chr(10).join(commands))}</pre>" if commands else "")
    same = _paragraphs([tr("The same in Python:")])
    parts.append(f"{same}<pre>{escape(python_script(subject))}</pre>")
    if subject.link:
        where = _paragraphs([tr("On the dashboard that made this report:")])
        parts.append(f"{where}<pre>{escape(subject.link)}</pre>")
    return "".join(parts)
