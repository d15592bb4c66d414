"""What feeds each head and each neuron: output rows of linear layers, and slices of other parameters.

Found by derivative rather than by name. The gradient of one head's slice of the output projection's input, with respect
to the outputs of the linear layers before it, is zero except at the rows that this head alone (its query), its
group (a shared key and value) or every head (a norm across heads) depends on. That holds for separate, fused,
interleaved and transposed projections alike, through rotary embeddings and position biases, and whether or not the
model uses transformers' attention interface. A row can go when everything that depends on it goes.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pruning.anatomy import AttentionSite
from pruning.copying import twin_of
from pruning.errors import UnsupportedError
from pruning.inputs import dry_run_inputs, run
from pruning.linear import is_linear
from pruning.masks import HeadId

if TYPE_CHECKING:
    from pruning.models import LoadedModel


@dataclass(frozen=True)
class Strand:
    """Weights on which exactly these heads depend.

    Attributes:
        path: Of a linear layer, or of a parameter that is not a linear layer's.
        dim: ``None`` for output rows of the linear layer; else the parameter's dimension that ``rows`` counts along.
        rows: Indices, ascending.
        owners: The heads.
    """

    path: str
    dim: int | None
    rows: tuple[int, ...]
    owners: frozenset[HeadId]


@dataclass(frozen=True)
class Spread:
    """How the output rows of one linear layer feed the neurons of a block: row i feeds neuron ``neurons[i]``."""

    path: str
    neurons: tuple[int, ...]


@dataclass(frozen=True)
class Wiring:
    """Everything that feeds the heads, and for each feed-forward block, by its projection, what feeds its neurons."""

    heads: tuple[Strand, ...] = ()
    blocks: dict[str, tuple[Spread, ...]] = field(default_factory=dict)

    def of(self, head: HeadId) -> list[Strand]:
        """Every strand that the head depends on and that does not belong to more than one site."""
        return [s for s in self.heads if head in s.owners and len({owner.site for owner in s.owners}) == 1]

    def require(self, sites: Iterable[AttentionSite]) -> None:
        """Refuse sites whose heads cannot be told apart.

        Raises:
            UnsupportedError: Names the first.
        """
        apart = {owner.site for strand in self.heads for owner in strand.owners if len(strand.owners) == 1}
        for site in sites:
            if site.index not in apart and site.heads > 1:
                raise UnsupportedError(
                    "the query, key and value weights of {site} cannot be told apart", site=site.name
                )

    def is_alike(self, site: AttentionSite) -> bool:
        """Whether every head of a site is fed by as many rows of the same layers, as heads are, or none is."""
        fed: dict[HeadId, set[tuple[str, int | None, int]]] = {}
        for strand in self.heads:
            if len(strand.owners) == 1:
                (owner,) = strand.owners
                fed.setdefault(owner, set()).add((strand.path, strand.dim, len(strand.rows)))
        found = [fed.get(HeadId(site.index, head), set()) for head in range(site.heads)]
        return all(one == found[0] for one in found)

    def freed_by(self, heads: Collection[HeadId]) -> list[Strand]:
        """The strands that nothing needs once these heads are gone."""
        gone = frozenset(heads)
        return [strand for strand in self.heads if strand.owners <= gone]


_FOUND: weakref.WeakKeyDictionary[nn.Module, Wiring] = weakref.WeakKeyDictionary()


def find_wiring(model: LoadedModel) -> Wiring:
    """The wiring of a model, found once by one dry run."""
    anatomy = model.anatomy
    if model.module not in _FOUND:
        _FOUND[model.module] = trace(model.module, anatomy.sites, [block.projection for block in anatomy.blocks])
    return _FOUND[model.module]


def remember(module: nn.Module, wiring: Wiring) -> None:
    """Keep a wiring that was traced already."""
    _FOUND[module] = wiring


def trace(module: nn.Module, sites: Sequence[AttentionSite], blocks: Sequence[str]) -> Wiring:
    """Run a copy once and take derivatives at each site's and each block's projection.

    Args:
        blocks: Paths of the linear layers that may end a feed-forward block; those whose neurons can be told apart
            are in the result.
    """
    twin = twin_of(module, needs_gradients=True)
    tracer = _Tracer(twin, sites, set(blocks))
    with torch.enable_grad():
        run(twin, dry_run_inputs(module))
    return Wiring(tuple(tracer.strands()), tracer.spreads)


class _Tracer:
    """Cuts the graph at the output of every linear layer and collects derivatives with respect to these outputs."""

    def __init__(self, twin: nn.Module, sites: Sequence[AttentionSite], blocks: set[str]) -> None:
        self.sites = {site.projection: site for site in sites}
        self.offsets: dict[int, int] = {}
        for site in sites:
            self.offsets[site.index] = sum(s.heads for s in sites if s.index < site.index)
        self.total = sum(site.heads for site in sites)
        self.ids = [HeadId(site.index, head) for site in sites for head in range(site.heads)]
        self.blocks = blocks
        self.spreads: dict[str, tuple[Spread, ...]] = {}
        self.leaves: list[tuple[str, Tensor]] = []
        self.touched: dict[tuple[str, int | None], Tensor] = {}
        self.parameters = _parameters_by_head(twin, {site.heads for site in sites})
        self.done: set[str] = set()
        for path, child in twin.named_modules():
            if is_linear(child):
                child.register_forward_pre_hook(self._before(path))
                child.register_forward_hook(self._after(path))

    def _before(self, path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not args or path in self.done or not args[0].requires_grad:
                return
            if path in self.sites:
                self.done.add(path)
                self._look_at_heads(self.sites[path], args[0])
            elif path in self.blocks:
                self.done.add(path)
                self._look_at_neurons(path, args[0])

        return hook

    def _after(self, path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            first = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(first, Tensor) or not first.is_floating_point():
                return output
            leaf = first.detach().requires_grad_()
            self.leaves.append((path, leaf))
            copy = leaf.clone()  # models may write into what they get
            return (copy, *output[1:]) if isinstance(output, tuple) else copy

        return hook

    def _look_at_heads(self, site: AttentionSite, x: Tensor) -> None:
        names = [(path, None) for path, _ in self.leaves] + [(path, 0) for path in self.parameters]
        tensors = [leaf for _, leaf in self.leaves] + list(self.parameters.values())
        if not tensors:
            return
        weights = _weights(x.numel(), x.device).view(x.shape).to(x.dtype)
        for head in range(site.heads):
            part = slice(head * site.head_dim, (head + 1) * site.head_dim)
            total = (x[..., part] * weights[..., part]).sum()
            gradients = torch.autograd.grad(total, tensors, retain_graph=True, allow_unused=True)
            for (path, dim), gradient in zip(names, gradients, strict=True):
                if gradient is None:
                    continue
                if dim is None:
                    self._touch((path, None), _by_row(gradient).ne(0).any(0), site, head)
                else:
                    for along in range(gradient.dim()):
                        seen = gradient.movedim(along, 0).reshape(gradient.shape[along], -1).ne(0).any(1)
                        self._touch((path, along), seen, site, head)

    def _touch(self, key: tuple[str, int | None], rows: Tensor, site: AttentionSite, head: int) -> None:
        if key not in self.touched:
            self.touched[key] = torch.zeros(len(rows), self.total, dtype=torch.bool)
        self.touched[key][:, self.offsets[site.index] + head] |= rows.cpu()

    def _look_at_neurons(self, path: str, x: Tensor) -> None:
        """Weigh the neurons differently: a row that feeds one neuron alone shows that neuron's weight."""
        width = x.shape[-1]
        weights = _weights(width, x.device).to(x.dtype)
        if not self.leaves:
            return
        names, tensors = zip(*self.leaves, strict=True)
        plain = torch.autograd.grad(x.sum(), tensors, retain_graph=True, allow_unused=True)
        weighed = torch.autograd.grad((x * weights).sum(), tensors, retain_graph=True, allow_unused=True)
        tolerance = 1e-3 if x.dtype == torch.float32 else 5e-2
        found: dict[str, tuple[int, ...]] = {}
        for name, one, other in zip(names, plain, weighed, strict=True):
            if one is None or other is None:
                continue
            layout = _layout(_by_row(one), _by_row(other), weights, tolerance)
            if layout is not None:
                found[name] = layout
        if found:
            self.spreads[path] = tuple(Spread(name, layout) for name, layout in found.items())

    def strands(self) -> list[Strand]:
        """Rows with the same owners, together; parameters along the first dimension that tells heads apart."""
        found: list[Strand] = []
        told: set[str] = set()
        for (path, dim), touched in self.touched.items():
            if path in told:
                continue
            owners: dict[tuple[int, ...], list[int]] = {}
            for row, heads in enumerate(touched):
                owners.setdefault(tuple(heads.nonzero().flatten().tolist()), []).append(row)
            owners.pop((), None)
            if dim is not None:
                if not any(len(heads) == 1 for heads in owners):
                    continue
                told.add(path)
            for heads, rows in owners.items():
                found.append(Strand(path, dim, tuple(rows), frozenset(self.ids[i] for i in heads)))
        return found


