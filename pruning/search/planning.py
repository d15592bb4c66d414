"""The verb: make a plan."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pruning.importance import Criterion, get_criterion
from pruning.importance.base import Progress
from pruning.importance.normalising import get_normalisation
from pruning.language import Later, later
from pruning.masks import Mask, whole_groups
from pruning.plan import COMPENSATIONS, Figures, Plan
from pruning.scopes import Scope
from pruning.search import DEFAULT_CRITERION, DEFAULT_NORMALISE, DEFAULT_STRATEGY
from pruning.search.base import Search, Strategy, get_strategy
from pruning.search.budget import Budget, Gauge, PlanError, left
from pruning.search.context import SearchContext, flat_mask
from pruning.wording import both

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy
    from pruning.latency import LatencyTable
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task


@dataclass(frozen=True)
class Request:
    """How a plan is to be made, whatever its budget.

    Attributes:
        criterion: A name in the registry, or a criterion with its own settings.
        strategy: A name in the registry, or a strategy with its own settings.
        scopes: The kinds of unit that may go.
        protected: What must stay: heads, neurons, and layers with everything in them.
        whole_groups: Remove only whole key-value groups.
        normalise: How importance is rescaled before it is ranked; a name in `NORMALISATIONS`.
        compensation: How the projections are to be compensated when the plan is carried out.
        tokens: Length of the input that MACs and latency are counted for.
    """

    criterion: Criterion | str = DEFAULT_CRITERION
    strategy: Strategy | str = DEFAULT_STRATEGY
    scopes: tuple[Scope, ...] = ("heads",)
    protected: Mask = field(default_factory=Mask)
    whole_groups: bool = False
    normalise: str = DEFAULT_NORMALISE
    compensation: str = "none"
    batch_size: int = 32
    seed: int = 0
    tokens: int = 128

    @property
    def chosen_criterion(self) -> Criterion:
        return get_criterion(self.criterion)() if isinstance(self.criterion, str) else self.criterion

    @property
    def chosen_strategy(self) -> Strategy:
        return get_strategy(self.strategy)() if isinstance(self.strategy, str) else self.strategy

    def check(self) -> Request:
        """Refuse what does not go together.

        Raises:
            PlanError: The strategy or the criterion does not know one of the scopes, or there is no such compensation.
        """
        strategy, criterion = self.chosen_strategy, self.chosen_criterion
        if not self.scopes or len(set(self.scopes)) < len(self.scopes):
            raise PlanError("name at least one scope, and each of them once")
        for scope in self.scopes:
            if scope not in strategy.scopes:
                raise PlanError(
                    "the strategy {strategy} does not choose among {scope}: it does among {allowed}",
                    strategy=strategy.name,
                    scope=later(scope),
                    allowed=both(strategy.scopes),
                )
            if not strategy.measure and scope not in criterion.scopes:
                raise PlanError(
                    "the criterion {criterion} is not defined for {scope}: it scores {allowed}",
                    criterion=criterion.name,
                    scope=later(scope),
                    allowed=both(criterion.scopes),
                )
        for scope in self.scopes:
            get_normalisation(self.normalise, scope)
        if self.compensation not in COMPENSATIONS:
            raise PlanError(
                "there is no compensation {compensation!r}; there are {known}",
                compensation=self.compensation,
                known=", ".join(COMPENSATIONS),
            )
        return self


def search_context(
    model: LoadedModel,
    examples: Examples | None,
    request: Request,
    task: Task | None = None,
    progress: Progress | None = None,
) -> SearchContext:
    """What the strategy may use.

    Raises:
        PruningError: The request does not fit the model, or it protects what does not exist.
    """
    from pruning.cost import count_cost

    request.check()
    request.protected.check(model.anatomy)
    if examples is not None and task is None:
        from pruning.tasks import task_of

        task = task_of(model)
    return SearchContext(
        model=model,
        task=task,
        examples=examples,
        criterion=request.chosen_criterion,
        scopes=request.scopes,
        costs=count_cost(model, request.tokens),
        protected=request.protected,
        whole_groups=request.whole_groups,
        normalise=request.normalise,
        batch_size=request.batch_size,
        seed=request.seed,
        progress=progress or (lambda done, total: None),
    )


@dataclass(frozen=True, eq=False)
class Planner:
    """A search that is done: plans for any budget, at once.

    Attributes:
        seconds: That the search took.
        latency: Measured times, needed for latency budgets.
    """

    request: Request
    context: SearchContext
    found: Search
    seconds: float
    latency: LatencyTable | None = None

    def gauge(self, kind: str) -> Gauge:
        return Gauge(Budget(kind, 1).kind, self.context.model.anatomy, self.context.costs, self.latency)  # type: ignore[arg-type]

    def plan(self, budget: Budget) -> Plan:
        """The plan that meets a budget.

        Raises:
            BudgetError: None does; the message names the nearest budget that can be met.
        """
        return self.plan_of(self.found.mask_for(self.gauge(budget.kind), budget.share), budget)

    def plan_of(self, mask: Mask, budget: Budget | None) -> Plan:
        """A plan around a mask."""
        request, model, examples = self.request, self.context.model, self.context.examples
        strategy, criterion = request.chosen_strategy, request.chosen_criterion
        return Plan(
            mask=mask,
            budget=budget,
            strategy=strategy.name,
            settings=asdict(strategy),  # type: ignore[call-overload]
            criterion=strategy.measure or criterion.name,
            normalise="none" if strategy.measure else request.normalise,
            scopes=request.scopes,
            compensation=request.compensation,
            predicted=self.predict(mask, budget),
            model=model.fingerprint,
            data=examples.fingerprint if examples else "",
            samples=len(examples) if examples else 0,
            seed=request.seed,
            seconds=self.seconds,
            made=datetime.now(UTC).date().isoformat(),
            notes=(*_notes(request), *_split_groups(mask, model.anatomy)),
        )

    def predict(self, mask: Mask, budget: Budget | None) -> Figures:
        """What the model will be once the mask is cut out."""
        costs = self.context.costs
        after = costs.after(mask)
        return Figures(
            **left(self.context.model.anatomy, mask),
            parameters=after.parameters,
            macs=after.macs,
            tokens=costs.tokens,
            share=self.gauge(budget.kind).share(mask) if budget else None,
            latency_ms=self.latency.predict(mask) if self.latency else None,
        )


def search(
    model: LoadedModel,
    examples: Examples | None = None,
    request: Request | None = None,
    *,
    task: Task | None = None,
    latency: LatencyTable | None = None,
    progress: Progress | None = None,
) -> Planner:
    """Find out once what every budget needs to know.

    Raises:
        PruningError: The request does not fit the model, or nothing may be removed.
    """
    request = request or Request()
    context = search_context(model, examples, request, task, progress)
    started = time.perf_counter()
    found = request.chosen_strategy(context)
    return Planner(request, context, found, time.perf_counter() - started, latency)


def plan(
    model: LoadedModel,
    examples: Examples | None,
    budget: Budget | str,
    request: Request | None = None,
    *,
    task: Task | None = None,
    latency: LatencyTable | None = None,
    progress: Progress | None = None,
) -> Plan:
    """What to remove so that no more than the budget remains.

    Args:
        examples: The calibration examples; ``None`` for criteria that need none.
        latency: Measured times, for a latency budget; they are measured where they are not given.

    Raises:
        BudgetError: No removal meets the budget; the message names the nearest that can be met.
        PruningError: The request does not fit the model.
    """
    budget = Budget.parse(budget) if isinstance(budget, str) else budget
    request = (request or Request()).check()
    if budget.kind == "latency" and latency is None:
        from pruning.latency import measure_latency_table

        latency = measure_latency_table(model, request.tokens)
    return search(model, examples, request, task=task, latency=latency, progress=progress).plan(budget)


def plan_below(
    model: LoadedModel,
    examples: Examples | None,
    threshold: float,
    request: Request | None = None,
    *,
    task: Task | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Remove every unit that is less important than a raw value of the criterion; there is no strategy then.

    Raises:
        PlanError: That would remove nothing, or all that there is.
    """
    request = replace(request or Request(), strategy="one-shot")
    context = search_context(model, examples, request, task, progress)
    sign = 1.0 if context.criterion.direction == "high" else -1.0
    started = time.perf_counter()
    importance = context.importance()
    steps = [b for b in context.bundles if all(importance[unit] < sign * threshold for unit in b)]
    values = sorted(sign * value for value in importance.values())
    span = later(
        "values of {criterion} are {low:.4g} to {high:.4g}",
        criterion=context.criterion.name,
        low=values[0],
        high=values[-1],
    )
    if not steps:
        raise PlanError("a threshold of {threshold:g} removes nothing: {span}", threshold=threshold, span=span)
    mask = flat_mask(steps)
    emptied = [scope for scope, count in left(model.anatomy, mask).items() if scope in request.scopes and not count]
    if emptied:
        raise PlanError(
            "a threshold of {threshold:g} removes all {scopes}: {span}",
            threshold=threshold,
            scopes=both(emptied),
            span=span,
        )
    planner = Planner(request, context, context.order(steps), time.perf_counter() - started)
    return replace(planner.plan_of(mask, None), threshold=threshold, strategy="threshold", settings={})


def _notes(request: Request) -> list[Later]:
    strategy, criterion = request.chosen_strategy, request.chosen_criterion
    notes = []
    if strategy.measure and request.criterion != DEFAULT_CRITERION:
        notes.append(
            later(
                "the strategy {strategy} ranks by {measure}; the criterion {criterion} is not used",
                strategy=strategy.name,
                measure=later(strategy.measure),
                criterion=criterion.name,
            )
        )
    if not strategy.measure and len(request.scopes) > 1 and "loss" not in criterion.unit:
        notes.append(
            later(
                "{criterion} is not in units of the loss, so its values for {scopes} are not on one scale: how the cut "
                "is split between them means little",
                criterion=criterion.name,
                scopes=both(request.scopes),
            )
        )
    return notes


def _split_groups(mask: Mask, anatomy: Anatomy) -> list[Later]:
    count = len(mask.heads - whole_groups(mask, anatomy).heads)
    if not count or not anatomy.is_grouped:
        return []
    return [
        later(
            "{count} heads go without the rest of their key-value group: their attention will still be computed, on "
            "zeros, so that more MACs are left than predicted; --whole-groups avoids that",
            count=count,
        )
    ]
