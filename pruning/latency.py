"""Latency, measured once and looked up: what each size of a site or block adds to a forward pass, in milliseconds.

Hardware-aware pruning with a table, as in Kwon et al., "A Fast Post-Training Pruning Framework for Transformers",
NeurIPS 2022 (section 4.1), and Cai et al., "Once-for-All", ICLR 2020. The model is really cut to a few sizes, and each
cut runs in turns with the whole model, so that what else the machine does slows both down. All sites of one shape are
cut together: the time of a single one would drown in noise.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.conversion import cache_folder
from pruning.errors import PruningError, UnsupportedError
from pruning.importance.base import Progress
from pruning.macs import COUNTED_TOKENS
from pruning.masks import Mask

if TYPE_CHECKING:
    from torch import nn

    from pruning.anatomy import Anatomy
    from pruning.models import LoadedModel

TABLE_VERSION = 1
QUARTERS = (0.75, 0.5, 0.25, 0.0)  # of the units of each part, that are left
LEAST = 0.01  # of the time, that is left in any case
PAIRS = 15  # runs of the whole and the cut model in turns, for each point
Clock = Callable[[], float]  # seconds


@dataclass(frozen=True)
class Curve:
    """What cutting one part saves.

    Attributes:
        sizes: Numbers of units left, ascending, ending with all of them.
        saved: By size, as a share of the whole model's time; 0 for the last.
    """

    sizes: tuple[int, ...]
    saved: tuple[float, ...]

    def at(self, left: int) -> float:
        """Share of the time that is saved with so many units left, interpolated."""
        import numpy as np

        return float(np.interp(left, self.sizes, self.saved))


@dataclass(frozen=True)
class LatencyTable:
    """Times of one model on one machine.

    Attributes:
        whole_ms: Of one forward pass of the whole model; the median.
        sites, blocks: One curve for each, by index.
        layers: What each layer saves as a whole, as a share of the time.
        inside: For each layer, the sites and blocks that go with it.
        tokens, batch, threads: Of the inputs, and of torch.
        machine: What the times hold for, in words.
    """

    whole_ms: float
    sites: tuple[Curve, ...]
    blocks: tuple[Curve, ...]
    layers: tuple[float, ...]
    inside: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    tokens: int
    batch: int
    threads: int
    machine: str

    def predict(self, mask: Mask) -> float:
        """Milliseconds of one forward pass once the mask is cut out.

        What cannot be removed stays: however much is, the prediction is not below a hundredth of the whole.
        """
        sites = {site for layer in mask.layers for site in self.inside[layer][0]}
        blocks = {block for layer in mask.layers for block in self.inside[layer][1]}
        saved = sum(self.layers[layer] for layer in mask.layers)
        for curves, removed, gone in ((self.sites, mask.heads, sites), (self.blocks, mask.neurons, blocks)):
            counts: dict[int, int] = defaultdict(int)
            for part, _ in removed:
                counts[part] += 1
            saved += sum(curves[p].at(curves[p].sizes[-1] - n) for p, n in counts.items() if p not in gone)
        return self.whole_ms * max(1 - saved, LEAST)

    def to_json(self) -> dict[str, Any]:
        return {"version": TABLE_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LatencyTable:
        """Raises: ValueError, TypeError or KeyError where the value is no table of this version."""
        if value.pop("version") != TABLE_VERSION:
            raise ValueError("another version")
        curves = {
            name: tuple(Curve(tuple(c["sizes"]), tuple(c["saved"])) for c in value[name])
            for name in ("sites", "blocks")
        }
        inside = tuple((tuple(sites), tuple(blocks)) for sites, blocks in value["inside"])
        return cls(**{**value, **curves, "layers": tuple(value["layers"]), "inside": inside})


def measure_latency_table(
    model: LoadedModel,
    tokens: int = COUNTED_TOKENS,
    batch: int = 1,
    *,
    pairs: int = PAIRS,
    cache: bool = True,
    clock: Clock = time.perf_counter,
    progress: Progress | None = None,
) -> LatencyTable:
    """Measure the table, or read it where this machine has measured it for this model already.

    Args:
        pairs: Runs of the whole and the cut model in turns, for each point.
        cache: Keep the table in the user's cache folder, and look there first.
        clock: Seconds; for tests.

    Raises:
        UnsupportedError: No part of the model can be cut, or its inputs do not come in batches.
    """
    import torch

    machine, threads = _machine(model), torch.get_num_threads()
    key = (TABLE_VERSION, model.fingerprint, tokens, batch, threads, machine)
    path = cache_folder() / "latency" / f"{sha256(repr(key).encode()).hexdigest()[:24]}.json"
    found = _read(path) if cache else None
    if found is None:
        stopwatch = _Stopwatch(model, _inputs(model, tokens, batch), pairs, clock)
        follow = progress or (lambda done, total: None)
        found = _measure(model.anatomy, stopwatch, follow, (tokens, batch, threads, machine))
        if cache:
            _keep(path, found)
    return found


def _measure(
    anatomy: Anatomy, stopwatch: _Stopwatch, progress: Progress, made: tuple[int, int, int, str]
) -> LatencyTable:
    groups = [*_groups(anatomy, "sites"), *_groups(anatomy, "blocks")]
    if not groups:
        raise UnsupportedError(
            "no part of this model can be cut, so there is nothing to time: {reason}", reason=anatomy.reason
        )
    curves: dict[str, dict[int, Curve]] = {"sites": {}, "blocks": {}}
    for done, (name, members) in enumerate(groups):
        curve = _curve(anatomy, stopwatch, name, members)
        curves[name] |= dict.fromkeys(members, curve)
        progress(done + 1, len(groups) + 1)
    sites = tuple(curves["sites"].get(site.index, Curve((site.heads,), (0.0,))) for site in anatomy.sites)
    blocks = tuple(curves["blocks"].get(block.index, Curve((block.neurons,), (0.0,))) for block in anatomy.blocks)
    layers = _layers(anatomy, stopwatch, sites, blocks)
    progress(len(groups) + 1, len(groups) + 1)
    inside = tuple((layer.sites, layer.blocks) for layer in anatomy.layers)
    return LatencyTable(stopwatch.whole_ms, sites, blocks, layers, inside, *made)


def _groups(anatomy: Anatomy, name: str) -> Iterator[tuple[str, list[int]]]:
    """Parts that can be cut, by shape."""
    alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    if name == "sites":
        for site in anatomy.sites:
            if site.support == "prune":
                alike[site.kind, site.heads, site.kv_heads, site.head_dim, site.layout].append(site.index)
    else:
        for block in anatomy.blocks:
            if block.support == "prune":
                alike[(block.neurons,)].append(block.index)
    yield from ((name, members) for members in alike.values())


def _curve(anatomy: Anatomy, stopwatch: _Stopwatch, name: str, members: Sequence[int]) -> Curve:
    """Cut all members to each size; one saves its share of what all save together."""
    if name == "sites":
        site = anatomy.sites[members[0]]
        unit, whole = site.heads // site.kv_heads, site.heads  # a size in the middle of a group would save no key
    else:
        unit, whole = 1, anatomy.blocks[members[0]].neurons
    points = {whole: 0.0}
    for quarter in QUARTERS:
        size = int(quarter * whole / unit) * unit
        if size not in points:
            removed = frozenset((part, i) for part in members for i in range(size, whole))
            mask = Mask(heads=removed) if name == "sites" else Mask(neurons=removed)  # type: ignore[arg-type]
            # noise must not make a smaller part slower: a search relies on it
            points[size] = max(stopwatch.saved(mask) / len(members), *points.values())
    sizes = tuple(sorted(points))
    return Curve(sizes, tuple(points[size] for size in sizes))


def _layers(
    anatomy: Anatomy, stopwatch: _Stopwatch, sites: Sequence[Curve], blocks: Sequence[Curve]
) -> tuple[float, ...]:
    """What each layer saves: measured on half of the layers with the same parts, and at least what its parts save."""
    saved = [
        sum(sites[i].at(0) for i in one.sites) + sum(blocks[i].at(0) for i in one.blocks) for one in anatomy.layers
    ]
    alike: dict[Any, list[int]] = defaultdict(list)
    for layer in anatomy.layers:
        if layer.support == "prune":
            alike[tuple(sites[i] for i in layer.sites), tuple(blocks[i] for i in layer.blocks)].append(layer.index)
    for members in alike.values():
        chosen = members[1::2]
        if not chosen:
            continue
        try:
            found = stopwatch.saved(Mask(layers=frozenset(chosen))) / len(chosen)
        except UnsupportedError:  # these layers cannot go together, whatever each of them can
            continue
        for index in members:
            saved[index] = max(saved[index], found)
    return tuple(saved)


class _Stopwatch:
    """Times cut copies in turns with the whole model."""

    def __init__(self, model: LoadedModel, inputs: dict[str, Any], pairs: int, clock: Clock) -> None:
        self.model, self.inputs, self.pairs, self.clock = model, inputs, pairs, clock
        self.times: list[float] = []  # of the whole model, ms

    @property
    def whole_ms(self) -> float:
        return statistics.median(self.times)

    def saved(self, mask: Mask) -> float:
        """The share of the time that a cut saves, at least 0: from the median ratio of neighbours in time."""
        from pruning.surgery import prune

        cut = prune(self.model, mask).module
        ratios = []
        for module in (self.model.module, cut):
            self._time(module)  # the first run of a shape is slower
        for pair in range(self.pairs):
            first = pair % 2  # neither always comes first
            found = [self._time(module) for module in ((self.model.module, cut), (cut, self.model.module))[first]]
            whole, small = found[first], found[1 - first]
            self.times.append(whole)
            ratios.append(small / whole)
        return max(0.0, 1 - statistics.median(ratios))

    def _time(self, module: nn.Module) -> float:
        import torch

        from pruning.inputs import run

        on_gpu = self.model.device.type == "cuda"
        started = self.clock()
        with torch.inference_mode():
            run(module, self.inputs)
        if on_gpu:
            torch.cuda.synchronize()
        return (self.clock() - started) * 1e3


def _inputs(model: LoadedModel, tokens: int, batch: int) -> dict[str, Any]:
    from pruning.macs import counted_inputs

    inputs = counted_inputs(model.module, tokens)
    if batch > 1 and any(value.dim() == 0 or value.shape[0] != 1 for value in inputs.values()):
        raise UnsupportedError(
            "the inputs of {model} do not come in batches: time it with a batch of 1", model=model.spec.name
        )
    return {name: value.repeat_interleave(batch, 0) if batch > 1 else value for name, value in inputs.items()}


def _machine(model: LoadedModel) -> str:
    """Processor, device, number format and torch: what else decides about times."""
    import torch

    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    device = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else "cpu"
    dtype = str(next(model.module.parameters()).dtype).removeprefix("torch.")
    return f"{processor} · {os.cpu_count()} cores · {device} · {dtype} · torch {torch.__version__}"


def _read(path: Path) -> LatencyTable | None:
    """A table that was kept; one that is damaged is measured again."""
    try:
        return LatencyTable.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _keep(path: Path, table: LatencyTable) -> None:
    """Written aside and moved into place, so that nobody reads half a table."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump(table.to_json(), file)
        Path(file.name).replace(path)
    except OSError as error:
        raise PruningError(
            "the latency table cannot be kept in {folder}: {error}; XDG_CACHE_HOME names another place",
            folder=path.parent,
            error=error.strerror or str(error),
        ) from error
