"""The runner of a model: what it can leave out was found by watching, and checked against running everything."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from pruning.attention import replaced
from pruning.copying import twin_of
from pruning.gating import Slot, gated
from pruning.linear import by_output, fan, is_plain
from pruning.masks import HeadId, Mask
from pruning.replay.finding import feeders_of, find_narrowing, find_stages
from pruning.replay.stages import PASS, Narrowing, Pass, Slice, Stage, put_in
from pruning.replay.tape import Start, Tape
from pruning.wiring import Wiring, find_wiring

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.recovery.compensation import Compensation
    from pruning.tasks import Batch, Examples

TOLERANCE = 1e-5  # of the largest logit; a narrow product may be summed in another order
TRIED_STAGES = 4  # in the self-test of resuming
TRIED_ROWS = 2
LEAST_SLICED = 1 / 6  # of the rows of a layer; less is not worth the copying


@dataclass(frozen=True, eq=False)
class Runner:
    """Runs a model.

    Attributes:
        model: A twin of the model, to be gated in its place; the model itself where there is nothing to leave out.
        stages: What a tape can hold; none where the model is not a row of layers.
        narrowing: Of the last stage; ``None`` where it runs for all positions.
        replays: Whether a pass may begin at the first stage that is not as it was.
        wiring: What feeds the heads; ``None`` where all of it is always computed.
        slices: What runs in the place of some layers that feed heads.
    """

    model: LoadedModel
    stages: tuple[Stage, ...] = ()
    narrowing: Narrowing | None = None
    replays: bool = False
    wiring: Wiring | None = None
    slices: Mapping[nn.Module, Slice] = field(default_factory=dict)

    def without(self, mask: Mask) -> Runner:
        """A runner that does not compute the queries, keys and values of removed heads.

        The gates of the mask must be set whenever it runs.
        """
        if self.wiring is None or not mask.heads:
            return self
        rows: dict[str, set[int]] = {}
        for strand in self.wiring.freed_by(mask.heads):
            if strand.dim is None:
                rows.setdefault(strand.path, set()).update(strand.rows)
        fed = {path for stage in self.stages for path in stage.feeders}
        slices = {}
        for path in fed & rows.keys():
            layer = self.model.module.get_submodule(path)
            if is_plain(layer) and len(rows[path]) >= LEAST_SLICED * fan(layer)[1]:
                slices[layer] = _slice(layer, rows[path])
        return replace(self, slices=slices)

    def logits(self, batch: Batch, tape: Tape | None = None, start: Start | None = None, notes: bool = True) -> Tensor:
        """Logits under the gates that are set, in float32.

        Args:
            tape: What is known of the same batch; new states are noted there.
            start: The first stage that is not as it was.
            notes: Whether new states are noted.
        """
        from pruning.tasks import forward

        module = self.model.module
        if not self.stages:
            return forward(module, batch)
        start, last = start or Start(), len(self.stages) - 1
        tape = tape if self.replays else None
        now = Pass(
            last,
            tape,
            start.stage,
            resumes=start.resumes,
            notes=notes,
            narrowing=self.narrowing,
            slices=self.slices,
        )
        with ExitStack() as stack:
            stack.callback(PASS.reset, PASS.set(now))
            stack.enter_context(replaced(now.attention))
            return forward(module, batch)

    def start_of(self, change: Mask, tape: Tape) -> Start:
        """The first place that removing, or bringing back, these units changes."""
        if not self.replays:
            return Start()
        anatomy, last = self.model.anatomy, len(self.stages) - 1
        numbers = {stage.path: stage.number for stage in self.stages}
        by_site = {site: layer.name for layer in anatomy.layers for site in layer.sites}
        by_block = {block: layer.name for layer in anatomy.layers for block in layer.blocks}
        paths = [by_site.get(head.site, "") for head in change.heads]
        paths += [by_block.get(neuron.block, "") for neuron in change.neurons]
        paths += [anatomy.layers[layer].name for layer in change.layers]
        first = min((numbers.get(path, -1) for path in paths), default=last)  # -1: outside the layers
        known = all(number in tape.outputs for number in range(first))
        return Start(first, first in tape.inputs) if first >= 0 and known else Start()

    def replay(self, batch: Batch, tape: Tape, mask: Mask, compensation: Compensation | None = None) -> Tensor:
        """Logits of the masked model, run from the first place on in which it differs from the tape's.

        The gates of the mask must be set. Afterwards the tape holds this mask's states.
        """
        if not self.replays:
            return self.logits(batch)
        start = Start()
        if tape.mask is not None and tape.compensation is compensation:
            start = self.start_of(mask ^ tape.mask, tape)
        tape.mask = None  # should the pass fail half-way, its states fit no mask
        logits = self.logits(batch, tape, start)
        tape.mask, tape.compensation = mask, compensation
        return logits


# None for a model that runs as it is: a value that held its own key would keep it for good.
_RUNNERS: weakref.WeakKeyDictionary[nn.Module, tuple[tuple[int, ...], Runner | None]] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def runner_of(model: LoadedModel, examples: Examples) -> Runner:
    """The runner of a model, made and checked once on the shortest and the longest of some examples.

    A model that has hooks of other people runs as it is.
    """
    state = _state_of(model.module)
    with _LOCK:
        known = _RUNNERS.get(model.module)
        if known is None or known[0] != state:
            runs_plainly = _is_watched(model.module) or not len(examples)
            known = state, None if runs_plainly else _made(model, examples)
            _RUNNERS[model.module] = known
    return known[1] or Runner(model)


def _state_of(module: nn.Module) -> tuple[int, ...]:
    """What a twin was made from: its weights and its attention; and whether somebody watches."""
    implementation = getattr(getattr(module, "config", None), "_attn_implementation", None)
    return (*map(id, module.parameters()), hash(implementation), module.training, _is_watched(module))


def _is_watched(module: nn.Module) -> bool:
    """Whether a module has hooks that are not gates."""
    return any(
        not isinstance(getattr(hook, "__self__", hook), Slot)
        for part in module.modules()
        for hook in (*part._forward_pre_hooks.values(), *part._forward_hooks.values())
    )


def _made(model: LoadedModel, examples: Examples) -> Runner | None:
    """The quickest runner that passes the self-test; ``None`` where nothing can be left out."""
    batches = _trial_batches(model, examples)
    try:
        twin = model.with_module(twin_of(model.module))
        stages = find_stages(twin, feeders_of(model), lambda: twin.module(**batches[0].inputs))
    except Exception:  # a model that cannot be copied or watched runs as it is
        return None
    if not stages:
        return None
    put_in(twin.module, stages)
    narrowing = _passing(lambda: _narrowing(twin, stages, batches))
    replays = _passing(lambda: _replays(Runner(twin, stages, narrowing, replays=True), batches))
    wiring = _passing(lambda: _sliceable(Runner(twin, stages, narrowing, wiring=find_wiring(model)), batches))
    return Runner(twin, stages, narrowing, bool(replays), wiring) if narrowing or replays or wiring else None


def _passing(test: Callable[[], Any]) -> Any:
    """What a test gives; ``None`` where it raises: a model may refuse shapes in any way."""
    try:
        with torch.inference_mode():
            return test()
    except Exception:
        return None


def _narrowing(model: LoadedModel, stages: tuple[Stage, ...], batches: list[Batch]) -> Narrowing | None:
    """How to narrow the last stage, if that gives the same logits."""
    from pruning.tasks import forward

    found = find_narrowing(model.module, stages[-1], lambda: model.module(**batches[0].inputs))
    if found is None:
        return None
    runner = Runner(model, stages, found)
    return found if all(_close(runner.logits(batch), forward(model.module, batch)) for batch in batches) else None


def _replays(runner: Runner, batches: list[Batch]) -> bool:
    """Whether beginning late gives the same logits as beginning at the first layer, there and back."""
    from pruning.tasks import forward

    sites = [runner.model.anatomy.sites[stage.site] for stage in runner.stages if stage.site is not None]
    sites = [site for site in sites if site.support != "none"]
    tried = [sites[i] for i in sorted({round(x) for x in np.linspace(0, len(sites) - 1, TRIED_STAGES)})]
    masks = [Mask(frozenset(HeadId(site.index, head) for head in range(0, site.heads, 2))) for site in tried]
    tapes = [Tape() for _ in batches]
    for mask in (Mask(), *masks, *reversed(masks), Mask()):
        with gated(runner.model, mask) as module:
            for batch, tape in zip(batches, tapes, strict=True):  # in turn: nothing may be carried over from the other
                found = runner.replay(batch, tape, mask)
                if not _close(found, forward(module, batch)):
                    return False
    return True


def _sliceable(runner: Runner, batches: list[Batch]) -> Wiring | None:
    """The wiring, if leaving out what feeds half of the heads gives the same logits."""
    from pruning.tasks import forward

    sites = [site for site in runner.model.anatomy.sites if site.support != "none"]
    mask = Mask(frozenset(HeadId(site.index, head) for site in sites for head in range(0, site.heads, 2)))
    less = runner.without(mask)
    if not less.slices:
        return None
    with gated(runner.model, mask) as module:
        return runner.wiring if all(_close(less.logits(b), forward(module, b)) for b in batches) else None


def _slice(layer: nn.Module, gone: Collection[int]) -> Slice:
    """A linear layer without some of its rows."""
    width, bias = fan(layer)[1], getattr(layer, "bias", None)
    weight = by_output(layer).detach()
    kept = [row for row in range(width) if row not in gone]
    firsts = [row for row in kept if row - 1 in gone or row == 0]
    pasts = [row + 1 for row in kept if row + 1 in gone or row + 1 == width]
    rows = torch.tensor(kept, dtype=torch.long, device=weight.device)
    runs = tuple(zip(firsts, pasts, strict=True))
    return Slice(runs, weight[rows].contiguous(), None if bias is None else bias.detach()[rows], width)


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of logits are the same but for rounding."""
    if one.shape != other.shape:
        return False
    return float((one - other).abs().max()) <= TOLERANCE * max(1.0, float(other.abs().max()))


def _trial_batches(model: LoadedModel, examples: Examples) -> list[Batch]:
    """Two rows each of the shortest and of the longest examples."""
    from pruning.tasks import batches

    sizes = [sum(_size(value) for value in row.values()) for row in examples.features]
    chosen: list[list[int]] = []
    for extreme in (max(sizes), min(sizes)):
        rows = [i for i, size in enumerate(sizes) if size == extreme]
        alike = [i for i in rows if examples.keys[i] == examples.keys[rows[0]]]
        chosen.append(alike[-TRIED_ROWS:] if chosen else alike[:TRIED_ROWS])
    return [batch for rows in chosen for batch in batches(examples, TRIED_ROWS, model.device, rows)]


def _size(value: Any) -> int:
    return value.numel() if isinstance(value, Tensor) else len(value) if hasattr(value, "__len__") else 1
