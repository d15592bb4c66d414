"""Finding the stages of a model, and whether its last one can be narrowed, by watching one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pruning.attention import AttentionCall, observed, on_this_thread
from pruning.errors import PruningError
from pruning.linear import is_linear
from pruning.replay.stages import Narrowing, Stage

if TYPE_CHECKING:
    from pruning.models import LoadedModel


@contextmanager
def _watching(modules: Sequence[nn.Module], note: Callable[[nn.Module, tuple[Any, ...], dict, Any], None]) -> Iterator:
    handles = [one.register_forward_hook(on_this_thread(note), with_kwargs=True) for one in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def find_stages(model: LoadedModel, feeders: dict[int, tuple[str, ...]], run: Callable[[], Any]) -> tuple[Stage, ...]:
    """The layers in the order of execution; none where they are not run one after the other, each once.

    Args:
        feeders: As `feeders_of` gives them.
        run: A forward pass of the model.
    """
    anatomy, module = model.anatomy, model.module
    layers = {module.get_submodule(layer.name): layer for layer in anatomy.layers}
    projections = {module.get_submodule(site.projection): site.index for site in anatomy.sites}
    outputs: list[tuple[int, Any]] = []
    calls: list[int] = []

    def note(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if part in layers:
            outputs.append((layers[part].index, output))
        else:
            calls.append(projections[part])

    with _watching([*layers, *projections], note), torch.inference_mode():
        run()
    if len({index for index, _ in outputs}) < len(outputs) or len(outputs) < len(layers):
        return ()
    stages = []
    for number, (index, output) in enumerate(outputs):
        layer, extras = anatomy.layers[index], _extras(output)
        if extras is False:
            return ()
        site = layer.sites[0] if len(layer.sites) == 1 and calls.count(layer.sites[0]) == 1 else None
        projection = anatomy.sites[site].projection if site is not None else ""
        fed = feeders.get(site, ()) if site is not None else ()
        stages.append(Stage(number, layer.name, extras, site, projection, fed))
    return tuple(stages)


def _extras(output: Any) -> int | bool | None:
    """How many ``None`` follow the hidden states; ``None`` for a plain tensor, False for anything else."""
    if isinstance(output, Tensor):
        return None
    if type(output) is tuple and output and isinstance(output[0], Tensor) and all(one is None for one in output[1:]):
        return len(output) - 1
    return False


def feeders_of(model: LoadedModel) -> dict[int, tuple[str, ...]]:
    """The linear layers that feed the heads of one site and nothing else, by the site's index."""
    from pruning.wiring import find_wiring

    try:
        wiring = find_wiring(model)
    except (PruningError, RuntimeError):
        return {}
    sites: dict[str, set[int]] = {}
    for strand in wiring.heads:
        if strand.dim is None and is_linear(model.module.get_submodule(strand.path)):
            sites.setdefault(strand.path, set()).update(owner.site for owner in strand.owners)
    found: dict[int, tuple[str, ...]] = {}
    for path, owners in sites.items():
        if len(owners) == 1:
            (site,) = owners
            found[site] = (*found.get(site, ()), path)
    return found


def find_narrowing(module: nn.Module, stage: Stage, run: Callable[[], Any]) -> Narrowing | None:
    """How to run the last stage for the first position alone, if its keys and values come from layers of their own.

    Args:
        run: A forward pass of the module.
    """
    layer = module.get_submodule(stage.path)
    inputs: dict[nn.Module, tuple[Any, Any]] = {}
    calls: list[AttentionCall] = []

    def note(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = args[0] if args else kwargs.get("hidden_states")
        inputs[part] = given, output

    with _watching(list(layer.modules()), note), observed(calls.append), torch.inference_mode():
        run()
    feeders = [module.get_submodule(path) for path in stage.feeders]
    if not calls or layer not in inputs or any(feeder not in inputs for feeder in feeders):
        return None
    call, entered = calls[-1], inputs[layer][0]
    readers = tuple(f for f in feeders if any(_holds(inputs[f][1], tensor) for tensor in (call.key, call.value)))
    read = [inputs[reader][0] for reader in readers]
    if len(readers) != 2 or read[0] is not read[1]:
        return None
    if read[0] is entered:
        return Narrowing(readers)
    norms = [part for part, (given, output) in inputs.items() if given is entered and output is read[0]]
    return Narrowing(readers, norms[0]) if norms else None


def _holds(output: Tensor, tensor: Tensor) -> bool:
    """Whether ``(batch, head, token, head_dim)`` is ``(batch, token, head * head_dim)`` in another order."""
    flat = tensor.transpose(1, 2).flatten(2)
    return flat.shape == output.shape and torch.equal(flat, output)
