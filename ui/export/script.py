"""The same on the command line and as a short program. Pure: values in, text out."""

from __future__ import annotations

import json
import shlex

from pruning.builtin import BUILT_IN
from pruning.data import BUILT_IN_DATA
from pruning.importance import get_criterion
from pruning.language import DEFAULT, speaking
from ui.export.subject import Decision, Subject, versions
from ui.maps import calibration_data

FOLDER = "smaller"
LONGEST_HEADS = 1500  # letters of a list of heads in a command
LONGEST_CODE = 4000  # letters of a mask in a program; longer ones are read from their file


# Commands --------------------------------------------------------------------------------------------------------


def prune_command(what: Decision, files: bool = False, measure: bool = False) -> str:
    """What cuts, with the replacement that the preview shows; a plan names its own.

    Args:
        files: Read the mask from its file, even where it could stand in the command.
        measure: Evaluate before and after, for the model card.

    >>> from pruning.masks import Mask
    >>> prune_command(Decision("demo", "tweets", Mask.parse_heads("0:1,2:3"), "mean"))
    'python -m pruning prune demo --heads 0:1,2:3 --recover mean -o smaller'
    """
    data = ["--data", what.data, *_samples(what)] if measure and not (what.same_rows and _replaces(what)) else []
    return shlex.join([*_start("prune", what), *_cut(what, files), *_recovery(what), *data, "-o", FOLDER])


def evaluate_command(what: Decision, files: bool = False) -> str:
    """What measures the masked model on the page's data; empty where the command line refuses those rows."""
    if what.same_rows and _replaces(what):
        return ""
    parts = [*_start("evaluate", what), "--data", what.data, *_samples(what)]
    cut = ["--mask", "plan.json"] if what.planned else _cut(what, files) if what.mask else []
    return shlex.join([*parts, *cut, *_recovery(what)])


def needs_file(what: Decision) -> str:
    """The name of the file that the commands read; empty where they need none."""
    return next((name for name in ("mask.json", "plan.json") if name in _cut(what, False)), "")


def _start(command: str, what: Decision) -> list[str]:
    return ["python", "-m", "pruning", command, what.model]


def _cut(what: Decision, files: bool) -> list[str]:
    if what.planned:
        return ["--plan", "plan.json"]
    heads = what.mask.format_heads()
    if files or what.mask.neurons or what.mask.layers or len(heads) > LONGEST_HEADS:
        return ["--mask", "mask.json"]
    return ["--heads", heads]


def _replaces(what: Decision) -> bool:
    return what.compensation != "none"


def _recovery(what: Decision) -> list[str]:
    if not _replaces(what):
        return []
    parts = [] if what.planned else ["--recover", what.compensation]
    rows = calibration_data(what.data)
    own = what.model in BUILT_IN and BUILT_IN[what.model].data == rows
    return [*parts, *([] if own else ["--recover-data", rows])]


def _samples(what: Decision) -> list[str]:
    return [] if what.rows is None else ["--samples", str(what.rows)]


# A program -------------------------------------------------------------------------------------------------------


def python_script(subject: Subject) -> str:
    """A program that makes the same mask, the same figures and the same checkpoint; its words are English.

    Needs nothing but Headroom's engine, and the mask's file where the mask is too long to be written down.
    """
    with speaking(DEFAULT):
        parts = _head(subject), _loading(subject), _mask(subject), FIGURES, _cutting(subject)
    return "\n\n".join(filter(None, parts)) + "\n"


def _head(subject: Subject) -> str:
    made = f"Written by Headroom {versions()['Headroom']} on {subject.made}."
    model = subject.english[0] or subject.label
    title = _one_line(f"{model}: {subject.removed} removed")
    return f"# {title}.\n# {made} Run it where Headroom is installed."


