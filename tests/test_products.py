"""A product that is quicker is the same product."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear

from pruning.replay import products

TRIAL = products._quicker
SHAPES = [((3, 100, 8), 4), ((1, 256, 64), 128), ((300, 16), 1), ((7, 16), 2), ((0, 8), 4), ((2, 300, 8), 0)]


@pytest.fixture(params=[linear, products._one_dnn], ids=["mkl", "onednn"], autouse=True)
def quicker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not linear and not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(products, "_quicker", lambda: request.param)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("shape", "out"), SHAPES)
def test_it_is_what_torch_gives(shape: tuple[int, ...], out: int, biased: bool) -> None:
    draw = torch.Generator().manual_seed(1)
    x, weight = torch.randn(shape, generator=draw), torch.randn(out, shape[-1], generator=draw)
    bias = torch.randn(out, generator=draw) if biased else None
    with torch.inference_mode():
        assert torch.allclose(products.product(x, weight, bias), linear(x, weight, bias), rtol=1e-5, atol=1e-5)


def test_a_transposed_input_and_a_slice_of_a_weight() -> None:
    draw = torch.Generator().manual_seed(1)
    x, weight = torch.randn(8, 600, generator=draw).T, torch.randn(12, 8, generator=draw)[::2]
    with torch.inference_mode():
        assert torch.allclose(products.product(x, weight, None), x @ weight.T, rtol=1e-5, atol=1e-5)


def test_gradients_flow_where_they_are_asked_for() -> None:
    x, weight = torch.randn(300, 8, requires_grad=True), torch.randn(4, 8)
    products.product(x, weight, None).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, weight.sum(0).expand_as(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_are_left_to_torch(dtype: torch.dtype) -> None:
    x, weight = torch.randn(300, 8, dtype=dtype), torch.randn(4, 8, dtype=dtype)
    with torch.inference_mode():
        assert torch.equal(products.product(x, weight, None), linear(x, weight))


def test_the_trial_is_made_once() -> None:
    assert TRIAL() in (linear, products._one_dnn)
    assert TRIAL() is TRIAL()
