"""The large type of the presentation, and what full screen hides."""

from __future__ import annotations

from ui.theme import tokens

LIGHT, DARK = tokens("light"), tokens("dark")


def _both(role: str) -> str:
    return f"light-dark({getattr(LIGHT, role)}, {getattr(DARK, role)})"


# The keys of containers become classes; the room is a class that the keys' script puts on the page.
RULES = f"""<style>
.present {{ font-size: 24px; line-height: 1.4; font-variant-numeric: tabular-nums; }}
.present p {{ margin: 0 0 16px; font-size: inherit; }}
.present .ask {{ font-size: clamp(44px, 6vw, 88px); line-height: 1.12; font-weight: 600; letter-spacing: -0.01em;
  margin: 4vh 0 32px; text-wrap: balance; word-break: keep-all; overflow-wrap: anywhere; }}
.present .label {{ margin: 0 0 4px; color: {_both("secondary")}; font-size: 28px; }}
.present .pair {{ display: flex; flex-wrap: wrap; gap: 8px clamp(16px, 2vw, 48px); align-items: center; }}
.present .side {{ display: flex; flex-direction: column; }}
.present .when, .present .interval, .present .wait, .present .small {{ color: {_both("secondary")}; }}
.present .number {{ font-size: clamp(64px, 6vw, 128px); line-height: 1.1; font-weight: 600; white-space: nowrap;
  letter-spacing: -0.02em; }}
.present .unit {{ margin-left: -0.15em; font-size: 0.4em; font-weight: 400; letter-spacing: 0; }}
.present .arrow {{ font-size: 48px; color: {_both("secondary")}; }}
.present .side.better .number, .present .change.better {{ color: {_both("kept")}; }}
.present .side.worse .number, .present .change.worse {{ color: {_both("pruned")}; }}
.present .change {{ font-size: 40px; font-weight: 600; margin: 8px 0 16px; line-height: 1.2; }}
.present .wait {{ font-size: 32px; margin: 32px 0; }}
.present .said, .present .story {{ max-width: 60rem; }}
.present .story {{ padding-left: 1.1em; margin: 0; }}
.present .story li {{ font-size: 24px; margin-bottom: 12px; }}
.present blockquote {{ margin: 0 0 20px; padding: 0 0 0 20px; border-left: 5px solid {_both("line")};
  overflow-wrap: anywhere; }}
.present blockquote.worse {{ border-color: {_both("pruned")}; }}
.present blockquote.better {{ border-color: {_both("kept")}; }}
.present blockquote p {{ margin: 0 0 4px; }}
.present .answers {{ display: flex; flex-wrap: wrap; gap: 4px 40px; font-weight: 600; }}
.present .answers .when {{ font-weight: 400; }}
.present img {{ height: 88px; image-rendering: pixelated; border-radius: 6px; }}
.present blockquote:has(img) {{ display: grid; grid-template-columns: auto 1fr; gap: 0 24px; align-content: center; }}
.present blockquote:has(img) p:nth-child(2) {{ grid-area: 1 / 1 / span 2; }}
.st-key-present_stage h2 {{ font-size: 28px; padding-top: 0; }}
.st-key-present_try label p {{ font-size: 20px; }}
.st-key-present_try input {{ font-size: 24px; height: 56px; }}
.st-key-present_try [data-testid="stTextInputRootElement"] {{ height: 58px; }}
.st-key-present_slider label p, .st-key-present_slider [data-testid^="stSlider"] * {{ font-size: 18px; }}
@media (min-width: 900px) {{ .st-key-present_stage {{ min-height: calc(100vh - 420px); }} }}
@media (max-width: 640px) {{ .present .pair {{ flex-direction: column; align-items: flex-start; }}
  .present .arrow {{ transform: rotate(90deg); line-height: 0.8; }} .present .change {{ font-size: 32px; }} }}
.headroom-room [data-testid="stHeader"], .headroom-room [data-testid="stSidebar"], .headroom-room h1,
.headroom-room [data-testid="stSidebarCollapsedControl"], .headroom-room .st-key-present_more,
.headroom-room .stMainBlockContainer [data-testid="stElementContainer"]:not(.st-key-present_area *),
.headroom-room [data-testid="stToolbar"] {{ display: none !important; }}
.headroom-room .present {{ font-size: clamp(24px, 1.6vw, 36px); }}
.headroom-room .present .number {{ font-size: clamp(64px, 6.6vw, 176px); }}
.headroom-room .present .unit {{ font-size: 0.3em; }}
.headroom-room .present .story, .headroom-room .present .story li {{ font-size: inherit; }}
.headroom-room .present img {{ height: 15vh; }}
.st-key-present_area {{ max-width: 1560px; margin: 0 auto; }}
.headroom-room .stMainBlockContainer {{ padding: 4vh 5vw 2vh; max-width: none; }}
.headroom-room .st-key-present_area {{ min-height: 94vh; gap: 8px; }}
.headroom-room .st-key-present_stage {{ min-height: 0; }}
.headroom-room .st-key-present_area > [data-testid="stLayoutWrapper"]:has(> .st-key-present_stage) {{ flex: 1 0 auto; }}
.headroom-room .st-key-present_area > [data-testid="stLayoutWrapper"]:has(> .st-key-present_controls) {{
  position: sticky; bottom: 0; z-index: 2; padding: 8px 0 12px; background: {_both("ground")}; }}
.headroom-room .st-key-present_controls {{ gap: 4px; }}
@media (min-width: 1700px) and (min-height: 950px) {{
  .headroom-room .st-key-present_slider label p, .headroom-room .st-key-present_slider [data-testid^="stSlider"] * {{
    font-size: 22px; }}
  .headroom-room .st-key-present_stage h2 {{ font-size: 36px; }} }}
</style>"""