def _imports(subject: Subject) -> str:
    names = ["DataSpec", "Mask", "compare", "evaluate", "load_data", "load_model", "task_of"]
    names += ["export_checkpoint", "prune"] if subject.mask else []
    names += ["score"] if subject.ranked else []
    lines = [f"from pruning import {', '.join(sorted(names, key=lambda name: (not name[0].isupper(), name)))}"]
    lines += ["from pruning.card import Story"] if subject.mask else []
    if _replaces(subject.decision):
        lines.append("from pruning.recovery.reconstruction import compensate")
    return "\n".join(lines)


def _loading(subject: Subject) -> str:
    what = subject.decision
    rows = (
        f"{what.rows}  # as on the page" if what.rows else "None  # all; a number takes only the first, to try it out"
    )
    lines = [
        _imports(subject),
        "",
        f"ROWS = {rows}",
        "",
        f"model = load_model({_text(what.model)})",
        f"if model.fingerprint != {_text(subject.model.fingerprint)}:",
        '    print("These are other weights than those of the page: the figures will differ.")',
        "task = task_of(model)",
        f'evaluation = task.encode(model, load_data(DataSpec({_text(what.data)}, "evaluation", ROWS)))',
    ]
    if subject.ranked or _replaces(what):
        rows_of = calibration_data(what.data)
        limit = "ROWS" if rows_of in BUILT_IN_DATA or rows_of == what.data else "None"
        lines.append(f'calibration = task.encode(model, load_data(DataSpec({_text(rows_of)}, "calibration", {limit})))')
    return "\n".join(lines)


def _mask(subject: Subject) -> str:
    code, ranked = subject.mask.to_code(), subject.ranked
    source = f"Mask.from_code({_text(code)})" if len(code) <= LONGEST_CODE else 'Mask.read("mask.json")'
    lines = [f"# What is removed: {_one_line(subject.removed)}.", f"mask = {source}.check(model.anatomy)"]
    if ranked is not None:
        count = len([*subject.mask.heads, *subject.mask.neurons, *subject.mask.layers])
        how = "" if ranked.scope == "heads" else f", scope={_text(ranked.scope)}"
        how += ", label_free=True" if ranked.label_free else ""
        rows = "calibration" if get_criterion(ranked.criterion).needs_data else "None"
        label = get_criterion(ranked.criterion).label.lower()
        lines += [
            f"importance = score(model, {_text(ranked.criterion)}, {rows}{how})",
            f'print("the {count} least important {ranked.scope} by {label} are the mask:", '
            f"importance.lowest({count}) == mask)",
        ]
    made = f"compensate(model, mask, calibration, {_text(subject.decision.compensation)})"
    lines.append(f"compensation = {made if _replaces(subject.decision) else None}")
    return "\n".join(lines)


FIGURES = """# The figures, with 95% intervals; differences are paired.
before = evaluate(model, evaluation)
after = evaluate(model, evaluation, mask, compensation=compensation)
change = compare(before, after)
for name, old in before.metrics.items():
    new, by = after.metrics[name], change.differences.get(name)
    paired = f", difference {by.value:.6f} ({by.low:.6f} to {by.high:.6f})" if by else ""
    print(f"{name}: {old.value:.6f} before, {new.value:.6f} ({new.low:.6f} to {new.high:.6f}) after{paired}")
print(f"n = {after.samples}")"""


def _cutting(subject: Subject) -> str:
    """Nothing where nothing is removed: the checkpoint would be the model itself."""
    if not subject.mask:
        return ""
    return f"""# The smaller model: cut, written, and reloaded to see that it is the same.
pruned = prune(model, mask, compensation=compensation)
story = Story(data={_text(subject.decision.data)}, before=before, after=after)
written = export_checkpoint(model, pruned, {_text(FOLDER)}, story=story)
print(f"{{model.anatomy.parameters:,}} parameters before, {{pruned.parameters:,}} after")
print(f"written to {{written.folder}}, difference after reloading {{written.reload_difference}}")"""


def _text(value: str) -> str:
    """A literal in double quotes."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    """Text of unknown origin for a comment, which ends where a line does."""
    return " ".join(text.split())
