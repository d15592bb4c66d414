"""Attention maps, average patterns and similar heads, against eager attention and against loops in numpy."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from scipy.spatial.distance import jensenshannon
from torch import Tensor, nn

from pruning import load_model
from pruning.anatomy import AttentionSite
from pruning.attention_products import Products
from pruning.errors import Cancelled, DataError, UnsupportedError
from pruning.looking import (
    OFFSETS,
    STATISTICS,
    HeadPattern,
    attention_map,
    features_of_text,
    image_of,
    measure_patterns,
    similar_heads,
)
from pruning.looking.maps import patch_grid
from pruning.looking.watching import watch
from pruning.masks import HeadId
from pruning.models import LoadedModel, wrap_model
from pruning.statistics import Estimate
from tests.families import (
    CLS,
    EOS,
    FAMILIES,
    NAMES,
    PAD,
    examples_of,
    features_of,
    inputs_of,
    logits_of,
    model_of,
    tokenizer_of,
)

SEVERAL = ["bert", "albert", "gpt2-lm", "bart", "vit", "deberta-v2", "bloom-lm"]
TOLERANCE = 1e-5  # float32 sums in another order


@functools.cache
def eager_of(name: str) -> Any:
    """The family under eager attention; the usual one caps no logits."""
    caps = {"attn_logit_softcapping": None} if name == "gemma2-lm" else {}
    return FAMILIES[name].build(attn_implementation="eager", **caps)


def over_the_image(windows: np.ndarray, grid: tuple[int, int], window: int, shift: int) -> np.ndarray:
    """Swin's windows of one image, ``(window, head, place, place)``, as ``(head, patch, patch)``, patch by patch.

    The image is filled up to whole windows and rolled up and to the left by the shift before it is cut.
    """
    rows, columns = (-(-size // window) * window for size in grid)
    found = np.zeros((windows.shape[1], grid[0] * grid[1], grid[0] * grid[1]), np.float32)

    def place(row: int, column: int) -> tuple[int, int]:
        row, column = (row - shift) % rows, (column - shift) % columns
        return row // window * (columns // window) + column // window, row % window * window + column % window

    places = [place(patch // grid[1], patch % grid[1]) for patch in range(grid[0] * grid[1])]
    for query, (own, at) in enumerate(places):
        for key, (other, to) in enumerate(places):
            if own == other:
                found[:, query, key] = windows[own, :, at, to]
    return found


def expected(name: str, features: dict[str, Any]) -> list[list[np.ndarray]]:
    """What the model itself reports, ``[site][pass]`` of ``(head, query, key)``."""
    inputs = {key: torch.as_tensor(value)[None] for key, value in features.items()}
    with torch.no_grad():
        out = eager_of(name)(**inputs, output_attentions=True)
    if "encoder_attentions" in out:
        rows = [*out.encoder_attentions]
        for own, cross in zip(out.decoder_attentions, out.cross_attentions, strict=True):
            rows += [own, cross]
        return [[row[0].numpy()] for row in rows]
    if name == "swin":  # 8 × 8 patches in four windows, then 4 × 4 in one
        shapes = (8, 8), (4, 4)
        return [[over_the_image(row.numpy(), shape, 4, 0)] for row, shape in zip(out.attentions, shapes, strict=True)]
    if name == "albert":
        return [[row[0].numpy() for row in out.attentions]]
    return [[row[0].numpy()] for row in out.attentions]


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_what_eager_attention_reports(name: str) -> None:
    model, features = model_of(name), features_of(name, 0, 6)
    for site, wanted in enumerate(expected(name, features)):
        found = attention_map(model, features, site)
        assert found.weights.dtype == np.float32
        assert len(found.passes) == len(wanted)
        for run, one in enumerate(wanted):
            for head, weights in enumerate(one):
                np.testing.assert_allclose(found.matrix(head, run), weights, atol=TOLERANCE)
        assert found.weights.shape[1:] == (len(found.queries), len(found.keys))


class Unseen(nn.Module):
    """Attention whose rows are no shares: each entry is a share of its own."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.__dict__["parts"] = attention

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        query, key, value = (
            part(hidden_states).unflatten(-1, (4, 8)).transpose(1, 2)
            for part in (self.parts.query_proj, self.parts.key_proj, self.parts.value_proj)
        )
        return ((query @ key.transpose(2, 3)).sigmoid() @ value).transpose(1, 2).flatten(2), None


