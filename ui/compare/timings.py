"""How long both sides take once they are really cut, in turns: measured when asked, kept for all. No streamlit here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pruning.errors import Cancelled, PruningError, message_of
from pruning.language import Later, later, mark
from ui.jobs import Cache, Job, Worker
from ui.maps import calibration_data, modified
from ui.recoveries import submit_again
from ui.replacing import Replacements

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.presenting.measuring import Timing
    from ui.compare.pairs import Side

KEPT = 100
GIVE_WAY = 5  # pairs of runs between two turns of others


class Timings:
    """Times by what was timed."""

    def __init__(self, worker: Worker, replacements: Replacements) -> None:
        self.worker, self._replacements = worker, replacements
        self._found, self._refusals = Cache(KEPT), Cache(KEPT)

    def key(self, model: LoadedModel, data: str, a: Side, b: Side) -> object:
        """What the times are of: data counts only where something was fitted to it."""
        rows = calibration_data(data)
        fitted = any(side.mask and side.replacement != "none" for side in (a, b))
        return "times", model.fingerprint, (rows, modified(rows)) if fitted else (), a.identity, b.identity

    def known(self, model: LoadedModel, data: str, a: Side, b: Side) -> Timing | None:
        return self._found.get(self.key(model, data, a, b))

    def refusal(self, model: LoadedModel, data: str, a: Side, b: Side) -> Later | None:
        """Why they cannot be timed, where that is known."""
        return self._refusals.get(self.key(model, data, a, b))

    def start(self, session: str, model: LoadedModel, data: str, a: Side, b: Side) -> Job:
        """Queue the cutting of both and their times."""
        key = self.key(model, data, a, b)

        def work(job: Job) -> Iterator[None]:
            from pruning.presenting.measuring import RUNS, time_in_turns, timing_of

            cut: list[Any] = []
            for name, side in (("A", a), ("B", b)):
                try:
                    cut.append(self._cut(job, model, data, side))
                except Cancelled:
                    raise
                except PruningError as error:
                    reason = later(
                        "{side} cannot be cut, so neither is timed: {error}", side=name, error=message_of(error)
                    )
                    self._refusals.put(key, reason)
                    return
                yield
            first, pairs = model.with_module(cut[0]), []
            for pairs in time_in_turns(first, cut[1]):
                job.report(len(pairs), RUNS, mark("Timing both models in turns"))
                if len(pairs) % GIVE_WAY == 0:
                    yield
            self._found.put(key, timing_of(first, pairs))

        return submit_again(self.worker, Job((session, "compare times"), key, work))

    def _cut(self, job: Job, model: LoadedModel, data: str, side: Side) -> Any:
        """The model that would be served: smaller where something is removed."""
        from pruning.surgery import prune

        if side.trained is not None:
            return side.trained.recovered.pruned.module
        if not side.mask:
            return model.module
        made = self._replacements.make(job, model, data, side.mask, side.replacement)
        job.report(0, 1, mark("Cutting, and comparing with the mask"))
        return prune(model, side.mask, compensation=made).module
