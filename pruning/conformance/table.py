"""From the results of all model types to totals, and to a page that people read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Family = dict[str, Any]
NOT_RUN = ("not built", "stopped")
SIGNS = {"right": "✓", "partly": "part", "unsupported": "no", "wrong": "✗", "skipped": "–"}
# What is counted, what it is called, and where in a family's result its answer stands.
QUESTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("complete", "All attention is among the sites", ("gate", "complete")),
    ("gating", "Masking heads", ("gate", "heads")),
    ("gating_neurons", "Masking neurons", ("gate", "neurons")),
    ("gating_layers", "Masking layers", ("gate", "layers")),
    ("heads", "Cutting heads", ("cut", "heads")),
    ("neurons", "Cutting neurons", ("cut", "neurons")),
    ("layers", "Cutting layers", ("cut", "layers")),
    ("together", "Cutting all three together", ("cut", "together")),
    ("reload", "Checkpoint reloads with difference 0", ("reload",)),
    ("generation", "Generation after cutting", ("generation",)),
)


def totals_of(families: dict[str, Family]) -> dict[str, Any]:
    """How many model types were built, have attention, and are right, question by question."""
    built = {name: family for name, family in families.items() if family["outcome"] != "not built"}
    attending = [family for family in built.values() if _attends(family)]
    counts = {key: _count(_answer(family, path) for family in attending) for key, _, path in QUESTIONS}
    outcomes = ("right", "partly", "wrong", "stopped", "no attention", "not built")
    return {
        "families": len(families),
        "built": len(built),
        "with_attention": len(attending),
        "outcomes": {word: sum(family["outcome"] == word for family in families.values()) for word in outcomes},
        **counts,
    }


def _attends(family: Family) -> bool:
    """Whether it has attention, found or not; and where looking for it never came to an end, it may."""
    return family["outcome"] not in ("not built", "no attention")


def _answer(family: Family, path: tuple[str, ...]) -> str:
    """The status; ``stopped`` where the process ended before it was known, ``unsupported`` where no site was found."""
    if "found" in family and not family["found"]["sites"]:
        return "unsupported"
    value: Any = family
    for key in path:
        value = value.get(key, {})
    return value.get("status", "stopped")


def _count(answers: Iterable[str]) -> dict[str, int]:
    found = dict.fromkeys(("right", "partly", "unsupported", "wrong", "stopped", "skipped"), 0)
    for answer in answers:
        found[answer] += 1
    return found | {"of": sum(count for answer, count in found.items() if answer != "skipped")}


# Markdown -------------------------------------------------------------------------------------------------------------


def to_markdown(report: dict[str, Any], command: str = "python -m pruning conformance") -> str:
    """The whole page."""
    families: dict[str, Family] = report["families"]
    not_run = {name: family for name, family in families.items() if family["outcome"] in NOT_RUN}
    without = {name: family for name, family in families.items() if family["outcome"] == "no attention"}
    rows = {n: family for n, family in families.items() if "found" in family and n not in {*not_run, *without}}
    parts = [
        _head(report, command),
        _summary(totals_of(families)),
        "## Model types\n\n" + LEGEND + "\n\n" + _table(rows),
        _listed("Not right, and why", {n: f for n, f in rows.items() if f["outcome"] != "right"}),
        _listed("Without attention heads", without),
        _listed("Not built, or stopped", not_run),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


LEGEND = (
    "✓ right · part: right for some parts, and the others say why not · no: the engine says that it cannot, and why · "
    "✗ wrong · – does not apply. *Masked* is heads, neurons, layers. The difference is the largest of all cuts, "
    "masked against cut, relative to the largest output where that is above one."
)


def _head(report: dict[str, Any], command: str) -> str:
    return (
        "# Conformance\n\n"
        "One tiny random model of each model type that transformers knows, checked against hooks of the checks' own: "
        "masks are right, cuts give what the masks gave, checkpoints reload, and cut models write the same text.\n\n"
        f"{report['date']} · transformers {report['transformers']} · torch {report['torch']} · `{command}`"
    )


def _summary(totals: dict[str, Any]) -> str:
    outcomes = ", ".join(f"{count} {word}" for word, count in totals["outcomes"].items() if count)
    lines = [
        f"Of {totals['families']} model types {totals['built']} were built, and {totals['with_attention']} of those "
        f"have attention heads. In all: {outcomes}.",
        "",
        "| | right | of | | partly | says no | wrong | stopped | does not apply |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for key, label, _ in QUESTIONS:
        count = totals[key]
        share = f"{100 * count['right'] / count['of']:.1f}%" if count["of"] else ""
        rest = " | ".join(str(count[word]) for word in ("partly", "unsupported", "wrong", "stopped", "skipped"))
        lines.append(f"| {label} | {count['right']} | {count['of']} | {share} | {rest} |")
    return "\n".join(lines)


def _sign(family: Family, path: tuple[str, ...]) -> str:
    return SIGNS.get(_answer(family, path), "stopped")


def _largest(family: Family) -> str:
    found = [cut["difference"] for cut in family.get("cut", {}).values() if cut.get("difference") is not None]
    worst = max(map(float, found), default=None)
    return "" if worst is None else f"{worst:.0e}" if worst else "0"


COLUMNS: tuple[tuple[str, Callable[[Family], str]], ...] = (
    ("class", lambda f: f.get("class", "")),
    ("sites", lambda f: str(f["found"]["sites"])),
    ("heads", lambda f: str(f["found"]["heads"])),
    ("blocks", lambda f: str(f["found"]["blocks"])),
    ("layers", lambda f: str(f["found"]["layers"])),
    ("masked", lambda f: " ".join(_sign(f, ("gate", what)) for what in ("heads", "neurons", "layers"))),
    ("heads cut", lambda f: _sign(f, ("cut", "heads")) + (" padded" if "padded" in f["found"]["layout"] else "")),
    ("neurons cut", lambda f: _sign(f, ("cut", "neurons"))),
    ("layers cut", lambda f: _sign(f, ("cut", "layers"))),
    ("together", lambda f: _sign(f, ("cut", "together"))),
    ("difference", _largest),
    ("reload", lambda f: _sign(f, ("reload",))),
    ("generation", lambda f: _sign(f, ("generation",))),
)


def _table(rows: dict[str, Family]) -> str:
    titles = " | ".join(title for title, _ in COLUMNS)
    lines = [f"| model type | {titles} |", "|---|---|" + "--:|" * 4 + "---|" * 8]
    lines += [f"| {name} | " + " | ".join(show(family) for _, show in COLUMNS) + " |" for name, family in rows.items()]
    return "\n".join(lines)


def _listed(title: str, families: dict[str, Family]) -> str:
    if not families:
        return ""
    lines = [f"- {name}: {_plain(family.get('reason', ''))}" for name, family in families.items()]
    return f"## {title}\n\n" + "\n".join(lines)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")
