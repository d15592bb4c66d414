"""The presentation as one file of HTML: before and after, the story, examples, assumptions, and how to make it again.

Pure: values in, text out in the language of now. It needs no script and no network; bars are boxes of its own style.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pruning.language import tr
from pruning.presenting.figures import Figures, figures
from ui.export.script import evaluate_command, needs_file, prune_command
from ui.export.subject import Decision, versions
from ui.export.webpage import document
from ui.present.charts import Bars, bars_of
from ui.present.stage import RULE, Scene, example_html, question, timed
from ui.present.words import OTHERS, SOURCES, compensated, sentences, table, write

if TYPE_CHECKING:
    from pruning.models import LoadedModel

escape = html.escape
STYLE = """<style>
.bars { margin: 0 0 1.1rem; break-inside: avoid; } .bars p { margin: 0 0 .2rem; }
.bar { display: flex; align-items: center; gap: .6rem; margin: 2px 0; font-variant-numeric: tabular-nums; }
.bar i { display: block; height: 1.1rem; background: var(--secondary); border-radius: 2px; flex: none; }
.bar.after i { background: var(--accent); } .bar.after.better i { background: var(--kept); }
.bar.after.worse i { background: var(--pruned); } .story li { margin-bottom: .5rem; font-size: 1.125rem; }
.answers span.answer { margin-right: 1.5rem; } blockquote img { height: 4rem; image-rendering: pixelated; }
.change.better { color: var(--kept); } .change.worse { color: var(--pruned); }
</style>"""
LONGEST = 68  # percent of the line, for the longer bar


@dataclass(frozen=True, eq=False)
class Handout:
    """What the file is of.

    Attributes:
        link: To the page on the dashboard that made it.
    """

    scene: Scene
    model: LoadedModel
    decision: Decision
    link: str = ""
    made: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())


def handout(about: Handout) -> str:
    """The file."""
    scene = about.scene
    assert scene.found is not None
    known = figures(scene.found, scene.prices)
    title = f"{scene.model}: {question(scene.choice)}"
    lines = [f"<li>{escape(line)}</li>" for line in sentences(scene.found, scene.prices)]
    parts = [
        STYLE,
        f"<h1>{escape(question(scene.choice))}</h1>",
        f"<p class='lead'>{escape(tr('{model}, measured on {data}.', model=scene.model, data=scene.data))} "
        f"{escape(compensated(scene.found))}</p>",
        _section(tr("The story"), f"<ul class='story'>{''.join(lines)}</ul>"),
        _section(tr("Before and after"), "".join(map(_bars, bars_of(list(known.pairs.values()))))),
        _section(tr("Examples"), _examples(scene)),
        _section(tr("All numbers"), _table(known)),
        _section(tr("What is assumed"), _assumed(scene, known)),
        _section(tr("How to make it again"), _again(about)),
    ]
    return document(title, "\n".join(filter(None, parts)))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>" if content else ""


def _bars(bar: Bars) -> str:
    before = (tr("before"), "", bar.before, bar.before_text)
    sides = before, (tr("after"), f"after {bar.verdict}", bar.after, bar.after_text)
    lines = "".join(
        f"<div class='bar {kind}'><i style='width:{max(0.5, LONGEST * length / 100):.1f}%'></i>"
        f"<span>{escape(text)} <span class='small'>{escape(when)}</span></span></div>"
        for when, kind, length, text in sides
    )
    change = f"<span class='change {bar.verdict}'><b>{escape(bar.change)}</b></span>"
    return f"<div class='bars'><p>{escape(bar.label)} · {change}</p>{lines}</div>"


def _examples(scene: Scene) -> str:
    if not scene.examples:
        return ""
    return f"<p class='small'>{escape(tr(RULE))}</p>" + "".join(map(example_html, scene.examples))


def _table(known: Figures) -> str:
    heads = (tr("Before"), tr("After"), tr("Change"), tr("Where it comes from"))
    head = "".join(f"<th scope='col'>{escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr><th scope='row'>{escape(row['what'])}</th>"
        + "".join(f"<td>{escape(row[name])}</td>" for name in ("before", "after", "change", "source"))
        + "</tr>"
        for row in table(known)
    )
    caption = escape(tr("Intervals in brackets are 95%; changes of accuracy and loss are paired."))
    return (
        f"<div class='scroll' tabindex='0' role='region' aria-label='{escape(tr('All numbers'))}'><table>"
        f"<caption>{caption}</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _assumed(scene: Scene, known: Figures) -> str:
    """Prices with the formula, and the computer that the times hold for."""
    assert scene.found is not None
    rows = [f"{tr(OTHERS[n])}: {write(f)}" for n, f in known.others.items() if f.source == "stated"]
    rows.append(tr("One instance answers one request after the other, all the time."))
    rows.append(
        tr("Hours of a million requests are milliseconds of one / 3.6; cost, energy and carbon follow from them.")
    )
    rows += [text] if (text := timed(scene)) else []
    rows.append(tr("Prices are {stated}; the rest is counted or measured.", stated=tr(SOURCES["stated"])))
    return _list(rows)


def _list(rows: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(row)}</li>" for row in rows) + "</ul>"


def _again(about: Handout) -> str:
    """Commands, names and versions."""
    what, found = about.decision, about.scene.found
    assert found is not None
    commands = [prune_command(what, measure=True)] if what.mask else []
    commands += [line] if (line := evaluate_command(what)) else []
    file = needs_file(what) if what.mask else ""
    facts = {
        tr("Model"): f"{about.scene.model} ({what.model}), {about.model.fingerprint}",
        tr("Data"): f"{about.scene.data} ({what.data})" + (f", {found.before.data}" if found.before else ""),
        tr("Versions"): ", ".join(f"{name} {number}" for name, number in versions().items()),
        tr("Made on"): about.made,
    }
    rows = "".join(f"<tr><th scope='row'>{escape(n)}</th><td>{escape(t)}</td></tr>" for n, t in facts.items())
    parts = [f"<table class='facts'><tbody>{rows}</tbody></table>"]
    if file:
        parts.append(
            f"<p>{escape(tr('The commands read the file {file}, which the page Export gives.', file=file))}</p>"
        )
    parts.append(f"<pre>{escape(chr(10).join(commands))}</pre>" if commands else "")
    if about.link:
        parts.append(f"<p>{escape(tr('On the dashboard that made it:'))}</p><pre>{escape(about.link)}</pre>")
    return "".join(parts)