def test_what_cannot_be_seen_says_why() -> None:
    model = wrap_model(FAMILIES["deberta-v2"].build())
    anatomy = model.anatomy
    attention = model.module.get_submodule(anatomy.sites[0].name)
    attention.forward = Unseen(attention).forward
    with pytest.raises(UnsupportedError, match="cannot be seen"):
        attention_map(model, features_of("deberta-v2", 0, 6), 0)
    with pytest.raises(UnsupportedError, match="cannot be seen"):
        similar_heads(model, examples_of("deberta-v2", 2), HeadId(0, 0))
    patterns = measure_patterns(model, examples_of("deberta-v2", 2))
    assert "cannot be seen" in str(patterns.refused[0])
    assert patterns.of(HeadId(0, 0)) is None
    assert patterns.of(HeadId(1, 0)) is not None


# Texts and images -------------------------------------------------------------------------------------------------


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "bmm": lambda q, k, v: torch.bmm(shares(q, k).flatten(0, 1), v.flatten(0, 1)).view(2, 4, 5, 8).transpose(1, 2),
    "einsum": lambda q, k, v: torch.einsum("bnij,bjnd->bind", shares(q, k), v.transpose(1, 2)),
    "einsum of a list": lambda q, k, v: torch.einsum("bhij, bhjd -> bhid", [shares(q, k), v]).transpose(1, 2),
    "kernel": lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2),
    "sequence first": lambda q, k, v: (shares(q, k) @ v).permute(2, 0, 1, 3),
}


def shares(query: Tensor, key: Tensor) -> Tensor:
    return (query @ key.transpose(2, 3)).softmax(-1)


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_found_by_the_product_they_enter(way: str) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 4, size, 8, generator=generator) for size in (5, 6, 6))
    site = AttentionSite(0, "", "", "encoder self", 4, 4, 8)
    with Products() as products:
        projected = WAYS[way](query, key, value).flatten(2)
    assert products.found(site, projected + 1e-3) is None, "what is projected is something else"
    found = products.found(site, projected)
    assert found is not None
    torch.testing.assert_close(found, shares(query, key), atol=TOLERANCE, rtol=0)
    assert products.found(site, projected) is None, "it is forgotten"


def test_patches_in_an_order_of_their_own_are_refused() -> None:
    """Hiera holds them by mask unit: a map over the image would be wrong, though its weights are known."""
    settings = {"embed_dim": 16, "num_heads": [1, 2], "depths": [1, 1], "image_size": [32, 32], "num_query_pool": 1}
    settings |= {"patch_stride": [4, 4], "patch_size": [7, 7], "masked_unit_size": [4, 4], "embed_dim_multiplier": 2.0}
    model = wrap_model(transformers.HieraForImageClassification(transformers.HieraConfig(**settings)).eval())
    with pytest.raises(UnsupportedError, match="what lies in which part"):
        attention_map(model, features_of("vit", 0, 0), 0)


def test_padding_is_left_out() -> None:
    model, features = model_of("bert"), features_of("bert", 0, 6)
    padded = {"input_ids": [*features["input_ids"], PAD, PAD], "attention_mask": [1] * 6 + [0] * 2}
    np.testing.assert_allclose(
        attention_map(model, padded, 1).weights, attention_map(model, features, 1).weights, atol=TOLERANCE
    )
    padded = {"input_ids": [*features["input_ids"], PAD], "attention_mask": [1] * 6 + [0]}
    crossed = attention_map(model_of("t5-generation"), {**padded, "decoder_input_ids": features["input_ids"][:4]}, 3)
    assert crossed.weights.shape == (4, 4, 6)
    np.testing.assert_allclose(crossed.weights.sum(-1), 1.0, atol=TOLERANCE)


def test_a_causal_mask_is_respected() -> None:
    weights = attention_map(model_of("gpt2-lm"), features_of("gpt2-lm", 0, 6), 1).weights
    assert (weights[:, *np.triu_indices(6, 1)] == 0).all()


def test_both_sides_have_their_tokens() -> None:
    bare = model_of("t5")
    model = replace(bare, processor=tokenizer_of("bart"))
    model.__dict__["anatomy"] = bare.anatomy
    features = features_of_text(model, "w1 w2 w3")
    crossed = attention_map(model, features, 3)
    assert crossed.keys.tokens == ("w1", "w2", "w3", "</s>")
    assert crossed.queries.tokens == ("[PAD]", "w1", "w2", "w3")  # what T5 makes of it for its decoder
    assert crossed.keys.special == (False, False, False, True)
    assert attention_map(bare, features, 0).keys.tokens[-1] == f"#{EOS}"
    with pytest.raises(DataError, match="type a sentence"):
        features_of_text(model, "  ")


