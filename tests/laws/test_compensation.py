"""Compensation is exact twice over: the masked model previews what the cut model gives, for every family.

Both multiply with the same numbers in another order, in float32: 1e-5, as for cutting itself.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from pruning import Mask, UnsupportedError, export_checkpoint, gated, prune
from pruning.gating import _REFITS
from pruning.inputs import outputs
from pruning.linear import by_output
from pruning.means import measure_means
from pruning.recovery.compensation import Compensation
from pruning.recovery.reconstruction import compensate_means, reconstruct
from pruning.surgery import largest_difference
from tests.families import SCORED, examples_of, inputs_of, logits_of, model_of
from tests.laws.test_surgery import groups_mask, neurons_mask

TOLERANCE = 1e-5
METHODS = ("mean", "reconstruct")
PAIRS = [(name, method) for name in SCORED for method in METHODS]


def mask_of(name: str) -> Mask:
    return groups_mask(name) | neurons_mask(name)


@functools.cache
def compensation_of(name: str, method: str) -> Compensation:
    model, examples = model_of(name), examples_of(name, 6)
    if method == "mean":
        return compensate_means(model, mask_of(name), measure_means(model, examples))
    return reconstruct(model, mask_of(name), examples)


@pytest.mark.parametrize(("name", "method"), PAIRS)
def test_the_preview_is_the_cut_model(name: str, method: str) -> None:
    model, compensation = model_of(name), compensation_of(name, method)
    pruned = prune(model, mask_of(name), compensation=compensation)
    with torch.no_grad(), gated(model, mask_of(name), compensation=compensation) as module:
        expected = outputs(module, inputs_of(name))
    with torch.no_grad():
        found = outputs(pruned.module, inputs_of(name))
        plain = outputs(model.module, inputs_of(name))
    assert largest_difference(found, expected) <= TOLERANCE
    assert largest_difference(expected, plain) > 0, "the mask changed nothing"
    assert pruned.compensation is compensation


@pytest.mark.parametrize("name", SCORED)
def test_folded_means_are_mean_ablation(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 6)
    means = measure_means(model, examples)
    with torch.no_grad(), gated(model, mask_of(name), means) as module:
        expected = logits_of(module, inputs_of(name))
    with torch.no_grad(), gated(model, mask_of(name), compensation=compensation_of(name, "mean")) as module:
        found = logits_of(module, inputs_of(name))
    assert float((found - expected).abs().max()) <= TOLERANCE * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in ("bert", "gpt2-lm", "llama-lm", "t5") for m in METHODS])
def test_a_compensated_model_reloads_as_it_was_cut(name: str, method: str, tmp_path: Path) -> None:
    if name not in SCORED:
        pytest.skip(f"{name} has no task to calibrate on")
    model = model_of(name)
    pruned = prune(model, mask_of(name), compensation=compensation_of(name, method))
    written = export_checkpoint(model, pruned, tmp_path / "out")
    assert written.reload_difference == 0


def test_reconstruction_is_ordinary_least_squares() -> None:
    """Against numpy's own solver, on the first projection that loses heads, without a ridge."""
    model, examples, mask = model_of("bert"), examples_of("bert", 6), Mask.parse_heads("1:0")
    site = model.anatomy.sites[1]
    projection = model.module.get_submodule(site.projection)
    xs, ys = [], []
    handle = projection.register_forward_hook(lambda _, args, out: xs.append(args[0]) or ys.append(out))
    with torch.no_grad():
        for row in examples.features:
            model.module(**{key: torch.tensor([value]) for key, value in row.items()})
    handle.remove()
    x, y = (torch.cat([part[0] for part in parts]).double().numpy() for parts in (xs, ys))
    kept = np.concatenate([x[:, site.head_dim :], np.ones((len(x), 1))], axis=1)
    expected = kept @ np.linalg.lstsq(kept, y, rcond=None)[0]
    refit = reconstruct(model, mask, examples, ridge=1e-12, touched=True).sites[1]
    gone = x.copy()
    gone[:, : site.head_dim] = 0
    bias = projection.bias.detach().double().numpy()
    found = gone @ refit.weight.double().numpy().T + bias + refit.shift.double().numpy()
    assert np.abs(found - expected).max() <= 1e-4  # float32 weights of an ill-conditioned fit


@pytest.mark.parametrize("name", ["bert", "gpt2-lm", "albert"])
def test_reconstruction_fits_better_than_nothing(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 6)
    mask = groups_mask(name)
    site = next(site for site in model.anatomy.sites if any(head.site == site.index for head in mask.heads))

    def error(compensation: Compensation | None) -> float:
        kept: list[torch.Tensor] = []
        handle = model.module.get_submodule(site.projection).register_forward_hook(lambda _, __, out: kept.append(out))
        with torch.no_grad():
            for row in examples.features:
                one = {key: torch.tensor([value]) for key, value in row.items()}
                model.module(**one)
                with gated(model, mask, compensation=compensation) as module:
                    module(**one)
        handle.remove()
        calls = len(kept) // len(examples) // 2
        pairs = [(kept[2 * calls * i], kept[2 * calls * i + calls]) for i in range(len(examples))]
        return sum(float((b - a).square().sum()) for a, b in pairs)

    assert error(reconstruct(model, mask, examples)) < error(None)


def test_weights_of_the_original_stay_as_they_are() -> None:
    model, mask = model_of("bert"), mask_of("bert")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    prune(model, mask, compensation=reconstruct(model, mask, examples_of("bert", 6)))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())


def test_no_other_numbers_remain_after_an_exception() -> None:
    model, compensation = model_of("bert"), compensation_of("bert", "reconstruct")
    with gated(model, mask_of("bert"), compensation=compensation):
        assert _REFITS.get()

    def fail() -> None:
        with gated(model, mask_of("bert"), compensation=compensation):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert _REFITS.get() is None


def test_weights_that_two_layers_share_are_refused() -> None:
    model = model_of("bert")
    first, second = (model.anatomy.sites[i].projection for i in (0, 1))
    module = type(model.module)(model.module.config)
    module.get_submodule(first).weight = module.get_submodule(second).weight
    from pruning.recovery.compensation import check_projections

    with pytest.raises(UnsupportedError, match="shares its weight"):
        check_projections(module, model.anatomy, {0}, {})


def test_the_projection_as_a_matrix() -> None:
    model = model_of("gpt2-lm")
    projection = model.module.get_submodule(model.anatomy.sites[0].projection)
    x = torch.randn(3, model.anatomy.sites[0].heads * model.anatomy.sites[0].head_dim)
    assert torch.allclose(x @ by_output(projection).t() + projection.bias, projection(x), atol=1e-6)
