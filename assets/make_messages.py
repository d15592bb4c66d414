"""Keeps the catalogues in step with the code: ``python assets/make_messages.py`` after a message was changed.

It finds every message in the code and in the registries, keeps the translations there are, drops what nobody says any
more, and lists what has no translation yet. ``--check`` changes nothing and fails where a catalogue is out of step.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pruning.language import FOLDERS, LOCALES, catalogue  # noqa: E402

LAYERS = ("app.py", "pages", "ui", "pruning")
SILENT = ("pruning/cli", "pruning/conformance", "pruning/__main__.py")  # they speak English alone
SPEAKERS = {"tr", "trn", "later", "Later", "mark", "Registry"}
SAID = ("label", "about", "unit", "cost", "measure")  # of an entry of a registry
Message = str | tuple[str, str]


def sources() -> Iterator[Path]:
    """The files whose messages people read on a page."""
    for layer in LAYERS:
        paths = [ROOT / layer] if layer.endswith(".py") else sorted((ROOT / layer).rglob("*.py"))
        yield from (path for path in paths if not str(path.relative_to(ROOT)).startswith(SILENT))


def error_names() -> set[str]:
    """The classes whose first argument is a message: `PruningError` and its children, wherever they are defined."""
    bases: dict[str, set[str]] = {}
    for path in sorted((ROOT / "pruning").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {base.id for base in node.bases if isinstance(base, ast.Name)}
    found = {"PruningError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def messages() -> dict[Message, list[str]]:
    """Every message, with the files where it stands."""
    found: dict[Message, list[str]] = {}
    speakers = SPEAKERS | error_names()
    for path in sources():
        for message in messages_in(path, speakers):
            found.setdefault(message, []).append(str(path.relative_to(ROOT)))
    for message in registry_messages():
        found.setdefault(message, []).append("registries")
    return {message: sorted(set(places)) for message, places in found.items() if message}


def messages_in(path: Path, speakers: set[str]) -> Iterator[Message]:
    """The literal first arguments of every call of a speaker in one file, within f-strings, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name not in speakers:
            continue
        texts = [part.value for part in node.args[:2] if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if name == "trn" and len(texts) == 2:
            yield texts[0], texts[1]
        elif texts and isinstance(node.args[0], ast.Constant):
            yield texts[0]


def registry_messages() -> set[str]:
    """What menus and help texts say of every entry of every registry, so that a new entry is covered at once.

    Names that sentences say, too (``heads``, ``calibration``), are among them.
    """
    from pruning.builtin import BUILT_IN
    from pruning.data import BUILT_IN_DATA
    from pruning.ensemble import COMBINATIONS
    from pruning.fitting import SPLITS
    from pruning.history.records import KINDS
    from pruning.importance import criteria
    from pruning.importance.normalising import NORMALISATIONS
    from pruning.recovery.methods import recovery_methods
    from pruning.scopes import SCOPES
    from pruning.search import budget, strategies
    from pruning.tasks import tasks
    from pruning.unstructured import weight_scores
    from pruning.unstructured.base import COMPARISONS

    registries: tuple[dict[str, Any], ...] = (
        criteria(), strategies(), weight_scores(), recovery_methods(), KINDS.all(), tasks(), NORMALISATIONS, BUILT_IN,
        BUILT_IN_DATA,
    )  # fmt: skip
    entries = [entry for registry in registries for entry in registry.values()]
    said = {text for entry in entries for name in SAID if isinstance(text := getattr(entry, name, None), str) and text}
    within = {task.label.lower() for task in tasks().values()}
    return said | within | {*SCOPES, *SPLITS, *budget.KINDS, *COMPARISONS.values(), *COMBINATIONS.values()}


def updated(name: str, found: dict[Message, list[str]]) -> Catalog:
    """The catalogue of a language with exactly the messages of the code."""
    old = catalogue(name)
    new = Catalog(locale=FOLDERS[name], project="Headroom", charset="utf-8", fuzzy=False)
    for message in sorted(found, key=lambda one: one if isinstance(one, str) else one[0]):
        known = old.get(message)
        added = new.add(message, known.string if known else "", locations=[(file, None) for file in found[message]])
        added.flags.discard("python-format")  # a percent sign in our messages is a percent sign
    return new


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a catalogue is out of step")
    check, failed = parser.parse_args().check, False
    found = messages()
    for name in FOLDERS:
        new, old = updated(name, found), catalogue(name)
        missing = [message.id for message in new if message.id and not any(_strings(message.string))]
        unused = [message.id for message in old if message.id and message.id not in found]
        for heading, some in (("not translated", missing), ("said nowhere any more", unused)):
            for message in some:
                print(f"{name}: {heading}: {message!r}")
        failed |= bool(missing or unused)
        if not check:
            folder = LOCALES / FOLDERS[name]
            for path in folder.glob("*.po"):
                path.unlink()
            with (folder / "headroom.po").open("wb") as file:
                write_po(file, new, width=120, omit_header=True, include_lineno=False)
        print(f"{name}: {len(found)} messages, {len(missing)} not translated, {len(unused)} no longer used")
    return int(failed and check)


def _strings(string: str | tuple[str, ...] | list[str]) -> list[str]:
    return [string] if isinstance(string, str) else list(string)


if __name__ == "__main__":
    raise SystemExit(main())
