"""What a model costs, counted: parameters and multiply-accumulates (MACs), and what really cutting would save."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.masks import HeadId, Mask

if TYPE_CHECKING:
    from torch import nn

    from pruning.anatomy import AttentionSite
    from pruning.models import LoadedModel


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
class Share:
    """What goes when all of its owners go: heads ``(site, head)``, neurons ``(block, neuron)``."""

    cost: Cost
    owners: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class CostModel:
    """Costs of one model for inputs of one size.

    Attributes:
        total: The whole model.
        heads: Query, key and value rows, which go with the last head that needs them, each head's output columns, and
            the attention arithmetic of each key-value group; one of a site's groups stays when all are cut.
        neurons: By block, what one neuron costs: its rows and its column; not what other blocks share.
        layers: What each layer costs as a whole, without weights that other layers share.
        inside: For each layer, the heads and neurons that go with it.
        tokens: Length of the input that the MACs are counted for; 0 where it is one image.
    """

    total: Cost
    heads: tuple[Share, ...]
    neurons: tuple[Cost, ...]
    layers: tuple[Cost, ...]
    inside: tuple[tuple[frozenset[int], frozenset[int]], ...]
    tokens: int

    def saved(self, mask: Mask) -> Cost:
        """What cutting the masked parts out would save; a mask alone saves nothing."""
        saved = Cost(0, 0)
        for layer in mask.layers:
            saved += self.layers[layer]
        sites = {site for layer in mask.layers for site in self.inside[layer][0]}
        blocks = {block for layer in mask.layers for block in self.inside[layer][1]}
        heads = {head for head in mask.heads if head.site not in sites}
        for share in self.heads:
            if share.owners <= heads:
                saved += share.cost
        for neuron in mask.neurons:
            if neuron.block not in blocks:
                saved += self.neurons[neuron.block]
        return saved

    def after(self, mask: Mask) -> Cost:
        """The cost of the model once the masked parts are cut out."""
        return self.total - self.saved(mask)


def count_cost(model: LoadedModel, tokens: int = 128) -> CostModel:
    """Count parameters and MACs of a model and of each of its parts, for one input of ``tokens`` tokens (or one image).

    The whole is counted by torch's own counter; the parts from the weights' shapes and the sizes seen in one dry run.
    """
    from pruning.macs import count_macs
    from pruning.wiring import find_wiring

    module, anatomy, wiring = model.module, model.anatomy, find_wiring(model)
    counter = _Counter(module, tokens)
    whole = {site.index for site in anatomy.sites if site.layout in ("compact", "configured")}
    tied = {site.index for site in anatomy.sites if site.layout == "columns"}
    parts: list[tuple[Hashable, Share]] = []
    for strand in wiring.heads:
        cost = None
        if strand.dim is None and not tied & {owner.site for owner in strand.owners}:
            cost = counter.rows(strand.path, len(strand.rows))
        elif strand.dim is not None and {owner.site for owner in strand.owners} <= whole:
            cost = counter.slices(strand.path, strand.dim, len(strand.rows))
        if cost is not None:
            parts.append(((counter.weight(strand.path), strand.dim, strand.rows), Share(cost, strand.owners)))
    sites = [site for site in anatomy.sites if site.projection]
    for site in sites:
        one = counter.columns(site.projection, site.head_dim)
        for head in range(site.heads):
            key = counter.weight(site.projection), "columns", head
            parts.append((key, Share(one, frozenset({HeadId(site.index, head)}))))
    heads = _join_shared(parts)
    heads += [share for site in sites if site.index in whole for share in _arithmetic(site, counter.attention(site))]
    neurons = []
    for block in anatomy.blocks:
        cost = counter.columns(block.projection, 1)
        for spread in wiring.blocks.get(block.projection, ()):
            rows = counter.rows(spread.path, len(spread.neurons) // block.neurons)
            cost += Cost(0 if counter.is_shared(spread.path) else rows.parameters, rows.macs)
        neurons.append(cost)
    layers = tuple(counter.layer(layer.name, [anatomy.sites[i] for i in layer.sites]) for layer in anatomy.layers)
    inside = tuple((frozenset(layer.sites), frozenset(layer.blocks)) for layer in anatomy.layers)
    total = Cost(anatomy.parameters, count_macs(module, tokens)[0])
    return CostModel(total, tuple(heads), tuple(neurons), layers, inside, counter.tokens)


def _join_shared(parts: list[tuple[Hashable, Share]]) -> list[Share]:
    """Weights that layers share (one key) go with the last of all their owners; each layer's work with its own."""
    owners: dict[Hashable, frozenset[tuple[int, int]]] = {}
    for key, share in parts:
        owners[key] = owners.get(key, frozenset()) | share.owners
    found, weights = [], {}
    for key, share in parts:
        if share.owners == owners[key]:
            found.append(share)
        else:
            found.append(Share(Cost(0, share.cost.macs), share.owners))
            weights[key] = Share(Cost(share.cost.parameters, 0), owners[key])
    return [*found, *weights.values()]


