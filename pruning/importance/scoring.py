"""The verb: score a model under a criterion."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Criterion, ImportanceMap, Progress, get_criterion, ragged
from pruning.importance.context import ScoringContext

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task


def score(
    model: LoadedModel,
    criterion: Criterion | str,
    examples: Examples | None = None,
    *,
    task: Task | None = None,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> ImportanceMap:
    """Importance of every head, raw.

    Args:
        criterion: A name in the registry, or a criterion with its own settings.
        examples: The calibration examples; criteria that need none take ``None``.
        progress: Called with what is done and how much there is; it may raise `Cancelled`.

    Raises:
        PruningError: No criterion has that name.
        UnsupportedError: The model cannot be gated, or the criterion needs examples and there are none.
    """
    chosen = get_criterion(criterion)() if isinstance(criterion, str) else criterion
    if not model.anatomy.sites:
        raise UnsupportedError(f"{model.spec.name} cannot be scored: {model.anatomy.reason}")
    if chosen.needs_data and examples is None:
        raise UnsupportedError(f"the criterion {chosen.name} needs examples")
    if chosen.needs_data and task is None:
        from pruning.tasks import task_of

        task = task_of(model)
    used = examples if chosen.needs_data else None
    started = time.perf_counter()
    context = ScoringContext(model, task, used, batch_size, seed, progress or (lambda done, total: None))
    values = chosen(context)
    return _map(model, chosen, values, context, time.perf_counter() - started)


def _map(
    model: LoadedModel, criterion: Criterion, values: np.ndarray, context: ScoringContext, seconds: float
) -> ImportanceMap:
    heads = model.anatomy.heads_per_site
    errors: tuple[tuple[float, ...], ...] = ()
    if values.ndim == 2:
        if len(values) > 1:
            errors = ragged(values.std(axis=0, ddof=1) / np.sqrt(len(values)), heads)
        values = values.mean(axis=0)
    return ImportanceMap(
        criterion=criterion.name,
        values=ragged(values, heads),
        sites=tuple(site.name for site in model.anatomy.sites),
        samples=context.samples,
        seed=context.seed,
        seconds=seconds,
        model=model.fingerprint,
        data=context.examples.fingerprint if context.examples else "",
        made=datetime.now(UTC).date().isoformat(),
        standard_errors=errors,
    )
