"""The README's example runs as it stands, and every command that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from pruning.cli import commands

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    small = example.replace('pruning.load_data("demo")', 'pruning.load_data(pruning.DataSpec("demo", samples=64))')
    small = small.replace('split="calibration"', 'split="calibration", samples=64')
    assert small.count("samples=64") == 2, "shorten the example in one more place"
    exec(compile(small, "README.md", "exec"), names)
    assert names["after"].samples == 64  # type: ignore[attr-defined]


def test_every_command_exists() -> None:
    named = set(re.findall(r"python -m pruning (\w+)", README))
    assert named == set(commands.commands)


def test_every_linked_file_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