@pytest.mark.parametrize(("name", "before"), [("vit", 1), ("deit", 2)])
def test_patches_have_their_places(name: str, before: int) -> None:
    features = features_of(name, 0, 0)
    side = attention_map(model_of(name), features, 0).keys
    assert side.grid == (4, 4)
    assert sum(side.special) == before
    assert side.tokens[before:][5] == "row 2, column 2"
    picture = image_of(model_of(name), features)
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert (picture.min(), picture.max()) == (0, 255)


def test_patch_grids() -> None:
    wide = {"pixel_values": torch.zeros(1, 3, 32, 64)}
    assert patch_grid(wide, 8) == (2, 4)
    assert patch_grid(wide, 9) == (2, 4)
    assert patch_grid({"pixel_values": torch.zeros(1, 3, 224, 224)}, 261) == (16, 16)
    assert patch_grid({"input_ids": torch.zeros(1, 3)}, 9) is None


# Patterns ---------------------------------------------------------------------------------------------------------


def naive(weights: np.ndarray, special: list[bool]) -> np.ndarray:
    """The statistics of one head on one example, query by query."""
    rows = []
    for i, row in enumerate(weights):
        if (row > 0).sum() < 2:
            continue
        seen = row[row > 0]
        effective = float(2 ** -(seen * np.log2(seen)).sum())
        found = dict.fromkeys(STATISTICS, 0.0)
        for j, share in enumerate(row):
            offset = j - i
            name = f"{offset:+d}" if abs(offset) <= OFFSETS else "further ahead" if offset > 0 else "further back"
            found[name] += share
            found["distance"] += share * abs(offset)
            found["first"] += share * (j == 0)
            found["special"] += share * special[j]
            found["separator"] += share * (special[j] and j > 0)
        rows.append([*(found | {"effective": effective, "broad": effective / (row > 0).sum()}).values()])
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("name", SEVERAL)
def test_patterns_are_those_of_a_loop(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 6)
    if name == "bert":  # longer than the profile
        rows = tuple(features_of(name, row, 12) for row in range(4))
        examples = replace(examples, features=rows, keys=(12,) * 4)
    patterns = measure_patterns(model, examples)
    each = []
    for features in examples.features:
        rows = []
        for site, passes in enumerate(expected(name, features)):
            keys = attention_map(model, features, site).keys
            for head in range(4):
                rows.append(np.mean([naive(one[head], list(keys.special)) for one in passes], axis=0))
        each.append(rows)
    wanted = np.array(each)
    assert any(attention_map(model, examples.features[0], 0).keys.special)
    np.testing.assert_allclose(patterns.means, wanted.mean(0), atol=1e-5)
    np.testing.assert_allclose(patterns.errors, wanted.std(0, ddof=1) / len(wanted) ** 0.5, atol=1e-5)
    assert patterns.examples == len(examples)
    found = patterns.of(HeadId(0, 3))
    assert found is not None
    assert found.at(-1).value == pytest.approx(wanted.mean(0)[3][STATISTICS.index("-1")], abs=1e-5)
    assert sum(one.value for one in found.profile) == pytest.approx(1, abs=1e-5)


def pattern(**given: float) -> HeadPattern:
    """One with these shares; everything else is little."""

    def sure(value: float) -> Estimate:
        return Estimate(value, value, value)

    offsets = {"previous": -1, "same": 0, "next": 1}
    profile = [sure(0.02)] * (2 * OFFSETS + 3)
    for name, offset in offsets.items():
        profile[offset + OFFSETS + 1] = sure(given.get(name, 0.05))
    names = ("first", "special", "separator", "effective", "broad", "distance")
    return HeadPattern(*(sure(given.get(name, 0.1)) for name in names), profile=tuple(profile), examples=9)


@pytest.mark.parametrize(
    ("given", "label"),
    [
        ({"previous": 0.62, "broad": 0.7}, "previous"),
        ({"next": 0.4}, "next"),
        ({"same": 0.45, "first": 0.44}, "same"),
        ({"first": 0.5}, "first"),
        ({"separator": 0.5, "special": 0.9}, "separator"),
        ({"broad": 0.6, "first": 0.39}, "broad"),
        ({"broad": 0.59}, "mixed"),
    ],
)
def test_a_head_is_named_after_what_it_does_most(given: dict[str, float], label: str) -> None:
    assert pattern(**given).label == label


