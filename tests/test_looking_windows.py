"""Attention within windows of an image: put together over the image, against loops and against the layer's output."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from pruning.errors import UnsupportedError
from pruning.looking import attention_map, measure_patterns, similar_heads
from pruning.looking.watching import small_batches, watch
from pruning.masks import HeadId
from pruning.models import LoadedModel, wrap_model
from tests.families import examples_of
from tests.test_looking import TOLERANCE, hooks_of, naive, naive_divergence, over_the_image

WINDOWED = {"window_size": 4, "patch_size": 4, "embed_dim": 24, "depths": [2, 1], "num_heads": [2, 4]}
GRIDS = [(9, 9), (9, 9), (5, 5)]  # of 36 × 36 pixels: filled up to 12 × 12 and 8 × 8


@functools.cache
def windowed(version: int) -> LoadedModel:
    """A Swin whose windows go beyond the image, shifted in its second layer."""
    name = "Swinv2" if version == 2 else "Swin"
    config = getattr(transformers, f"{name}Config")(image_size=36, attn_implementation="eager", **WINDOWED)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        module = getattr(transformers, f"{name}ForImageClassification")(config).eval()
        for _, tensor in sorted(module.named_parameters()):
            tensor.data.add_(torch.randn_like(tensor) * 0.2)
    return wrap_model(module)


def pixels_of(row: int) -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(3, 36, 36, generator=torch.Generator().manual_seed(row))}


@pytest.mark.parametrize("version", [1, 2])
def test_windows_are_put_together_over_the_image(version: int) -> None:
    model, features = windowed(version), pixels_of(0)
    reported: list[np.ndarray] = []  # by each layer itself; the model hands out those of the last layer of a stage
    modules = [model.module.get_submodule(site.name) for site in model.anatomy.sites]
    handles = [one.register_forward_hook(lambda _, __, out: reported.append(out[1].numpy())) for one in modules]
    with torch.no_grad():
        model.module(pixel_values=features["pixel_values"][None], output_attentions=True)
    for handle in handles:
        handle.remove()
    for site, grid in enumerate(GRIDS):
        found = attention_map(model, features, site)
        wanted = over_the_image(reported[site], grid, 4, 2 if site == 1 else 0)
        np.testing.assert_allclose(found.weights, wanted, atol=TOLERANCE)
        assert found.queries.grid == found.keys.grid == grid
        window = found.window(grid[1] + 1)
        assert window is not None
        outside = np.setdiff1d(np.arange(grid[0] * grid[1]), window)
        assert len(outside)
        assert (found.weights[:, grid[1] + 1, outside] == 0).all()
        np.testing.assert_array_equal(found.row(1, 7), found.matrix(1)[7])
        assert found.weights.sum(-1).max() <= 1 + TOLERANCE
        assert found.weights.sum(-1).min() < 0.99, "some of it falls on what fills up the windows"


@pytest.mark.parametrize("site", [0, 1, 2])
def test_windowed_weights_times_values_are_what_the_layer_puts_out(site: int) -> None:
    """At every patch, whatever the windows; what fills them up has the value of zeros."""
    model, features = windowed(1), pixels_of(1)
    attention = model.module.get_submodule(model.anatomy.sites[site].name)
    layer = model.module.get_submodule(model.anatomy.sites[site].name.rpartition(".")[0])
    caught: dict[str, Tensor] = {}

    def keep(name: str, value: Tensor) -> None:  # the first time: afterwards the layer is run on numbers
        caught.setdefault(name, value)

    handles = [
        layer.register_forward_pre_hook(lambda _, args: keep("before", args[0])),
        layer.layernorm_before.register_forward_hook(lambda _, __, out: keep("normed", out)),
        layer.layernorm_after.register_forward_pre_hook(lambda _, args: keep("after", args[0])),
    ]
    found = attention_map(model, features, site)
    for handle in handles:
        handle.remove()
    weights = torch.from_numpy(found.weights)
    values = attention.v_proj(caught["normed"][0]).unflatten(-1, (len(weights), -1)).transpose(0, 1)
    padding = attention.v_proj.bias.unflatten(-1, (len(weights), -1))[:, None]
    mixed = weights @ values + (1 - weights.sum(-1, keepdim=True)) * padding
    put_out = attention.o_proj(mixed.transpose(0, 1).flatten(1))
    torch.testing.assert_close(caught["before"][0] + put_out, caught["after"][0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("version", [1, 2])
def test_patterns_within_windows_are_those_of_a_loop(version: int) -> None:
    model = windowed(version)
    rows = tuple(pixels_of(row) for row in range(3))
    examples = replace(examples_of("swin", 3), features=rows)
    patterns = measure_patterns(model, examples)
    assert not patterns.refused
    assert patterns.windowed == {0, 1, 2}
    wanted = np.array([[naive(row, [False] * len(row)) for row in _all_heads(model, one)] for one in rows])
    np.testing.assert_allclose(patterns.means, wanted.mean(0), atol=1e-4)
    np.testing.assert_allclose(patterns.errors, wanted.std(0, ddof=1) / 3**0.5, atol=1e-4)


def _all_heads(model: LoadedModel, features: dict[str, Tensor]) -> Iterator[np.ndarray]:
    """Of each head ``(patch, patch)``, what falls on the image adding up to one."""
    for site in range(3):
        for weights in attention_map(model, features, site).weights.astype(float):
            weights[weights < 1e-20] = 0
            yield weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize("head", [HeadId(0, 1), HeadId(2, 3)])
def test_heads_with_other_windows_are_compared_over_the_image(head: HeadId) -> None:
    model = windowed(1)
    rows = tuple(pixels_of(row) for row in range(3))
    examples = replace(examples_of("swin", 3), features=rows)
    found = [value for row in similar_heads(model, examples, head) for value in row]
    heads, each = list(model.anatomy.head_ids()), [list(_all_heads(model, one)) for one in rows]
    for other, value in zip(heads, found, strict=True):
        if GRIDS[other.site] != GRIDS[head.site]:
            assert np.isnan(value)
            continue
        own, its = heads.index(head), heads.index(other)
        assert value == pytest.approx(np.mean([naive_divergence(a[own], a[its]) for a in each]), abs=1e-5)


def test_a_single_window_may_be_larger_than_the_image() -> None:
    """3 × 3 patches in a window of 4 × 4: as many windows as images, and still not a token for each place."""
    model = windowed(2)
    found = attention_map(model, {"pixel_values": pixels_of(0)["pixel_values"][:, :12, :12]}, 0)
    assert found.weights.shape == (2, 9, 9)
    assert found.keys.grid == (3, 3)
    wanted = 1 - found.weights.sum(-1)
    padding = (found.places < 0) if found.places is not None else np.zeros(0)
    np.testing.assert_allclose((found.passes[0] * padding).sum(-1), wanted, atol=TOLERANCE)
    assert wanted.max() > 0.05


def test_a_batch_of_another_order_is_refused() -> None:
    """Places that are not the same in every image, or not each patch once, are no windows."""
    model = windowed(1)
    layer = model.module.get_submodule(model.anatomy.sites[0].name.rpartition(".")[0])
    usual = layer.cyclic_shift
    layer.cyclic_shift = lambda hidden, reverse=False: usual(hidden, reverse)[:, :, :1].expand_as(hidden).contiguous()
    try:
        with pytest.raises(UnsupportedError, match="what lies in which part"):
            attention_map(model, pixels_of(0), 0)
    finally:
        del layer.cyclic_shift


def test_large_images_come_in_smaller_batches() -> None:
    model = windowed(1)
    large = replace(examples_of("swin", 3), features=tuple({"pixel_values": torch.zeros(3, 2048, 2048)} for _ in "123"))
    assert [len(batch.positions) for batch in small_batches(model, large)] == [1, 1, 1]


def test_nothing_is_left_after_windows() -> None:
    model = windowed(1)
    assert model.anatomy.sites
    before = hooks_of(model.module)
    inputs = {"pixel_values": pixels_of(0)["pixel_values"][None]}
    with pytest.raises(ZeroDivisionError):
        watch(model, inputs, {0, 1}, lambda *_: 1 // 0, windows=True)
    attention_map(model, pixels_of(0), 1)
    assert hooks_of(model.module) == before
