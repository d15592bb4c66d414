"""One file of HTML that needs nothing else: style, font, plotly.js and figures are in it. Pure.

Its content security policy forbids every request, so what is wrong in it cannot reach out either. It follows the
reader's theme, and prints on a light ground.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from pruning.language import FOLDERS, language, mark, speaking, tr
from ui.export.browser import font_face
from ui.theme import FONT_FAMILY, tokens

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
NO_SCRIPT = mark("The figures are drawn by a script in this file, and scripts are switched off here.")


@dataclass(frozen=True)
class Drawn:
    """A figure in the two themes, which are alike where only one is wanted.

    Attributes:
        alt: What it shows, in words.
    """

    light: go.Figure
    dark: go.Figure
    alt: str


def for_reader(make: Callable[[], str]) -> Callable[[], str]:
    """What makes a file in the language of now, whenever and wherever it is called: a download runs without a page."""
    chosen = language()

    def made() -> str:
        with speaking(chosen):
            return make()

    return made


def document(title: str, body: str, figures: Sequence[Drawn] = (), theme: str = "") -> str:
    """The whole file.

    Args:
        title: Plain text.
        body: HTML, in which `place` says where the figures go.
        theme: ``light`` or ``dark``; that of the reader where it is empty.
    """
    script = f"<script>{get_plotlyjs()}</script><script>{_drawing(figures)}</script>" if figures else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{_tag()}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="generator" content="Headroom">'
        f"<title>{html.escape(title)}</title><style>{font_face()}{_style(theme)}</style></head>\n"
        f"<body><main>\n{body}\n</main>{script}</body></html>\n"
    )


def place(number: int, drawn: Drawn) -> str:
    """Where a figure goes."""
    height = max(drawn.light.layout.height or 0, drawn.dark.layout.height or 0)
    return (
        f'<figure><div id="figure-{number}" role="img" aria-label="{html.escape(drawn.alt)}" '
        f'style="height:{height:.0f}px"><noscript>{html.escape(tr(NO_SCRIPT))}</noscript></div></figure>'
    )


def _tag() -> str:
    """The language of now as HTML calls it."""
    return FOLDERS.get(language(), language()).replace("_", "-")


def _drawing(figures: Sequence[Drawn]) -> str:
    specs = ",".join(f"{{light:{_json(one.light)},dark:{_json(one.dark)}}}" for one in figures)
    return (
        f"const FIGURES = [{specs}];\n"
        'const dark = matchMedia("(prefers-color-scheme: dark)");\n'
        "function draw(theme) { FIGURES.forEach((figure, i) => Plotly.react(`figure-${i}`, figure[theme].data,\n"
        "  figure[theme].layout, { displayModeBar: false, responsive: true, scrollZoom: false })); }\n"
        'const follow = () => draw(dark.matches ? "dark" : "light");\n'
        'dark.addEventListener("change", follow); addEventListener("afterprint", follow);\n'
        'addEventListener("beforeprint", () => draw("light")); follow();'
    )


def _json(figure: go.Figure) -> str:
    """As a script may hold it: nothing in it can end the script."""
    return figure.to_json().replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _style(theme: str) -> str:
    rules = {name: _variables(name) for name in ("light", "dark")}
    if theme:
        colours = f":root {{ color-scheme: {theme}; {rules[theme]} }}"
    else:
        dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {rules['dark']} }} }}"
        colours = f":root {{ color-scheme: light dark; {rules['light']} }} {dark}"
    return f"{colours} {RULES.replace('FONT', FONT_FAMILY)}"


def _variables(theme: str) -> str:
    found = tokens(theme)  # type: ignore[arg-type]
    names = ("ground", "raised", "text", "secondary", "accent", "pruned", "kept", "line")
    return " ".join(f"--{name}: {getattr(found, name)};" for name in names)


RULES = """
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.55 FONT; }
main { max-width: 46rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
p, ul, figure { margin: .5rem 0 1rem; }
.lead { font-size: 1.125rem; }
.small, .interval, caption { color: var(--secondary); font-size: .875rem; }
.worse { color: var(--pruned); } .better { color: var(--kept); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9375rem; }
caption { text-align: left; padding-bottom: .5rem; }
th, td { text-align: right; padding: .4rem 0 .4rem .75rem; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--secondary); font-size: .875rem; }
tbody th, thead td, th:first-child { text-align: left; padding-left: 0; }
.facts td { text-align: left; overflow-wrap: anywhere; }
.facts th { width: 9rem; vertical-align: top; color: var(--secondary); }
pre { background: var(--raised); border-radius: 6px; padding: .75rem 1rem; font: .8125rem/1.5 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
blockquote { margin: .75rem 0; padding-left: .9rem; border-left: 3px solid var(--line); overflow-wrap: anywhere; }
blockquote p { margin: 0; }
img.example { height: 4rem; image-rendering: pixelated; }
@media print { main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, tr, blockquote { break-inside: avoid; } pre { border: 1px solid var(--line); } }
"""