def _parameters_by_head(twin: nn.Module, counts: set[int]) -> dict[str, Tensor]:
    """Parameters outside linear layers with a dimension that may count heads."""
    found: dict[str, Tensor] = {}
    for owner, child in twin.named_modules():
        if is_linear(child):
            continue
        for name, tensor in child.named_parameters(recurse=False):
            fits = any(size % count == 0 for size in tensor.shape for count in counts if count > 1)
            if fits and tensor.is_floating_point():
                found[f"{owner}.{name}" if owner else name] = tensor
    return found


def _by_row(gradient: Tensor) -> Tensor:
    return gradient.reshape(-1, gradient.shape[-1])


def _weights(count: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(count, generator=generator) + 0.5).to(device)


def _layout(one: Tensor, other: Tensor, weights: Tensor, tolerance: float) -> tuple[int, ...] | None:
    """Which neuron each row feeds, if each feeds just one, in one of the usual layouts.

    Args:
        one: ``(token, row)``: derivatives of the sum of all neurons.
        other: The same with each neuron weighed.
        weights: ``(neuron,)``.
    """
    rows, neurons = one.shape[-1], len(weights)
    if rows % neurons or not one.numel():
        return None
    token = one.abs().argmax(0, keepdim=True)
    one, other = one.gather(0, token)[0], other.gather(0, token)[0]
    alive = one != 0
    if alive.sum() < rows / 4:
        return None
    count = rows // neurons
    for layout in ([row % neurons for row in range(rows)], [row // count for row in range(rows)]):
        expected = one * weights[torch.tensor(layout, device=weights.device)]
        if bool(((other - expected).abs() <= tolerance * expected.abs())[alive].all()):
            return tuple(layout)
    return None
