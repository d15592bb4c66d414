"""What the conformance checks hold the engine against: hooks, inputs and a comparison of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from pruning.anatomy import AttentionSite, Layer
from pruning.inputs import dry_run_inputs, outputs

TOKENS = 9  # the engine looks at 7 and 11
PADDED_TOKENS = 2
CONTENT = ("pixel_values", "pixel_values_videos", "input_values", "input_features", "past_values")
KERNEL = "scaled_dot_product_attention"
Values = dict[str, Tensor]


# Inputs -----------------------------------------------------------------------------------------------------------


def example_inputs(module: nn.Module) -> Values:
    """Two examples that differ, where the model takes two; else one."""
    for batch in (2, 1):
        try:
            inputs = _told_apart(dry_run_inputs(module, TOKENS, batch), batch)
            values_of(module, inputs)
        except Exception:  # whatever keeps this model from two examples, one is enough
            continue
        return inputs
    return dry_run_inputs(module)


def _told_apart(inputs: Values, batch: int) -> Values:
    """The second example gets noise in its images and sounds, and its words the other way round."""
    changed = dict(inputs)
    generator = torch.Generator().manual_seed(1)
    for name, value in inputs.items():
        half = len(value) // batch
        if batch == 2 and name in CONTENT:
            noise = 0.5 * torch.randn(value[half:].shape, generator=generator)
            changed[name] = torch.cat([value[:half], value[half:] + noise.to(value)])
        elif batch == 2 and name in ("input_ids", "decoder_input_ids") and not any(key in inputs for key in CONTENT):
            second = torch.cat([value[half:, :1], value[half:, 1:-1].flip(1), value[half:, -1:]], dim=1)
            changed[name] = torch.cat([value[:half], second])
    return changed


def padded_inputs(inputs: Values) -> Values | None:
    """The same, with the end of the second example masked; ``None`` for models that take no such mask."""
    mask, ids = inputs.get("attention_mask"), inputs.get("input_ids")
    if mask is None or ids is None or mask.shape != ids.shape or len(mask) != 2 or mask.shape[1] <= PADDED_TOKENS:
        return None
    mask = mask.clone()
    mask[1, -PADDED_TOKENS:] = 0
    return {**inputs, "attention_mask": mask}


def real_tokens(found: Values, inputs: Values) -> Values:
    """What the model says of tokens that are not padding, and of whole examples."""
    mask = inputs.get("attention_mask")
    if mask is None or bool(mask.all()):
        return found
    return {name: value[mask.bool()] if value.shape[:2] == mask.shape else value for name, value in found.items()}


def values_of(module: nn.Module, inputs: Values) -> Values:
    """Every tensor of real numbers that comes out, by its name."""
    with torch.no_grad():
        return outputs(module, inputs)


# Comparison -------------------------------------------------------------------------------------------------------


def difference(found: Values, expected: Values, *, relative: bool = False) -> float:
    """Largest difference over all outputs; infinite where one is missing, or finite in one of the two only.

    Args:
        relative: Divide by the largest value of each output where that is above one.
    """
    worst = 0.0
    for name, value in expected.items():
        if name not in found or found[name].shape != value.shape:
            return float("inf")
        a, b = found[name].double(), value.double()
        real = b.isfinite()
        if not torch.equal(a.isfinite(), real) or not torch.equal(a[~real].nan_to_num(), b[~real].nan_to_num()):
            return float("inf")
        if real.any():
            scale = max(1.0, float(b[real].abs().max())) if relative else 1.0
            worst = max(worst, float((a[real] - b[real]).abs().max()) / scale)
    return worst


def without_recorded(found: Values, kinds: str) -> Values:
    """Without what the model recorded of these kinds, layer by layer."""
    return {name: value for name, value in found.items() if not re.search(rf"({kinds})(\.\d+)+$", name)}


def has_nan(found: Values) -> bool:
    return any(bool(value.isnan().any()) for value in found.values())


# Hooks ------------------------------------------------------------------------------------------------------------


@contextmanager
def columns_zeroed(module: nn.Module, projection: str, columns: Collection[int]) -> Iterator[None]:
    """Put zeros into some features of what a linear layer receives."""
    index = torch.tensor(sorted(columns))

    def hook(layer: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return args[0].index_fill(-1, index.to(args[0].device), 0.0), *args[1:]

    handle = module.get_submodule(projection).register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def layer_skipped(module: nn.Module, layer: Layer) -> Iterator[None]:
    """Let a layer hand out what it received."""

    def hook(child: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        first = output if isinstance(output, Tensor) else output[0]
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        received = next(value for value in tensors if value.shape == first.shape)
        if isinstance(output, Tensor):
            return received
        if hasattr(output, "_fields"):
            return output._replace(**{output._fields[0]: received})
        return received, *output[1:]

    handle = module.get_submodule(layer.name).register_forward_hook(hook, prepend=True, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


Changes = Callable[[str, Tensor], Tensor]


@contextmanager
def _attention_patched(change: Changes) -> Iterator[None]:
    """Pass what torch's attention kernel and its softmax give through a function that gets their name, too."""

    def patched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: change(name, function(*args, **kwargs))

    places = ((nn.functional, KERNEL), (nn.functional, "softmax"), (torch, "softmax"), (Tensor, "softmax"))
    with ExitStack() as stack:
        for owner, name in places:
            stack.enter_context(mock.patch.object(owner, name, patched(name, getattr(owner, name))))
        yield


