"""Ensembles: several masks of one model, evaluated as one."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from pruning.errors import PruningError, UnsupportedError
from pruning.evaluation import BATCH_SIZE, Evaluation, OnProgress, summarise
from pruning.masks import Mask
from pruning.statistics import Estimate, mean

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task

Combination = Literal["probabilities", "logits", "vote"]
COMBINATIONS: dict[Combination, str] = {
    "probabilities": "the mean of the members' probabilities",
    "logits": "the mean of the members' logits",
    "vote": "the class that most members predict",
}
TIE_BREAK = 1e-3  # of a vote: the members' mean probabilities together weigh less than one vote


@dataclass(frozen=True, eq=False)
class EnsembleEvaluation:
    """What several masked models did together, and each alone.

    Attributes:
        combined: The ensemble; its mask is what every member removes.
        members: One evaluation for each mask.
        disagreement: Share of the examples that one of two members gets right and the other wrong, a mean over pairs
            (Kuncheva & Whitaker, "Measures of Diversity in Classifier Ensembles", Machine Learning 2003); ``None`` for
            a single member.
        how: How the answers were combined.
    """

    combined: Evaluation
    members: tuple[Evaluation, ...]
    disagreement: Estimate | None
    how: Combination


def evaluate_ensemble(
    model: LoadedModel,
    masks: Sequence[Mask],
    examples: Examples,
    *,
    how: Combination = "probabilities",
    task: Task | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> EnsembleEvaluation:
    """Run the model under each mask over the examples, and combine the answers.

    It takes as long as all members together: an ensemble is for accuracy, not for speed.

    Args:
        how: ``probabilities`` or ``logits`` are averaged; in a ``vote`` the shares of the votes stand for
            probabilities, and a tie goes to the class with the higher mean probability.
        seed: Of the bootstrap behind the intervals.
        on_progress: Called after every batch; it may raise `Cancelled`.

    Raises:
        PruningError: There is no mask, or no such way to combine.
        MaskError: A mask does not fit the model.
        UnsupportedError: The task is not a classification, or the model cannot be gated.
    """
    import torch

    from pruning.gating import gated
    from pruning.tasks import Collector, batches, forward, task_of
    from pruning.tasks.classification import Classification

    task, masks = task or task_of(model), tuple(masks)
    if how not in COMBINATIONS:
        raise PruningError(
            "there is no ensemble by {how!r}; there are {known}", how=how, known=", ".join(get_args(Combination))
        )
    if not masks:
        raise PruningError("an ensemble needs at least one mask")
    if not isinstance(task, Classification):
        raise UnsupportedError(
            "ensembles are for classification, and the task of {model} is {task}", model=model.spec.name, task=task.name
        )
    count, shared = len(examples), reduce(lambda a, b: a & b, masks)
    seconds = [0.0] * len(masks)
    collectors = [Collector(count) for _ in range(len(masks) + 1)]  # the members, then the ensemble
    with torch.inference_mode():
        for batch in batches(examples, batch_size, model.device):
            answers = []
            for i, mask in enumerate(masks):
                started = time.perf_counter()
                with gated(model, mask) as module:
                    answers.append(forward(module, batch))
                seconds[i] += time.perf_counter() - started
            answers.append(combine(torch.stack(answers), how))
            for collector, logits in zip(collectors, answers, strict=True):
                collector.add(batch, task.outcome(logits, batch))
            if on_progress is not None:
                on_progress(len(collectors[-1].done), count)
    parts = zip(collectors, (*masks, shared), (*seconds, sum(seconds)), strict=True)
    found = [replace(summarise(model, examples, m, task, c, seed), seconds=took) for c, m, took in parts]
    return EnsembleEvaluation(found[-1], tuple(found[:-1]), disagreement(found[:-1]), how)


def combine(logits: Tensor, how: Combination) -> Tensor:
    """One answer from several.

    Args:
        logits: ``(member, example, class)``.

    Returns:
        ``(example, class)``: logits whose softmax are the ensemble's probabilities.
    """
    if how == "logits":
        return logits.mean(0)
    together = logits.log_softmax(-1).logsumexp(0) - math.log(len(logits))  # the logarithm of the mean probability
    if how == "probabilities":
        return together
    from torch.nn.functional import one_hot

    votes = one_hot(logits.argmax(-1), logits.shape[-1]).sum(0)
    return ((votes + TIE_BREAK * together.exp()) / (len(logits) + TIE_BREAK)).log()


def disagreement(members: Sequence[Evaluation]) -> Estimate | None:
    """Share of the examples that one of two members gets right and the other wrong, a mean over pairs of members."""
    pairs = [a.outcome.hits != b.outcome.hits for a, b in combinations(members, 2)]
    return mean(np.mean(pairs, axis=0)) if pairs else None  # of (pair, example)
