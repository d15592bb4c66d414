"""Which units are missed least, screened in bfloat16 and confirmed in float32.

Leave-one-out runs once for every unit in half precision, where the processor has it. The units that come out lowest are
run again in float32; how far the two lie apart there says how far the others may be off, and whoever could still belong
to the lowest is run again as well. What is named was compared in float32, with everybody that came near.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.ablation import loss_rises
from pruning.importance.base import Progress
from pruning.importance.context import ScoringContext
from pruning.importance.racing import require_some
from pruning.language import tr
from pruning.masks import Mask
from pruning.scopes import Scope, mask_of, unit_ids

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task

LEAST_CONFIRMED = 4  # more than are asked for: the errors of so many say something
ERROR_RATE = 0.05


@dataclass(frozen=True, eq=False)
class Screening:
    """Who came in last.

    Attributes:
        lowest: The units that are missed least.
        screened: ``(unit,)``: mean rise of the loss in bfloat16.
        rises: ``(unit,)``: mean rise of the loss in float32; NaN where it was not run.
        total: How many examples there are.
        seconds: That it took.
        model, data: Fingerprints.
    """

    lowest: Mask
    screened: np.ndarray
    rises: np.ndarray
    total: int
    seconds: float
    model: str
    data: str

    @property
    def error(self) -> float:
        """Largest difference between the two precisions, where both were run."""
        return float(np.nanmax(np.abs(self.screened - self.rises)))

    @property
    def statement(self) -> str:
        """What it claims, in the reader's language."""
        units, confirmed = len(self.rises), int(np.isfinite(self.rises).sum())
        if confirmed == units:
            return tr(
                "All {units} units ran in float32 on all {total:,} examples: this is leave-one-out itself.",
                units=units,
                total=self.total,
            )
        return tr(
            "{units} units were screened in bfloat16, {confirmed} of them ran again in float32 on all {total:,} "
            "examples, where the two differ by up to {error:.2g}. The others lie above the lowest by more than such an "
            "error is likely to be (95% for all of them together, errors taken as normal).",
            units=units,
            confirmed=confirmed,
            total=self.total,
            error=self.error,
        )


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16 in hardware."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def screen(
    model: LoadedModel,
    examples: Examples,
    count: int,
    *,
    scope: Scope = "heads",
    task: Task | None = None,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Screening:
    """Find the ``count`` units whose removal raises the loss least, without the order among them.

    Args:
        progress: Called with the rows that were run and those that are known to be needed, in both precisions.

    Raises:
        PruningError: There are not so many units, or the model cannot be gated.
        UnsupportedError: The device has no bfloat16, or the model is not in float32.
    """
    import torch

    from pruning.copying import twin_of, with_own_weights
    from pruning.tasks import task_of

    started, follow = time.perf_counter(), progress or (lambda done, whole: None)
    units = list(unit_ids(model.anatomy, scope))
    require_some(count, len(units), scope)
    if not has_bfloat16(str(model.device)):
        raise UnsupportedError("{device} has no bfloat16 products: leave screening out", device=model.device)
    if next(model.module.parameters()).dtype is not torch.float32:
        raise UnsupportedError("screening in bfloat16 is for a model in float32")
    task = task or task_of(model)
    half = model.with_module(with_own_weights(twin_of(model.module)).to(torch.bfloat16))

    def run(one: LoadedModel, chosen: np.ndarray, before: int) -> np.ndarray:
        whole = max(len(units) + count + LEAST_CONFIRMED, before + len(chosen)) * len(examples)
        step: Progress = lambda done, _: follow(before * len(examples) + done, whole)  # noqa: E731
        context = ScoringContext(one, task, examples, batch_size, seed, step, scope)
        context.require_gates()
        return loss_rises(context, chosen.tolist()).mean(0)

    screened, rises = run(half, np.arange(len(units)), 0), np.full(len(units), np.nan)
    del half
    near = np.argsort(screened, kind="stable")[: count + LEAST_CONFIRMED]
    while len(near):
        before = len(units) + int(np.isfinite(rises).sum())
        rises[near] = run(model, near, before)
        near = doubtful(screened, rises, count)
    chosen = np.argsort(rises, kind="stable")[:count]  # NaN comes last
    return Screening(
        mask_of(scope, [units[i] for i in chosen]),
        screened,
        rises,
        len(examples),
        time.perf_counter() - started,
        model.fingerprint,
        examples.fingerprint,
    )


def doubtful(screened: np.ndarray, rises: np.ndarray, count: int) -> np.ndarray:
    """Units without a value in float32 that may still be among the ``count`` lowest.

    Their error is predicted from the errors of the others: Student's interval for one more value of a normal sample,
    corrected for how many there are (Bonferroni).

    Args:
        screened: ``(unit,)`` in bfloat16.
        rises: ``(unit,)`` in float32, NaN where it was not run; more than ``count`` and 2 are there.
    """
    from scipy.stats import t

    known = np.isfinite(rises)
    others, errors = np.flatnonzero(~known), (rises - screened)[known]
    if not len(others):
        return others
    quantile = t.ppf(1 - ERROR_RATE / len(others), len(errors) - 1)
    margin = quantile * errors.std(ddof=1) * np.sqrt(1 + 1 / len(errors))
    limit = np.sort(rises[known])[count - 1]
    return others[screened[others] + errors.mean() - margin <= limit]
