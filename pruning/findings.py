"""Searches and scores that are looked up on disk before they are worked out, and kept there afterwards.

What is found is what `search`, `score` and `guaranteed` gave an earlier process for the same weights, rows, settings
and code, with the seconds that it took then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pruning.results import finding_key

if TYPE_CHECKING:
    from pruning.importance import ImportanceMap
    from pruning.importance.base import Progress
    from pruning.latency import LatencyTable
    from pruning.models import LoadedModel
    from pruning.plan import Plan
    from pruning.results import Results
    from pruning.scopes import Scope
    from pruning.search.planning import Planner, Request
    from pruning.tasks import Examples, Task


def searched(
    results: Results | None,
    model: LoadedModel,
    examples: Examples | None,
    request: Request,
    *,
    task: Task | None = None,
    latency: LatencyTable | None = None,
    progress: Progress | None = None,
) -> Planner:
    """`pruning.search.planning.search`, done once.

    Args:
        results: On disk; ``None`` to search in any case.
    """
    from pruning.search import Search
    from pruning.search.planning import Planner, search, search_context

    if results is None:
        return search(model, examples, request, task=task, latency=latency, progress=progress)
    key, context = search_key(model, examples, request), search_context(model, examples, request, task, progress)
    kept = results.find(key, context)
    if isinstance(kept, tuple) and isinstance(kept[0], Search):
        return Planner(request, context, kept[0], kept[1], latency)
    found = search(model, examples, request, task=task, latency=latency, progress=progress)
    results.keep(key, (found.found, found.seconds), found.context)
    return found


def search_key(model: LoadedModel, examples: Examples | None, request: Request, kind: str = "search") -> str:
    """What a search is of; how its plans will be compensated changes nothing."""
    return finding_key(kind, model, _rows(examples), replace(request, compensation="none"))


def scored(
    results: Results | None, model: LoadedModel, criterion: str, examples: Examples | None, **options: Any
) -> ImportanceMap:
    """`pruning.importance.scoring.score` with a criterion's own settings at their defaults, done once.

    Args:
        options: ``scope``, ``label_free`` and ``progress`` of `score`.
    """
    from pruning.importance import ImportanceMap
    from pruning.importance.scoring import score

    if results is None:
        return score(model, criterion, examples, **options)
    scope: Scope = options.get("scope", "heads")
    key = finding_key("map", model, _rows(examples), criterion, scope, bool(options.get("label_free")))
    kept = results.find(key)
    if isinstance(kept, ImportanceMap):
        return kept
    found = score(model, criterion, examples, **options)
    results.keep(key, found)
    return found


def guaranteed_plan(
    results: Results | None,
    model: LoadedModel,
    examples: Examples,
    points: float,
    request: Request,
    progress: Progress | None = None,
) -> Plan:
    """`pruning.search.guarantee.guaranteed`, done once."""
    from pruning.plan import Plan
    from pruning.search.guarantee import guaranteed

    if results is None:
        return guaranteed(model, examples, points, request, progress=progress)
    key = finding_key("guarantee", model, _rows(examples), request, float(points))
    kept = results.find(key)
    if isinstance(kept, Plan):
        return kept
    found = guaranteed(model, examples, points, request, progress=progress)
    results.keep(key, found)
    return found


def _rows(examples: Examples | None) -> str:
    return examples.fingerprint if examples is not None else ""
