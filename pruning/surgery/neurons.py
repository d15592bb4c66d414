"""Neurons: rows of the layers that feed them and columns of the feed-forward block's last projection."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from pruning.anatomy import Anatomy
from pruning.linear import drop_inputs, drop_outputs
from pruning.masks import NeuronId
from pruning.surgery.heads import Layout
from pruning.wiring import Wiring


def cut_neurons(
    module: nn.Module, anatomy: Anatomy, wiring: Wiring, neurons: Iterable[NeuronId], layout: Layout
) -> None:
    """Cut neurons out of ``module``, in place.

    In the layout ``padded`` zeros stay in their places, in ``columns`` the rows that feed them stay.
    """
    gone: dict[int, set[int]] = {}
    for owner, neuron in neurons:
        gone.setdefault(owner, set()).add(neuron)
    for index, dead in gone.items():
        block = anatomy.blocks[index]
        for spread in wiring.blocks.get(block.projection, ()) if layout != "columns" else ():
            rows = {row for row, neuron in enumerate(spread.neurons) if neuron in dead}
            drop_outputs(module.get_submodule(spread.path), rows, set() if layout == "padded" else rows)
        shift = set() if layout in ("padded", "columns") or block.projection not in wiring.blocks else dead
        drop_inputs(module.get_submodule(block.projection), dead, shift)
