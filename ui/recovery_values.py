"""What recovery asks for and gives: rows, measured models, trained models, archives. No streamlit here."""

from __future__ import annotations

import shlex
import shutil
import threading
import weakref
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from pruning.builtin import BUILT_IN
from pruning.language import Later
from pruning.masks import Mask
from pruning.recovery.settings import Training
from ui.jobs import Job
from ui.maps import calibration_data

if TYPE_CHECKING:
    from pruning.evaluation import Comparison, Evaluation
    from pruning.models import LoadedModel
    from pruning.recovery.settings import History
    from pruning.recovery.training import Recovered
    from pruning.tasks import Examples

FOLDER = "smaller"


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to train on and rows that measure; ``divided`` where one source without a split gave both."""

    train: Examples
    measure: Examples
    divided: bool


@dataclass(frozen=True, eq=False)
class Measured:
    """A model on the evaluation rows, and how it differs from another one on the same rows."""

    evaluation: Evaluation
    change: Comparison | None = None


@dataclass(frozen=True, eq=False)
class Compared:
    """What each replacement gives without training.

    Attributes:
        found: By the name of the replacement, compared with the unpruned model.
        refused: Why a replacement could not be made, by its name.
    """

    whole: Measured
    found: dict[str, Measured]
    refused: dict[str, Later]


@dataclass(frozen=True)
class Asked:
    """A training as it is asked for.

    Attributes:
        compensation: What stands in for what is removed when training begins.
        method: Name of the recovery method.
        settings: Of the whole training: its minutes are those of all cuts together.
        cuts: In how many steps the mask is reached, with training after each; a small mask may have fewer.
    """

    mask: Mask
    compensation: str
    method: str
    settings: Training
    cuts: int = 1


@dataclass(frozen=True, eq=False)
class Record:
    """What is kept of a training whose model is not: the attributes are those of `Recovered`."""

    history: tuple[History, ...]
    best: History
    steps: int
    rows: tuple[int, int]
    reason: str
    seconds: float

    @classmethod
    def of(cls, found: Recovered) -> Record:
        return cls(**{one.name: getattr(found, one.name) for one in fields(cls)})


@dataclass(frozen=True, eq=False)
class Trained:
    """A recovered model of one session.

    Attributes:
        source: Fingerprint of the unpruned model.
        data: What it was trained on.
        smaller: To be evaluated like any other model.
    """

    source: str
    data: str
    asked: Asked
    recovered: Recovered
    smaller: LoadedModel


@dataclass(frozen=True, eq=False)
class Outcome:
    """The three models on the same rows; the pruned one is compared with the unpruned, the recovered with both."""

    whole: Measured
    pruned: Measured
    recovered: Measured
    gained: Comparison


@dataclass(eq=False)
class Archive:
    """A zip file in a folder of its own, which goes when nobody holds the archive any more."""

    path: Path
    exported_bytes: int
    reload_difference: float

    def __post_init__(self) -> None:
        weakref.finalize(self, shutil.rmtree, self.path.parent, ignore_errors=True)


@dataclass(eq=False)
class TrainingJob(Job):
    """A training; ``stop`` ends it early and keeps the best state, cancelling keeps nothing."""

    stop: threading.Event = field(default_factory=threading.Event)


def command(model: str, data: str, asked: Asked) -> str:
    """What cuts and trains the same on the command line, with the settings that it has options for.

        >>> from pruning.language import Later
    from pruning.masks import Mask
        >>> command("demo", "demo", Asked(Mask(), "mean", "distill", Training(minutes=2)))
        'python -m pruning prune demo --mask mask.json -o smaller --recover mean --recover distill --recover-minutes 2'
    """
    parts = ["python", "-m", "pruning", "prune", model, "--mask", "mask.json", "-o", FOLDER]
    parts += ["--recover", asked.compensation] if asked.compensation != "none" else []
    parts += ["--recover", asked.method]
    parts += ["--recover-minutes", f"{asked.settings.minutes:g}"] if asked.settings.minutes else []
    parts += ["--recover-steps", str(asked.cuts)] if asked.cuts > 1 else []
    rows = calibration_data(data)
    own = model in BUILT_IN and BUILT_IN[model].data == rows
    return shlex.join([*parts, *([] if own else ["--recover-data", rows])])
