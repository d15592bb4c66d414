"""One forward pass with somebody looking at the attention weights of some sites."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruning.errors import UnsupportedError
from pruning.language import Later, later

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.attention import AttentionCall
    from pruning.models import LoadedModel
    from pruning.tasks import Batch, Examples

WINDOWED = later(
    "it attends within windows of the image, one window at a time, so there is no attention over the whole image"
)
CLOSED = later("its attention is computed in a way of its own, where the weights cannot be seen")
WEIGHTS = 1 << 24  # of one site and batch: 64 MiB in float32


@dataclass
class Words:
    """Token ids ``(example, token)`` of what the encoder and the decoder read; ``None`` where there are none."""

    source: Tensor | None
    target: Tensor | None = None

    def of(self, kind: str, side: str) -> Tensor | None:
        """Those of one side (``query`` or ``key``) of a site; only encoder–decoder models have a target."""
        if self.target is None or "decoder" not in kind:
            return self.source
        return self.source if "cross" in kind and side == "key" else self.target


Look = Callable[[int, "Tensor", Words], None]  # site, weights (example, head, query, key), what they are between


def watch(model: LoadedModel, inputs: dict[str, Tensor], sites: Collection[int], look: Look) -> dict[int, Later]:
    """Run the model and hand on the weights of every attention call of some sites, in the order of the calls.

    Returns:
        Why, for each site whose weights cannot be seen.
    """
    import torch

    from pruning.attention import attention_probabilities, observed

    index = {model.module.get_submodule(site.name): site.index for site in model.anatomy.sites}
    examples, words = len(next(iter(inputs.values()))), Words(inputs.get("input_ids"))
    refused, seen = {}, set()

    def observe(call: AttentionCall) -> None:
        site = index.get(call.module)
        if site is None or site not in sites:
            return
        if len(call.query) != examples:
            refused[site] = WINDOWED
            return
        try:
            weights = attention_probabilities(call)
        except UnsupportedError:
            refused[site] = CLOSED
            return
        seen.add(site)
        look(site, weights, words)

    with _target_noted(model.module, words), observed(observe), torch.inference_mode():
        model.module(**inputs)
    return {site: refused.get(site, CLOSED) for site in sites if site in refused or site not in seen}


@contextmanager
def _target_noted(module: Any, words: Words) -> Iterator[None]:
    """Note what the decoder of an encoder–decoder model reads: often the model makes that of its own accord."""
    from pruning.attention import on_this_thread

    if not getattr(module.config, "is_encoder_decoder", False):
        yield
        return

    def note(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        words.target = kwargs.get("input_ids", args[0] if args else None)

    handle = module.get_decoder().register_forward_pre_hook(on_this_thread(note), with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def special_ids(model: LoadedModel) -> frozenset[int]:
    """Tokens that are no part of a text: separators, beginnings and ends."""
    known = getattr(model.processor, "all_special_ids", None)
    if known is None:
        names = ("bos", "eos", "pad", "cls", "sep")
        known = [getattr(model.module.config, f"{name}_token_id", None) for name in names]
    return frozenset(i for one in known for i in (one if isinstance(one, list | tuple) else [one]) if i is not None)


def small_batches(model: LoadedModel, examples: Examples) -> Iterator[Batch]:
    """The examples in batches whose attention weights fit into memory."""
    from pruning.tasks import batches

    length = max((len(row.get("input_ids", ())) for row in examples.features), default=0) or 256
    heads = max((site.heads for site in model.anatomy.sites), default=1)
    size = max(1, min(32, WEIGHTS // (heads * length * length)))
    return batches(examples, size if model.anatomy.per_example else 1, model.device)
