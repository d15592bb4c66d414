"""One forward pass with somebody looking at the attention weights of some sites."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pruning.language import Later, later
from pruning.looking.windows import LayerCall, Windows, find_windows

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pruning.anatomy import AttentionSite
    from pruning.models import LoadedModel
    from pruning.tasks import Batch, Examples

WINDOWED = later(
    "it attends within windows of the image, one window at a time, so there is no attention over the whole image"
)
PARTS = later(
    "it computes attention in several parts for each example, and what lies in which part cannot be found out"
)
CLOSED = later("its attention is computed in a way of its own, where the weights cannot be seen")
REORDERED = ("Hiera",)  # classes that hold patches by the unit that is masked as one, not in reading order
WEIGHTS = 1 << 24  # of one site and batch: 64 MiB in float32


@dataclass
class Words:
    """What attention is between.

    Attributes:
        source, target: Token ids ``(example, token)`` of what the encoder and the decoder read; ``None`` where there
            are none.
        windows: Of the sites that attend within windows of the image.
    """

    source: Tensor | None
    target: Tensor | None = None
    windows: dict[int, Windows] = field(default_factory=dict)

    def of(self, kind: str, side: str) -> Tensor | None:
        """Those of one side (``query`` or ``key``) of a site; only encoder–decoder models have a target."""
        if self.target is None or "decoder" not in kind:
            return self.source
        return self.source if "cross" in kind and side == "key" else self.target


# Site, weights (example, head, query, key), what they are between. Within windows the last dimension counts the places
# of the query's own window instead: `Words.windows` says which patches these are.
Look = Callable[[int, "Tensor", Words], None]


def watch(
    model: LoadedModel, inputs: dict[str, Tensor], sites: Collection[int], look: Look, *, windows: bool = False
) -> dict[int, Later]:
    """Run the model and hand on the attention weights of some sites, for each site in the order of its calls.

    What goes through transformers' attention interface is recomputed from what it received; other weights are those
    whose product with the values enters the site's projection.

    Args:
        windows: Hand on attention within windows, too, after everything else; else it is refused.

    Returns:
        Why, for each site whose weights cannot be seen.
    """
    import torch

    from pruning.attention_products import attention_seen

    seeing = _Seeing(model, inputs, sites, look)
    with _target_noted(model.module, seeing.words), seeing.hooks(), torch.inference_mode():
        with attention_seen(model.module, seeing.sites, seeing.take, seeing.refuse):
            model.module(**inputs)
        if windows:
            seeing.join_windows()
    unseen = {site: WINDOWED if site in seeing.in_parts else CLOSED for site in set(sites) - seeing.seen}
    return unseen | seeing.refused


class _Seeing:
    """What is known of one forward pass."""

    def __init__(self, model: LoadedModel, inputs: dict[str, Tensor], sites: Collection[int], look: Look) -> None:
        self.module, self.inputs, self.look = model.module, inputs, look
        self.sites = [site for site in model.anatomy.sites if site.index in sites]
        self.examples, self.words = len(next(iter(inputs.values()))), Words(inputs.get("input_ids"))
        self.refused: dict[int, Later] = {}
        self.seen: set[int] = set()
        self.layers: dict[int, LayerCall] = {}
        self.parts: list[tuple[AttentionSite, LayerCall | None, Tensor]] = []

    @contextmanager
    def hooks(self) -> Iterator[None]:
        """Watch the layers around attention that may be within windows."""
        from pruning.attention import on_this_thread

        handles = []
        try:
            for site in self.sites:
                for path in _around(site.name) if "vision" in site.kind else ():
                    watch_layer = on_this_thread(partial(self._on_layer, site))
                    layer = self.module.get_submodule(path)
                    handles.append(layer.register_forward_pre_hook(watch_layer, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def refuse(self, site: AttentionSite) -> None:
        """A site whose weights cannot be seen."""
        self.refused[site.index] = CLOSED

    def _on_layer(self, site: AttentionSite, layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Note the innermost module around the attention that still sees whole examples, and best their grid, too."""
        import torch

        first = args[0] if args else None
        if not isinstance(first, torch.Tensor) or first.dim() not in (3, 4) or len(first) != self.examples:
            return
        call, known = LayerCall(layer, first.shape, first.new_empty(0), args[1:], named), self.layers.get(site.index)
        if known is None or call.stated or not known.stated:
            self.layers[site.index] = call

    def take(self, site: AttentionSite, weights: Tensor) -> None:
        """The weights of one call."""
        layer = self.layers.get(site.index)
        if type(self.module.get_submodule(site.name)).__name__.startswith(REORDERED):
            self.refused[site.index] = PARTS
            return
        queries, keys = weights.shape[-2:]
        padded = layer is not None and layer.stated is not None and queries == keys != layer.patches
        if len(weights) != self.examples or padded:
            self.parts.append((site, layer, weights))
            return
        self.seen.add(site.index)
        self.look(site.index, weights, self.words)

    @property
    def in_parts(self) -> set[int]:
        return {site.index for site, _, _ in self.parts}

    def join_windows(self) -> None:
        """Put the windows of each image together."""
        from pruning.looking.maps import patch_grid

        for site, layer, weights in self.parts:
            windows = self.words.windows.get(site.index)
            if windows is None and layer is not None:
                grid = patch_grid(self.inputs, layer.patches)
                windows = find_windows(layer, self.module.get_submodule(site.name), grid)
            if windows is None or windows.places.numel() * self.examples != len(weights) * weights.shape[-1]:
                self.refused[site.index] = PARTS
                continue
            self.words.windows[site.index] = windows
            self.seen.add(site.index)
            self.look(site.index, windows.by_patch(weights), self.words)


def _around(path: str) -> list[str]:
    """Modules around one, the outermost first, without the model itself.

    >>> _around("vit.layer.attention")
    ['vit', 'vit.layer']
    """
    names = path.split(".")
    return [".".join(names[:count]) for count in range(1, len(names))]


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

    heads = max((site.heads for site in model.anatomy.sites), default=1)
    size = max(1, min(32, WEIGHTS // (heads * _pairs(model, examples))))
    return batches(examples, size if model.anatomy.per_example else 1, model.device)


def _pairs(model: LoadedModel, examples: Examples) -> int:
    """Queries times keys of one example, or a guess where the configuration does not tell patches."""
    length = max((len(row.get("input_ids", ())) for row in examples.features), default=0)
    patch, window = (getattr(model.module.config, name, None) for name in ("patch_size", "window_size"))
    pixels = next((row["pixel_values"].shape for row in examples.features if "pixel_values" in row), None)
    if length or pixels is None or not isinstance(patch, int):
        return (length or 256) ** 2
    patches = (pixels[-2] // patch) * (pixels[-1] // patch) + 2
    return patches * (min(patches, window**2) if isinstance(window, int) else patches)
