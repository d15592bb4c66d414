"""What a model costs, counted: parameters and multiply-accumulates (MACs), and what really cutting heads would save."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.errors import UnsupportedError
from pruning.masks import Mask

if TYPE_CHECKING:
    from torch import nn

    from pruning.anatomy import AttentionSite
    from pruning.models import LoadedModel
    from pruning.wiring import Rows, Wiring


@dataclass(frozen=True)
class Cost:
    """A size and an amount of work; differences of two costs are costs, too."""

    parameters: int
    macs: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.macs + other.macs)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.parameters - other.parameters, self.macs - other.macs)


@dataclass(frozen=True)
class SiteCost:
    """What each part of one site costs.

    Attributes:
        query: Query rows, output columns and attention arithmetic of each query head.
        group: Key and value rows of each key-value head, saved only when all its query heads go.
    """

    query: tuple[Cost, ...]
    group: tuple[Cost, ...]


@dataclass(frozen=True)
class CostModel:
    """Costs of one model for inputs of one size.

    Attributes:
        total: The whole model.
        sites: Head by head.
        tokens: Length of the input that the MACs are counted for; 0 where it is one image.
    """

    total: Cost
    sites: tuple[SiteCost, ...]
    tokens: int

    def saved(self, mask: Mask) -> Cost:
        """What cutting the masked heads out would save; a mask alone saves nothing.

        Raises:
            UnsupportedError: The mask removes neurons or layers, whose savings are not counted yet.
        """
        if mask.neurons or mask.layers:
            raise UnsupportedError("savings are counted for heads only")
        saved = Cost(0, 0)
        for index, site in enumerate(self.sites):
            removed = {head for s, head in mask.heads if s == index}
            for head in removed:
                saved += site.query[head]
            size = len(site.query) // len(site.group)
            for group, cost in enumerate(site.group):
                if removed.issuperset(range(group * size, (group + 1) * size)):
                    saved += cost
        return saved

    def after(self, mask: Mask) -> Cost:
        """The cost of the model once the masked heads are cut out."""
        return self.total - self.saved(mask)


def count_cost(model: LoadedModel, tokens: int = 128) -> CostModel:
    """Count parameters and MACs of a model and of each of its heads, for one input of ``tokens`` tokens (or one image).

    The whole is counted by torch's own counter; the parts from the weights' shapes and the sizes seen in one dry run.

    Raises:
        UnsupportedError: The weights of single heads cannot be told apart.
    """
    import torch

    from pruning.attention import AttentionCall, observed, on_this_thread
    from pruning.inputs import dry_run_inputs, run
    from pruning.probing import count_macs, fan, is_linear
    from pruning.wiring import find_wiring

    module, wiring = model.module, find_wiring(model)
    vectors: dict[str, int] = {}  # how many vectors each linear layer multiplies
    scores: dict[nn.Module, int] = {}  # query × key pairs of each attention module

    def on_linear(path: str) -> Any:
        def hook(child: nn.Module, args: tuple[Any, ...]) -> None:
            vectors[path] = vectors.get(path, 0) + args[0].numel() // fan(child)[0]

        return hook

    def on_attention(call: AttentionCall) -> None:
        pairs = call.query.shape[0] * call.query.shape[2] * call.key.shape[2]
        scores[call.module] = scores.get(call.module, 0) + pairs

    linears = [(path, child) for path, child in module.named_modules() if is_linear(child)]
    handles = [child.register_forward_pre_hook(on_this_thread(on_linear(path))) for path, child in linears]
    try:
        with torch.inference_mode(), observed(on_attention):
            inputs = dry_run_inputs(module, tokens)
            run(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    sites = tuple(
        _site_cost(module, site, wires, vectors, scores[module.get_submodule(site.name)])
        for site, wires in zip(model.anatomy.sites, wiring, strict=True)
    )
    macs, _ = count_macs(module, tokens)
    ids = inputs.get("input_ids")
    return CostModel(Cost(model.anatomy.parameters, macs), sites, 0 if ids is None else ids.shape[1])


def _site_cost(module: nn.Module, site: AttentionSite, wires: Wiring, vectors: dict[str, int], pairs: int) -> SiteCost:
    from pruning.probing import fan

    width = fan(module.get_submodule(site.projection))[1]
    output = Cost(site.head_dim * width, site.head_dim * width * vectors[site.projection])
    query = []
    for head in range(site.heads):
        rows = _rows_cost(module, wires.query[head], vectors)
        depth = sum(len(indices) for _, indices in wires.query[head])
        query.append(rows + output + Cost(0, pairs * ((depth or site.head_dim) + site.head_dim)))
    group = [
        _rows_cost(module, key, vectors) + _rows_cost(module, value, vectors)
        for key, value in zip(wires.key, wires.value, strict=True)
    ]
    return SiteCost(tuple(query), tuple(group))


def _rows_cost(module: nn.Module, rows: Rows, vectors: dict[str, int]) -> Cost:
    """Weights and biases of some output rows, and the MACs that they take."""
    from pruning.probing import fan

    cost = Cost(0, 0)
    for path, indices in rows:
        linear = module.get_submodule(path)
        inputs, bias = fan(linear)[0], getattr(linear, "bias", None) is not None
        cost += Cost(len(indices) * (inputs + bias), len(indices) * inputs * vectors[path])
    return cost