def _arithmetic(site: AttentionSite, one: Cost) -> list[Share]:
    """Attention goes in whole key-value groups, and a site that loses all of them computes one group on zeros.

    See `pruning.surgery.heads`.
    """
    groups = [frozenset(HeadId(site.index, head) for head in group) for group in site.groups]
    shares = [Share(Cost(0, len(group) * one.macs), group) for group in groups]
    return [*shares, Share(Cost(0, -len(groups[0]) * one.macs), frozenset[tuple[int, int]]().union(*groups))]


class _Counter:
    """The sizes of one dry run: how many vectors each linear layer multiplies, how many pairs each site attends to."""

    def __init__(self, module: nn.Module, tokens: int) -> None:
        import torch

        from pruning.attention import AttentionCall, observed, on_this_thread
        from pruning.inputs import run
        from pruning.linear import fan, is_linear
        from pruning.macs import counted_inputs

        self.module = module
        self.parameters = dict(module.named_parameters(remove_duplicate=False))
        self.vectors: dict[str, int] = {}
        self.experts: dict[nn.Module, int] = {}
        self.pairs: dict[nn.Module, int] = {}
        self.depth: dict[nn.Module, int] = {}

        def on_linear(path: str) -> Any:
            def hook(child: nn.Module, args: tuple[Any, ...]) -> None:
                self.vectors[path] = self.vectors.get(path, 0) + args[0].numel() // fan(child)[0]

            return hook

        def on_experts(child: nn.Module, args: tuple[Any, ...]) -> None:
            """Each token's vector goes through the weights of the experts that ``args[1]`` chose for it."""
            weights = sum(p[0].numel() for p in child.parameters(recurse=False) if p.dim() == 3)
            self.experts[child] = self.experts.get(child, 0) + args[1].numel() * weights

        def on_attention(call: AttentionCall) -> None:
            pairs = call.query.shape[0] * call.query.shape[2] * call.key.shape[2]
            self.pairs[call.module] = self.pairs.get(call.module, 0) + pairs
            self.depth[call.module] = call.query.shape[-1]

        inputs = counted_inputs(module, tokens)
        linears = [(path, child) for path, child in module.named_modules() if is_linear(child)]
        handles = [child.register_forward_pre_hook(on_this_thread(on_linear(path))) for path, child in linears]
        mixtures = [child for child in module.modules() if hasattr(child, "has_gate")]  # transformers sets it
        handles += [child.register_forward_pre_hook(on_this_thread(on_experts)) for child in mixtures]
        try:
            with torch.inference_mode(), observed(on_attention):
                run(module, inputs)
        finally:
            for handle in handles:
                handle.remove()
        ids = inputs.get("input_ids")
        self.tokens = 0 if ids is None else ids.shape[1]

    def weight(self, path: str) -> int:
        """Which weight this is, of a linear layer or a parameter: the same wherever it is shared."""
        parameter = self.parameters.get(path)
        return id(self.parameters[f"{path}.weight"] if parameter is None else parameter)

    def is_shared(self, path: str) -> bool:
        return sum(id(parameter) == self.weight(path) for parameter in self.parameters.values()) > 1

    def rows(self, path: str, count: int) -> Cost:
        """Output rows of a linear layer, with their biases."""
        from pruning.linear import fan

        linear = self.module.get_submodule(path)
        inputs, bias = fan(linear)[0], getattr(linear, "bias", None) is not None
        return Cost(count * (inputs + bias), count * inputs * self.vectors.get(path, 0))

    def columns(self, path: str, count: int) -> Cost:
        from pruning.linear import fan

        weights = count * fan(self.module.get_submodule(path))[1]
        return Cost(weights, weights * self.vectors.get(path, 0))

    def slices(self, path: str, dim: int, count: int) -> Cost:
        """Part of a parameter that is not a linear layer's, such as a table of position biases."""
        parameter = self.module.get_parameter(path)
        return Cost(count * parameter.numel() // parameter.shape[dim], 0)

    def attention(self, site: AttentionSite) -> Cost:
        """Scores and weighted values of one head; outside the attention interface, with as many keys as queries."""
        owner = self.module.get_submodule(site.name)
        length = self.vectors.get(site.projection, 0)
        pairs = self.pairs.get(owner, length * length)
        return Cost(0, pairs * (self.depth.get(owner, site.head_dim) + site.head_dim))

    def layer(self, path: str, sites: list[AttentionSite]) -> Cost:
        from pruning.linear import fan, is_linear

        layer = self.module.get_submodule(path)
        elsewhere = {id(p) for name, p in self.parameters.items() if not name.startswith(f"{path}.")}
        cost = Cost(sum(p.numel() for p in layer.parameters() if id(p) not in elsewhere), 0)
        for name, child in layer.named_modules():
            cost += Cost(0, self.experts.get(child, 0))
            if is_linear(child):
                inputs, outputs = fan(child)
                cost += Cost(0, inputs * outputs * self.vectors.get(f"{path}.{name}", 0))
        for site in sites:
            cost += Cost(0, site.heads * self.attention(site).macs)
        return cost
