"""The import directions app → pages → ui → pruning, what may be imported early, and the pins."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("app", "pages", "ui", "pruning")  # each may import itself (pages may not) and what stands to its right
PURE_UI = (  # values in, figures out
    "certainty.py", "charts.py", "compare/charts.py", "compare/maps.py", "compare/picks.py", "figure.py",
    "head/charts.py", "head/words.py", "heatmap.py", "history/entries.py", "history/figures.py", "history/words.py",
    "learn/charts_attention.py", "learn/charts_importance.py", "learn/charts_kinds.py", "learn/charts_why.py",
    "multiples.py", "questions/content.py", "recovery_charts.py", "sources/balance.py", "theme.py", "tradeoff.py",
    "tradeoff_text.py",
    "export/pictures.py", "export/report.py", "export/script.py", "export/subject.py", "export/tables.py",
    "export/webpage.py", "export/browser.py", "export/exports.py",
    "learn/charts_budgets.py", "learn/charts_adaptive.py", "learn/charts_sensitivity.py", "learn/charts_measuring.py",
    "classroom/answers.py", "classroom/charts.py", "learn/content.py", "learn/learner.py", "learn/pictures.py",
    "learn/records.py", "learn/words.py",
    "present/charts.py", "present/choice.py", "present/handout.py", "present/paper.py", "present/presentations.py",
    "present/stage.py", "present/words.py",
    "learn/charts_failure.py", "learn/charts_recovery.py", "learn/charts_speed.py", "learn/charts_strategy.py",
    "compare/lots.py",
)  # fmt: skip
EARLY_ENGINE = ("pruning", "pruning.importance", "pruning.masks", "pruning.anatomy", "pruning.statistics")
UI_MODULES = sorted(
    ".".join(path.relative_to(ROOT / "ui").with_suffix("").parts)
    for path in (ROOT / "ui").rglob("*.py")
    if path.stem != "__init__"
)


def python_files(layer: str) -> list[Path]:
    single = ROOT / f"{layer}.py"
    return [single] if single.is_file() else sorted((ROOT / layer).rglob("*.py"))


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, inside functions and under TYPE_CHECKING, too."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *filter(None, [node.module])] if node.level else []
            origin = ".".join(base) if node.level else str(node.module)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def offences(paths: list[Path], forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in paths
        for line, name in imported_modules(path)
        if name.split(".")[0] in forbidden
    ]


def heavy_modules_after(code: str) -> list[str]:
    """Slow packages that some imports bring in, in a fresh interpreter: what is loaded in this one must not count."""
    script = f"{code}\nimport sys\nprint(*sorted({{'torch', 'transformers', 'datasets'}} & set(sys.modules)))"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def assigned_names(body: list[ast.stmt]) -> set[str]:
    """Names that get a value, with or without an annotation; a bare annotation gives none."""
    plain = {ast.unparse(target) for node in body if isinstance(node, ast.Assign) for target in node.targets}
    return plain | {ast.unparse(node.target) for node in body if isinstance(node, ast.AnnAssign) and node.value}


def criterion_classes(path: Path) -> list[str]:
    """Classes that look like a criterion, decorated or not: they give themselves a ``name`` and can be called."""
    return [
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
        and "name" in assigned_names(node.body)
        and any(isinstance(part, ast.FunctionDef) and part.name == "__call__" for part in node.body)
    ]


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_has_files(layer: str) -> None:
    """The rules below would hold of an empty folder, too."""
    assert python_files(layer)


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_imports_what_stands_above_it(layer: str) -> None:
    above = set(LAYERS[: LAYERS.index(layer)])
    assert offences(python_files(layer), above) == []


def test_engine_knows_no_interface() -> None:
    assert offences(python_files("pruning"), {"streamlit", "plotly", "altair"}) == []


def test_pages_are_at_the_address_of_their_file() -> None:
    """The first visitor of a fresh server is answered before the router has run: then the file's name counts."""
    text = (ROOT / "ui" / "router.py").read_text(encoding="utf-8")
    found = dict(re.findall(r'"pages/(\w+)\.py", .*url_path="(\w+)"', text))
    assert found == {name: name for name in found}
    assert found.keys() | {"home"} == {path.stem for path in python_files("pages")} - {"__init__"}


def test_pages_import_no_page() -> None:
    siblings = {path.stem for path in python_files("pages")} - {"__init__"}
    assert offences(python_files("pages"), {"pages"} | siblings) == []


def test_only_the_interface_imports_streamlit() -> None:
    folders = [ROOT / name for name in ("pruning", "assets", "benchmarks")]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    assert offences(paths, {"streamlit"}) == []


@pytest.mark.parametrize("name", PURE_UI)
def test_charts_import_no_streamlit(name: str) -> None:
    assert offences([ROOT / "ui" / name], {"streamlit"}) == []


@pytest.mark.parametrize("module", EARLY_ENGINE)
def test_engine_is_imported_without_torch(module: str) -> None:
    assert heavy_modules_after(f"import {module}") == []


@pytest.mark.parametrize("module", UI_MODULES)
def test_interface_is_imported_without_torch(module: str) -> None:
    """The first paint does not wait for torch (11.6 s with it, 1.9 s without)."""
    assert heavy_modules_after(f"import ui.{module}") == []


@pytest.mark.parametrize("path", [*python_files("pages"), *python_files("app")], ids=lambda path: path.name)
def test_page_imports_no_torch_at_its_top(path: Path) -> None:
    """The import lines alone are run: the rest of a page needs a browser."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert (
        heavy_modules_after("\n".join(ast.unparse(n) for n in body if isinstance(n, ast.Import | ast.ImportFrom))) == []
    )


def test_every_criterion_file_is_registered() -> None:
    from pruning.importance import criteria

    defined = {
        f"{path.stem}.{name}"
        for path in sorted((ROOT / "pruning" / "importance").glob("*.py"))
        for name in criterion_classes(path)
        if path.stem != "base"
    }
    registered = {f"{cls.__module__.rsplit('.', 1)[-1]}.{cls.__name__}" for cls in criteria().values()}
    assert defined
    assert defined == registered


def pins(name: str) -> list[str]:
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and line != "-r requirements.txt"]


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-dev.txt", "requirements-smollm2.txt", "requirements-postgres.txt"]
)
def test_requirements_are_exact_pins(name: str) -> None:
    exact = re.compile(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[0-9][0-9A-Za-z.]*")
    assert pins(name)
    assert [line for line in pins(name) if not exact.fullmatch(line)] == []


def test_torch_is_pinned_first() -> None:
    assert pins("requirements.txt")[0].startswith("torch==")
