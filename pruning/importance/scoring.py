"""The verb: score a model under a criterion."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import PruningError, UnsupportedError
from pruning.importance.base import Criterion, ImportanceMap, Progress, Sampled, get_criterion, ragged
from pruning.importance.context import ScoringContext, Setting
from pruning.language import later
from pruning.scopes import Scope, parts_of
from pruning.wording import both

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
    scope: Scope = "heads",
    label_free: bool = False,
    setting: Setting | None = None,
) -> ImportanceMap:
    """Importance of every head (neuron, layer), raw.

    Args:
        criterion: A name in the registry, or a criterion with its own settings.
        examples: The calibration examples; criteria that need none take ``None``.
        progress: Called with what is done and how much there is; it may raise `Cancelled`.
        scope: The kind of unit.
        label_free: Take the unpruned model's own predictions for the labels.
        setting: What is gone from the model already, and what stands in for it.

    Raises:
        PruningError: No criterion has that name, or it is not defined for that scope.
        UnsupportedError: The model cannot be gated, or the criterion needs examples and there are none.
    """
    chosen = get_criterion(criterion)() if isinstance(criterion, str) else criterion
    if scope not in chosen.scopes:
        raise PruningError(
            "{criterion} is not defined for {scope}: it scores {scopes}",
            criterion=chosen.name,
            scope=later(scope),
            scopes=both(chosen.scopes),
        )
    if not parts_of(model.anatomy, scope):
        reason = model.anatomy.reason or later("it has no {scope} that were found", scope=later(scope))
        raise UnsupportedError("{model} cannot be scored: {reason}", model=model.spec.name, reason=reason)
    if chosen.needs_data and examples is None:
        raise UnsupportedError("the criterion {criterion} needs examples", criterion=chosen.name)
    if chosen.needs_data and task is None:
        from pruning.tasks import task_of

        task = task_of(model)
    used = examples if chosen.needs_data else None
    started = time.perf_counter()
    if used is not None and label_free and chosen.needs_labels and task is not None:
        used = with_own_predictions(model, task, used, batch_size)
    follow = progress or (lambda done, total: None)
    context = ScoringContext(model, task, used, batch_size, seed, follow, scope, setting or Setting())
    with context.in_setting():
        values = chosen(context)
    found = _map(model, chosen, values, context, time.perf_counter() - started)
    return replace(found, label_free=label_free and chosen.needs_labels)


def with_own_predictions(model: LoadedModel, task: Task, examples: Examples, batch_size: int = 32) -> Examples:
    """The examples with the unpruned model's predictions as their labels; the same ones where there are no classes."""
    import torch

    from pruning.tasks import batches, forward

    if not examples.class_names:
        return examples
    targets = np.zeros(len(examples), dtype=int)
    for batch in batches(examples, batch_size, model.device):
        with torch.inference_mode():
            targets[list(batch.positions)] = forward(model.module, batch).argmax(-1).cpu().numpy()
    return replace(examples, targets=tuple(targets.tolist()))


def _map(
    model: LoadedModel, criterion: Criterion, found: np.ndarray | Sampled, context: ScoringContext, seconds: float
) -> ImportanceMap:
    errors: tuple[tuple[float, ...], ...] = ()
    scores = None
    values = found.values if isinstance(found, Sampled) else found
    if isinstance(found, Sampled):
        errors = ragged(found.standard_errors, context.sizes)
    elif values.ndim == 2:
        scores = values
        if len(scores) > 1:
            errors = ragged(scores.std(axis=0, ddof=1) / np.sqrt(len(scores)), context.sizes)
        values = scores.mean(axis=0)
    return ImportanceMap(
        criterion=criterion.name,
        values=ragged(values, context.sizes),
        sites=tuple(part.name for part in parts_of(model.anatomy, context.scope)),
        samples=found.samples if isinstance(found, Sampled) else context.samples,
        seed=context.seed,
        seconds=seconds,
        model=model.fingerprint,
        data=context.examples.fingerprint if context.examples else "",
        made=datetime.now(UTC).date().isoformat(),
        standard_errors=errors,
        scope=context.scope,
        scores=scores,
    )