@contextmanager
def _followed(modules: Iterable[tuple[str, nn.Module]], running: list[str]) -> Iterator[None]:
    """Keep in ``running`` the paths of those modules that run at the moment, the innermost last."""

    def leave(*_: Any) -> None:
        running.pop()

    with ExitStack() as stack:
        for path, child in modules:
            stack.enter_context(child.register_forward_pre_hook(lambda *_, path=path: running.append(path)))
            stack.enter_context(child.register_forward_hook(leave, always_call=True))
        yield


@contextmanager
def attention_zeroed(module: nn.Module, site: AttentionSite, head: int) -> Iterator[list[str]]:
    """Put zeros in the place of one head where torch itself attends, inside one attention module.

    Yields:
        The functions of torch in which that happened; none where the module computes attention in another way.
    """
    running, seen = list[str](), list[str]()

    def change(name: str, found: Tensor) -> Tensor:
        if running and found.dim() == 4 and found.shape[1] == site.heads:  # (batch, head, query, key or width)
            seen.append(name)
            return found.index_fill(1, torch.tensor([head]), 0.0)
        return found

    with _followed([(site.name, module.get_submodule(site.name))], running), _attention_patched(change):
        yield seen


@contextmanager
def attention_seen(module: nn.Module) -> Iterator[list[str]]:
    """Collect the paths of the modules in which torch attends: in its kernel, or, by name, in a softmax over scores."""
    running, seen = list[str](), list[str]()
    named = {path for path, child in module.named_modules() if re.search("attention|attn", type(child).__name__, re.I)}

    def change(name: str, found: Tensor) -> Tensor:
        path = running[-1] if running else ""
        if path not in seen and (name == KERNEL or (path in named and found.dim() >= 4)):
            seen.append(path)
        return found

    with _followed(module.named_modules(), running), _attention_patched(change):
        yield seen


@contextmanager
def inputs_seen(module: nn.Module, projection: str) -> Iterator[list[Tensor]]:
    """Collect what a linear layer receives."""
    seen: list[Tensor] = []
    child = module.get_submodule(projection)
    handle = child.register_forward_pre_hook(lambda layer, args: seen.append(args[0].detach().clone()))
    try:
        yield seen
    finally:
        handle.remove()


# Attention implementations ------------------------------------------------------------------------------------------


@contextmanager
def attending_with(implementation: str, *modules: nn.Module) -> Iterator[bool]:
    """Let modules attend with ``sdpa`` or ``eager``, and as before afterwards.

    Yields:
        Whether all of them do.
    """
    configs = {id(c): c for module in modules for child in module.modules() if (c := _config_of(child)) is not None}
    before = {key: config._attn_implementation_internal for key, config in configs.items()}
    try:
        try:
            for module in modules:
                module.set_attn_implementation(implementation)
            done = all(module.config._attn_implementation == implementation for module in modules)
        except (ValueError, ImportError):
            done = False
        yield done
    finally:
        for key, config in configs.items():
            config._attn_implementation_internal = before[key]


def _config_of(module: nn.Module) -> Any:
    config = getattr(module, "config", None)
    return config if hasattr(config, "_attn_implementation_internal") else None
