"""What a strategy may use while it searches: the model, the examples, what may be removed, scores and costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from pruning.errors import UnsupportedError
from pruning.importance.base import Criterion, Progress
from pruning.importance.context import ScoringContext, Setting
from pruning.importance.normalising import normalise
from pruning.language import later
from pruning.masks import Mask
from pruning.scopes import Scope, parts_of, sizes_of, units_of
from pruning.search.base import Bundle, RemovalOrder, Unit, mask_of_units
from pruning.search.budget import left

if TYPE_CHECKING:
    from pruning.cost import CostModel
    from pruning.models import LoadedModel
    from pruning.tasks import Examples, Task

PROGRESS_STEPS = 1000  # a search has many parts of uneven length: its progress is counted in thousandths


@dataclass(frozen=True, eq=False)
class SearchContext:
    """One search.

    Attributes:
        criterion: Says how important a unit is, for the strategies that let the user choose.
        scopes: The kinds of unit that may go; several compete with each other.
        protected: What must stay: heads, neurons, and layers with everything in them.
        whole_groups: Remove only whole key-value groups (grouped-query attention), because only these save their keys
            and values.
        normalise: How importance is rescaled before it is ranked.
        progress: Called with thousandths.
    """

    model: LoadedModel
    task: Task | None
    examples: Examples | None
    criterion: Criterion
    scopes: tuple[Scope, ...]
    costs: CostModel
    protected: Mask = field(default_factory=Mask)
    whole_groups: bool = False
    normalise: str = "none"
    batch_size: int = 32
    seed: int = 0
    progress: Progress = lambda done, total: None

    # What may go -----------------------------------------------------------------------------------------------

    @cached_property
    def bundles(self) -> tuple[Bundle, ...]:
        """All that may be removed, in the model's order.

        Raises:
            UnsupportedError: There is nothing that could be cut out of this model.
        """
        found = tuple(bundle for scope in self.scopes for bundle in self._bundles(scope))
        if not found:
            reason = self.model.anatomy.reason or later("everything is protected, or cannot be cut")
            raise UnsupportedError(
                "nothing of {model} may be removed: {reason}", model=self.model.spec.name, reason=reason
            )
        return found

    def _bundles(self, scope: Scope) -> Iterable[Bundle]:
        anatomy, kept = self.model.anatomy, self._kept(scope)
        for part in parts_of(anatomy, scope):
            if part.support != "prune":
                continue
            together: Sequence[Sequence[int]] = [[unit] for unit in range(sizes_of(anatomy, scope)[part.index])]
            if scope == "heads" and self.whole_groups:
                together = anatomy.sites[part.index].groups
            bundles = (tuple(Unit(scope, part.index, unit) for unit in members) for members in together)
            yield from (bundle for bundle in bundles if not kept & {unit[1:] for unit in bundle})

    def _kept(self, scope: Scope) -> set[tuple[int, int]]:
        """Units that are protected, by themselves or by their layer; a layer is by what is protected inside it."""
        kept = {tuple(unit) for unit in units_of(self.protected, scope)}
        for layer in self.model.anatomy.layers:
            inside = {"heads": layer.sites, "neurons": layer.blocks, "layers": (layer.index,)}[scope]
            if layer.index in self.protected.layers:
                kept |= {(part, unit) for part in inside for unit in range(sizes_of(self.model.anatomy, scope)[part])}
            elif scope == "layers":
                heads = {head.site for head in self.protected.heads} & set(layer.sites)
                neurons = {neuron.block for neuron in self.protected.neurons} & set(layer.blocks)
                kept |= {(layer.index, 0)} if heads or neurons else set()
        return kept  # type: ignore[return-value]

    def alive(self, bundles: Iterable[Bundle], removed: Mask) -> list[Bundle]:
        """The bundles that do not go with a removed layer anyway."""
        layers = [self.model.anatomy.layers[index] for index in removed.layers]
        gone = {("heads", site) for layer in layers for site in layer.sites}
        gone |= {("neurons", block) for layer in layers for block in layer.blocks}
        return [bundle for bundle in bundles if bundle[0][:2] not in gone]

    def order(self, steps: Iterable[Bundle]) -> RemovalOrder:
        """A removal order without what goes with its layer; the last of each kind goes only when none may remain."""
        steps = tuple(self._standing(steps))
        everything = flat_mask(steps)
        missing = [scope for scope, count in left(self.model.anatomy, everything).items() if not count]
        layers = [step for step in steps if step[0].scope == "layers"]
        spared = set(layers[-1:]) if "layers" in missing else set()
        gone = everything.layers - {unit.part for step in spared for unit in step}
        safe = self.alive(steps, Mask(layers=gone))  # what stays here does not go with a layer
        for scope in missing:
            spared |= set([step for step in safe if step[0].scope == scope != "layers"][-1:])
        return RemovalOrder(steps, frozenset(spared))

    def _standing(self, steps: Iterable[Bundle]) -> Iterator[Bundle]:
        """The steps whose layer was not removed by an earlier step."""
        gone: set[tuple[str, int]] = set()
        for step in steps:
            if step[0][:2] in gone:
                continue
            yield step
            for unit in step:
                if unit.scope == "layers":
                    layer = self.model.anatomy.layers[unit.part]
                    gone |= {("heads", site) for site in layer.sites} | {("neurons", block) for block in layer.blocks}

    # How much it matters ---------------------------------------------------------------------------------------

    def importance(self, setting: Setting | None = None, done: int = 0, total: int = 1) -> dict[Unit, float]:
        """Importance of every unit under the criterion, more being more important.

        Args:
            setting: What is gone already.
            done, total: How many of the search's scorings are done, and how many there are.
        """
        from pruning.importance.scoring import score

        found: dict[Unit, float] = {}
        for position, scope in enumerate(self.scopes):
            scored = score(
                self.model,
                self.criterion,
                self.examples,
                task=self.task,
                batch_size=self.batch_size,
                seed=self.seed,
                progress=self.part(done * len(self.scopes) + position, total * len(self.scopes)),
                scope=scope,
                setting=setting,
            )
            values = normalise(scored, self.normalise).keep_values
            found |= {Unit(scope, *unit): value for unit, value in values.items()}
        return found

    def rank(self, importance: Mapping[Unit, float]) -> dict[Bundle, float]:
        """Importance of what goes together, the sum of its units'; of several scopes, per MAC that it saves.

        Criteria that follow the loss through gates mean the same for a head, a neuron and a layer, so that they can be
        weighed against what each of these saves (Kwon et al. 2022 state the same problem as a knapsack).
        """
        several = len(self.scopes) > 1
        return {
            bundle: sum(importance[unit] for unit in bundle) / (self.macs[bundle] if several else 1)
            for bundle in self.bundles
        }

    @cached_property
    def macs(self) -> dict[Bundle, int]:
        """What each bundle saves when it goes alone, at least 1."""
        saved: dict[tuple[Scope, int, int], int] = {}  # the neurons of a block save the same, and there are thousands
        found = {}
        for bundle in self.bundles:
            scope, part, index = bundle[0]
            key = (scope, part, 0 if scope == "neurons" else index)
            if key not in saved:
                saved[key] = max(1, self.costs.saved(mask_of_units(bundle)).macs)
            found[bundle] = saved[key]
        return found

    # Tools -----------------------------------------------------------------------------------------------------

    def scoring(self, scope: Scope, examples: Examples, setting: Setting | None = None) -> ScoringContext:
        """For strategies that look at gates themselves."""
        progress: Progress = lambda done, total: None  # noqa: E731
        args = (self.model, self.task, examples, self.batch_size, self.seed)
        return ScoringContext(*args, progress, scope, setting or Setting())

    def part(self, done: int, total: int) -> Progress:
        """Progress of one of ``total`` equal parts of the search."""

        def follow(step: int, steps: int) -> None:
            share = (done + step / max(1, steps)) / max(1, total)
            self.progress(min(PROGRESS_STEPS, int(PROGRESS_STEPS * share)), PROGRESS_STEPS)

        return follow

    def required_examples(self, strategy: str) -> Examples:
        """The examples, for strategies that need some.

        Raises:
            UnsupportedError: There are none.
        """
        if self.examples is None or self.task is None:
            raise UnsupportedError("the strategy {strategy} needs examples", strategy=strategy)
        return self.examples


def sample(examples: Examples, count: int, seed: int) -> Examples:
    """At most ``count`` of the examples, drawn by the seed; all of them where ``count`` is 0."""
    if not 0 < count < len(examples):
        return examples
    drawn = np.random.default_rng(seed).permutation(len(examples))[:count]
    return examples.at(sorted(drawn.tolist()))


def flat_mask(steps: Iterable[Bundle]) -> Mask:
    """The mask that removes all of these bundles."""
    return mask_of_units(chain(*steps))
