"""The few rules that the theme file cannot express: contrast on the dark accent, readable captions, aligned figures."""

from __future__ import annotations

import streamlit as st

from ui.theme import Theme, tokens

LIGHT, DARK = tokens("light"), tokens("dark")
RULES = f"""<style>
[data-testid^="stBaseButton-primary"] {{ color: light-dark(#FFFFFF, {DARK.ground}); }}
[data-testid="stMultiSelectTagsContainer"] span, [data-testid="stMultiSelectTagsContainer"] span * {{
  color: light-dark(#FFFFFF, {DARK.ground}); }}
[data-testid="stCaptionContainer"] {{ opacity: 1; color: light-dark({LIGHT.secondary}, {DARK.secondary}); }}
[data-testid="stMetricValue"], .headroom-figures {{ font-variant-numeric: tabular-nums; }}
button:enabled kbd {{ opacity: 1; color: light-dark({LIGHT.secondary}, {DARK.secondary}); }}
@media (hover: none) {{ button kbd {{ display: none; }} }}
[data-testid="stCode"] .token.parameter {{ color: light-dark({LIGHT.accent}, {DARK.accent}); }}
[class*="st-key-question_"] summary .stMarkdownColoredText {{ white-space: nowrap; }}
.stMainBlockContainer {{ padding-top: 3rem; padding-bottom: 3rem; }}
.headroom-figures {{ overflow-x: auto; }}
.headroom-figures table {{ width: 100%; border-collapse: collapse; font-size: 0.875rem; }}
.headroom-figures th, .headroom-figures td {{
  text-align: right; padding: 4px 0 4px 12px; border: 0;
  border-bottom: 1px solid light-dark({LIGHT.line}, {DARK.line}); }}
.headroom-figures th:first-child, .headroom-figures td:first-child {{
  text-align: left; padding-left: 0; white-space: nowrap; }}
.headroom-figures th {{ font-weight: 400; color: light-dark({LIGHT.secondary}, {DARK.secondary}); }}
.headroom-figures .interval {{ color: light-dark({LIGHT.secondary}, {DARK.secondary}); white-space: nowrap; }}
.headroom-figures .worse {{ color: light-dark({LIGHT.pruned}, {DARK.pruned}); }}
.headroom-figures .better {{ color: light-dark({LIGHT.kept}, {DARK.kept}); }}
</style>"""


# Popovers hang outside the app's element, which says whether the page is dark.
POPOVERS = '<style>[data-baseweb="popover"] {{ color-scheme: {theme}; }}</style>'


def style(theme: Theme) -> None:
    """Add the rules to the page."""
    st.html(RULES + POPOVERS.format(theme=theme))
