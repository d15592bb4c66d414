"""Running a model no further than needed: only from the first changed layer on, only where the task's head reads.

A runner works on a twin of the model that shares its weights. What it leaves out is checked once for each model against
running everything; where that differs, the runner runs everything.
"""

from pruning.replay.runner import Runner, runner_of
from pruning.replay.tape import Tape, Tapes

__all__ = ["Runner", "Tape", "Tapes", "runner_of"]