def test_labels_name_every_head_that_is_seen() -> None:
    labels = measure_patterns(model_of("swin"), examples_of("swin", 2)).labels()
    assert sorted(labels) == [*(HeadId(0, head) for head in range(2)), *(HeadId(1, head) for head in range(4))]


def test_progress_may_cancel() -> None:
    steps: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 4:
            raise Cancelled("cancelled")

    for measure in (measure_patterns, lambda *of: similar_heads(of[0], of[1], HeadId(0, 0), of[2])):
        with pytest.raises(Cancelled):
            measure(model_of("bert"), examples_of("bert", 6), progress)
        assert steps == [(2, 6), (4, 6)]
        steps.clear()


@pytest.mark.parametrize("name", ["bart", "deberta-v2", "bloom-lm"])
def test_nothing_is_left_in_the_model(name: str) -> None:
    model = model_of(name)
    assert model.anatomy.sites  # from now on gates have their places, which are hooks, too
    before = hooks_of(model.module)
    attention_map(model, features_of(name, 0, 5), 1)
    with pytest.raises(IndexError):
        attention_map(model, {"input_ids": [10_000, EOS]}, 1)
    with pytest.raises(ZeroDivisionError):
        watch(model, inputs_of(name), {0}, lambda *_: 1 // 0)
    assert hooks_of(model.module) == before
    assert not torch.overrides._get_current_function_mode_stack()


def hooks_of(module: nn.Module) -> int:
    return sum(len(child._forward_hooks) + len(child._forward_pre_hooks) for child in module.modules())


@pytest.mark.parametrize("name", ["deberta-v2", "bloom-lm"])
def test_another_thread_is_not_watched(name: str) -> None:
    """While one thread looks, another runs the same model: only the looking one's attention is handed on."""
    model, alone = model_of(name), attention_map(model_of(name), features_of(name, 0, 6), 0).weights
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            logits_of(model.module, inputs_of(name, 2, 9))

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(disturb)
        try:
            for _ in range(10):
                np.testing.assert_allclose(attention_map(model, features_of(name, 0, 6), 0).weights, alone, atol=1e-6)
        finally:
            stop.set()
        busy.result(timeout=30)


def test_special_tokens_come_from_the_tokenizer_or_the_configuration() -> None:
    from pruning.looking.watching import special_ids

    model = wrap_model(FAMILIES["bert"].build(), processor=tokenizer_of("bert"))
    assert special_ids(model) == {0, 1, 2, 3, 4}
    assert special_ids(model_of("bert")) == {PAD, CLS, EOS}


# Similar heads ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bert", "albert", "gpt2-lm", "t5"])
def test_divergences_are_scipys(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 4)
    head = HeadId(3 if name == "t5" else 0, 2)
    found = similar_heads(model, examples, head)
    kinds = [site.kind for site in model.anatomy.sites]
    assert found[head.site][head.head] == pytest.approx(0, abs=1e-6)
    for site, kind in enumerate(kinds):
        for other in range(4):
            if kind != kinds[head.site]:
                assert np.isnan(found[site][other])
                continue
            values = []
            for features in examples.features:
                all_of = expected(name, features)
                passes = zip(all_of[head.site], all_of[site], strict=True)
                values.append(np.mean([naive_divergence(a[head.head], b[other]) for a, b in passes]))
            assert found[site][other] == pytest.approx(np.mean(values), abs=1e-5)


def naive_divergence(a: np.ndarray, b: np.ndarray) -> float:
    rows = [(p, q) for p, q in zip(a.astype(float), b.astype(float), strict=True) if (p > 0).sum() > 1]
    return float(np.mean([jensenshannon(p, q, base=2) ** 2 for p, q in rows]))


def test_a_previous_token_head_of_the_built_in_model_is_found(demo: LoadedModel, calibration: Any) -> None:
    """Layer 0, head 2 gives 95% of its attention to the previous token."""
    found = measure_patterns(demo, calibration.at(range(16)))
    assert found.labels()[HeadId(0, 2)] == "previous"
    text = attention_map(load_model("demo"), features_of_text(demo, "not bad at all"), 0)
    assert text.queries.tokens == ("[CLS]", "not", "bad", "at", "all", "[SEP]")
    assert text.weights[2].argmax(-1).tolist()[1:] == [0, 1, 2, 3, 4]
