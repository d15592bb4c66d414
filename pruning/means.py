"""Mean activations over a calibration set: what mean ablation puts in the place of a removed head, neuron or layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pruning.attention import on_this_thread
from pruning.gating import Gates, Installation, entry

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.tasks import Examples


@dataclass(frozen=True, eq=False)
class Means:
    """Means over all tokens of all examples, every token counting the same.

    Attributes:
        sites: For each site, ``(heads * head_dim,)``: the input of its projection.
        blocks: For each feed-forward block, ``(neurons,)``: the input of its projection.
        layers: For each layer, ``(hidden,)``: what it adds to its input.
        samples: How many examples they stand on.
    """

    sites: tuple[Tensor, ...]
    blocks: tuple[Tensor, ...]
    layers: tuple[Tensor, ...]
    samples: int

    def by_slot(self, installation: Installation) -> Gates:
        """The means of each place where gates act."""
        places = (*installation.sites, *installation.blocks, *installation.layers)
        return dict(zip(places, (*self.sites, *self.blocks, *self.layers), strict=True))


def measure_means(model: LoadedModel, examples: Examples, batch_size: int = 32) -> Means:
    """Run the unmasked model over the examples and average what reaches each projection and what each layer adds.

    Reference: mean ablation, e.g. Wang et al., Interpretability in the Wild, ICLR 2023.
    """
    from pruning.tasks import batches, forward

    sums: dict[str, _Sum] = {}
    anatomy, handles = model.anatomy, []

    def watch(name: str, path: str, register: str, look: Callable[..., None], **options: Any) -> None:
        sums[name] = _Sum()
        child = model.module.get_submodule(path)
        handles.append(getattr(child, register)(on_this_thread(look), **options))

    for site in anatomy.sites:
        name = f"site {site.index}"
        if site.support == "none":  # nothing of it is ever removed, and its projection may not be known
            sums[name] = _Sum()
            continue
        watch(name, site.projection, "register_forward_pre_hook", _input_hook(sums, name))
    for block in anatomy.blocks:
        name = f"block {block.index}"
        watch(name, block.projection, "register_forward_pre_hook", _input_hook(sums, name))
    for layer in anatomy.layers:
        name = f"layer {layer.index}"
        watch(name, layer.name, "register_forward_hook", _layer_hook(sums, name), with_kwargs=True)
    try:
        for batch in batches(examples, batch_size, model.device):
            with torch.inference_mode():
                forward(model.module, batch)
    finally:
        for handle in handles:
            handle.remove()
    found = {name: one.mean() for name, one in sums.items()}
    parts = (("site", anatomy.sites), ("block", anatomy.blocks), ("layer", anatomy.layers))
    sites, blocks, layers = (tuple(found[f"{kind} {p.index}"] for p in some) for kind, some in parts)  # type: ignore[attr-defined]
    return Means(sites, blocks, layers, len(examples))


class _Sum:
    """A running mean in float64 over all dimensions but the last."""

    def __init__(self) -> None:
        self.total: Tensor | None = None
        self.count = 0

    def add(self, x: Tensor) -> None:
        rows = x.reshape(-1, x.shape[-1])
        total = rows.double().sum(0)
        self.total = total if self.total is None else self.total + total
        self.count += len(rows)

    def mean(self) -> Tensor:
        return torch.zeros(()) if self.total is None else (self.total / self.count).float()


def _input_hook(sums: dict[str, _Sum], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
        sums[name].add(args[0])

    return hook


def _layer_hook(sums: dict[str, _Sum], name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        y = output if isinstance(output, Tensor) else output[0]
        x = entry(args, kwargs, y)
        if x is not None:
            sums[name].add(y - x)

    return hook
