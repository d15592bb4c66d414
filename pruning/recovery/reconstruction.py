"""Making compensations: means folded into biases, and least-squares reconstruction of the projections.

Both need calibration examples without labels and no training. What they change is only what the projections multiply
with, so a masked model previews exactly what the cut model will give.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pruning.attention import on_this_thread
from pruning.errors import PruningError
from pruning.linear import by_output
from pruning.masks import Mask
from pruning.plan import COMPENSATIONS
from pruning.recovery.compensation import Compensation, Refit, check_projections

if TYPE_CHECKING:
    from pruning.means import Means
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

Progress = Callable[[int, int], None]
RIDGE = 1.0  # of the mean square of an input: how strongly the old weights are held on to


@dataclass(frozen=True)
class Place:
    """A projection whose numbers may change: ``("site", index)`` or ``("block", index)`` and what is removed there."""

    kind: str
    index: int
    path: str
    removed: tuple[int, ...]  # columns of the weight


def places_of(model: LoadedModel, mask: Mask, *, touched: bool = False) -> list[Place]:
    """The projections of a masked model in the order of its layers, without those of layers that are removed.

    Args:
        touched: Only projections that lose an input.
    """
    anatomy = model.anatomy
    gone_sites = {site for layer in mask.layers for site in anatomy.layers[layer].sites}
    gone_blocks = {block for layer in mask.layers for block in anatomy.layers[layer].blocks}
    places = []
    for site in anatomy.sites:
        heads = sorted(head.head for head in mask.heads if head.site == site.index)
        columns = tuple(head * site.head_dim + i for head in heads for i in range(site.head_dim))
        if site.index not in gone_sites:
            places.append(Place("site", site.index, site.projection, columns))
    for block in anatomy.blocks:
        columns = tuple(sorted(neuron.neuron for neuron in mask.neurons if neuron.block == block.index))
        if block.index not in gone_blocks:
            places.append(Place("block", block.index, block.projection, columns))
    order = {name: i for i, (name, _) in enumerate(model.module.named_modules())}
    places = [place for place in places if place.removed or not touched]
    return sorted(places, key=lambda place: order[place.path])


def compensate_means(model: LoadedModel, mask: Mask, means: Means) -> Compensation:
    """Fold the mean output of what is removed into the biases of its projections: mean ablation that can be cut.

    Args:
        means: As `pruning.means.measure_means` gives them. Means of removed layers cannot be folded in.

    Raises:
        UnsupportedError: A projection is not a linear layer of its own.
    """
    mask.check(model.anatomy)
    refits: dict[str, dict[int, Refit]] = {"site": {}, "block": {}}
    for place in places_of(model, mask, touched=True):
        columns = list(place.removed)
        mean = (means.sites if place.kind == "site" else means.blocks)[place.index]
        weight = by_output(model.module.get_submodule(place.path)).detach()
        refits[place.kind][place.index] = Refit((weight[:, columns].double() @ mean[columns].double()).to(weight))
    check_projections(model.module, model.anatomy, refits["site"], refits["block"])
    return Compensation("mean", refits["site"], refits["block"], means.samples)


def reconstruct(
    model: LoadedModel,
    mask: Mask,
    examples: Examples,
    *,
    batch_size: int = 32,
    ridge: float = RIDGE,
    touched: bool = False,
    progress: Progress | None = None,
) -> Compensation:
    """Fit each projection's weights and bias so that it gives what it gave in the whole model, by least squares.

    Projections are fitted one after the other, from the first layer on, each on the activations of the model as it is
    by then, so that later ones also make up for the errors of earlier ones.

    Args:
        examples: Calibration examples; their labels are not used.
        ridge: How strongly the old weights are held on to, relative to the mean square of an input.
        touched: Only projections that lose an input; otherwise every one after the first of these. Where layers are
            removed, all projections that stay are fitted.

    Raises:
        UnsupportedError: A projection is not a linear layer of its own.

    References:
        He, Zhang & Sun, Channel Pruning for Accelerating Very Deep Neural Networks, ICCV 2017;
        Kwon et al., A Fast Post-Training Pruning Framework for Transformers, NeurIPS 2022 (mask tuning).
    """
    from pruning.gating import gated

    mask.check(model.anatomy)
    started = time.perf_counter()
    places = places_of(model, mask, touched=touched and not mask.layers)
    sites = [place.index for place in places if place.kind == "site"]
    check_projections(model.module, model.anatomy, sites, [p.index for p in places if p.kind == "block"])
    first = next((i for i, place in enumerate(places) if place.removed), len(places)) if not mask.layers else 0
    places = places[first:]
    report = progress or (lambda done, total: None)
    wanted = _outputs(model, places, examples, batch_size)
    report(1, len(places) + 1)
    found = Compensation("reconstruct", {}, {}, len(examples), examples.fingerprint)
    for done, place in enumerate(places):
        sums = _Sums()
        with gated(model, mask, compensation=found):
            for inputs, targets in _pairs(model, place, examples, batch_size, wanted.pop(place.path)):
                sums.add(inputs, targets)
        refit = _solve(model.module.get_submodule(place.path), place, sums, ridge)
        found = found.with_refit(place.kind, place.index, refit)
        report(done + 2, len(places) + 1)
    return replace(found, seconds=time.perf_counter() - started)


def compensate(
    model: LoadedModel,
    mask: Mask,
    examples: Examples,
    method: str,
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
) -> Compensation | None:
    """The compensation of that name for a mask: ``none``, ``mean`` or ``reconstruct``.

    Args:
        examples: Calibration examples; their labels are not used.

    Raises:
        PruningError: There is no such method, or the model's projections cannot be compensated.
    """
    if method not in COMPENSATIONS:
        raise PruningError(
            "there is no compensation {method!r}; there are {known}", method=method, known=", ".join(COMPENSATIONS)
        )
    if method == "none" or not (mask.heads or mask.neurons or mask.layers):
        return None
    if method == "mean":
        from pruning.means import measure_means

        found = compensate_means(model, mask, measure_means(model, examples, batch_size))
        return replace(found, data=examples.fingerprint)
    return reconstruct(model, mask, examples, batch_size=batch_size, progress=progress)


class _Sums:
    """What the normal equations need, in float64: inputs are ``(token, in)`` with a one at the end for the bias."""

    def __init__(self) -> None:
        self.gram: Tensor | float = 0.0  # (in + 1, in + 1)
        self.cross: Tensor | float = 0.0  # (in + 1, out)

    def add(self, x: Tensor, y: Tensor) -> None:
        x = x.reshape(-1, x.shape[-1]).float()
        x = torch.cat([x, x.new_ones(len(x), 1)], 1)
        # a batch is small enough for float32, and twice as quick; what adds up is in float64
        self.gram = self.gram + (x.t() @ x).double()
        self.cross = self.cross + (x.t() @ y.reshape(-1, y.shape[-1]).float()).double()


def _solve(projection: nn.Module, place: Place, sums: _Sums, ridge: float) -> Refit:
    """Weights that fit best, held to the old ones by the ridge; the bias is free."""
    weight = by_output(projection).detach()
    bias = getattr(projection, "bias", None)
    keep = [i for i in range(weight.shape[1]) if i not in set(place.removed)]
    index = torch.tensor([*keep, weight.shape[1]], device=weight.device)
    assert isinstance(sums.gram, Tensor)
    assert isinstance(sums.cross, Tensor)
    gram, cross = sums.gram[index][:, index], sums.cross[index]
    hold = ridge * gram.diagonal()[:-1].mean() if keep else gram.new_zeros(())
    anchor = torch.cat([weight[:, keep].t().double(), gram.new_zeros(1, weight.shape[0])])
    penalty = torch.diag(torch.cat([hold.expand(len(keep)), gram.new_zeros(1)]))
    solution = torch.linalg.solve(gram + penalty, cross + penalty @ anchor)  # (kept + 1, out)
    fitted = torch.zeros_like(weight, dtype=torch.float64)
    fitted[:, keep] = solution[:-1].t()
    shift = solution[-1] - (0 if bias is None else bias.detach().double())
    return Refit(shift.to(weight), fitted.to(weight).contiguous())


class _EnoughError(Exception):
    """Ends a forward pass once the projection in question has been reached."""


@contextmanager
def _hooked(modules: Sequence[nn.Module], hook: Callable[..., None]) -> Iterator[None]:
    handles = [module.register_forward_hook(on_this_thread(hook)) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _outputs(
    model: LoadedModel, places: Sequence[Place], examples: Examples, batch_size: int
) -> dict[str, list[list[Tensor]]]:
    """What each projection gives in the whole model: ``[batch][call]``; layers that share a projection call it each."""
    from pruning.tasks import batches, forward

    found: dict[str, list[list[Tensor]]] = {place.path: [] for place in places}
    paths = {model.module.get_submodule(place.path): place.path for place in places}

    def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        found[paths[module]][-1].append(output.detach().clone())

    with _hooked(list(paths), hook), torch.inference_mode():
        for batch in batches(examples, batch_size, model.device):
            for calls in found.values():
                calls.append([])
            forward(model.module, batch)
    return found


def _pairs(
    model: LoadedModel, place: Place, examples: Examples, batch_size: int, wanted: list[list[Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """What reaches a projection in the model as it is set now, and what it should give, batch by batch."""
    from pruning.tasks import batches, forward

    projection = model.module.get_submodule(place.path)
    for batch, targets in zip(batches(examples, batch_size, model.device), wanted, strict=True):
        seen: list[Tensor] = []

        def hook(
            module: nn.Module,
            args: tuple[Any, ...],
            output: Tensor,
            seen: list[Tensor] = seen,
            last: int = len(targets),
        ) -> None:
            seen.append(args[0].detach())
            if len(seen) == last:
                raise _EnoughError

        with _hooked([projection], hook), torch.inference_mode(), suppress(_EnoughError):
            forward(model.module, batch)
        yield from zip(seen, targets, strict=True)
