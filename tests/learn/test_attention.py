"""Lesson 1: attention at other temperatures, computed a second time from eager attention."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from pruning.errors import UnsupportedError
from pruning.gating import _GATES
from pruning.masks import HeadId, Mask
from tests.families import FAMILIES, examples_of, model_of
from ui.learn.base import Outcome, Subject
from ui.learn.charts_attention import attention_grid, temperature_curve
from ui.learn.experiments.attention import TEMPERATURES, Attention, AttentionOutcome, sites_seen

SILENT = lambda done, total, step: None  # noqa: E731


def subject_of(name: str, mask: Mask | None = None, rows: int = 9) -> Subject:
    examples = examples_of(name, rows)
    return Subject(model_of(name), "tiny", examples, examples, mask or Mask())


def eager_attention(name: str, features: dict[str, list[int]], site: int) -> np.ndarray:
    """``(head, query, key)`` of one example, as the model itself gives it out."""
    module = FAMILIES[name].build()
    module.set_attn_implementation("eager")
    inputs = {key: torch.tensor([value]) for key, value in features.items()}
    with torch.inference_mode():
        return module(**inputs, output_attentions=True).attentions[site][0].double().numpy()


@pytest.mark.parametrize(("name", "temperature"), [("bert", 0.5), ("bert", 1.0), ("llama-lm", 4.0)])
def test_the_share_is_that_of_eager_attention(name: str, temperature: float) -> None:
    subject = subject_of(name)
    found = Attention(1, 2, temperature).run(subject, SILENT)
    shares = []
    for features in subject.calibration.features:
        weights = eager_attention(name, features, 1)[2]
        sharpened = weights ** (1 / temperature)
        rows = (sharpened / sharpened.sum(-1, keepdims=True)).max(-1)
        shares.append(rows[(weights > 0).sum(-1) > 1].mean())
    assert found.truth == pytest.approx(100 * np.mean(shares), abs=1e-3)
    assert found.samples == len(shares)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.truth <= found.high


def test_a_higher_temperature_is_softer_down_to_an_even_share() -> None:
    found = Attention(0, 1, 1.0).run(subject_of("vit"), SILENT)
    values = [one.value for one in found.shares]
    assert values == sorted(values, reverse=True)
    assert len(values) == len(TEMPERATURES)
    assert values[-1] >= found.even == pytest.approx(1 / len(found.found.keys))


@pytest.mark.parametrize("name", ["bert", "albert", "deberta-v2", "vit", "llama-lm", "t5", "bart"])
def test_it_works_for_every_kind_of_model(name: str) -> None:
    subject = subject_of(name)
    assert Attention.refusal(subject) is None
    last = len(subject.model.anatomy.sites) - 1
    found = Attention(last, 0, 2.0).run(subject, SILENT)
    assert 0 < found.truth <= 100
    assert found.found.site == last


def test_windows_of_an_image_are_refused() -> None:
    subject = subject_of("swin")
    reasons = sites_seen(subject.model, subject.calibration)
    assert "window" in str(reasons[0])
    assert reasons[1] is None  # its last stage is one window
    assert Attention.refusal(subject) is None
    with pytest.raises(UnsupportedError, match="window"):
        Attention(0, 0).run(subject, SILENT)


def test_a_mask_of_the_link_acts_on_later_layers_alone() -> None:
    heads = frozenset(HeadId(0, head) for head in range(3))
    whole, masked = subject_of("bert"), subject_of("bert", Mask(heads))
    assert Attention(0, 1).run(whole, SILENT).truth == pytest.approx(Attention(0, 1).run(masked, SILENT).truth)
    assert Attention(1, 1).run(whole, SILENT).truth != pytest.approx(Attention(1, 1).run(masked, SILENT).truth)


def test_it_gives_the_same_twice_and_leaves_nothing_behind() -> None:
    subject = subject_of("bert")
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in subject.model.module.modules()]
    first, second = (Attention(1, 0, 0.25).run(subject, SILENT) for _ in range(2))
    assert (first.truth, first.low, first.high, first.shares) == (second.truth, second.low, second.high, second.shares)
    assert _GATES.get() is None
    after = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in subject.model.module.modules()]
    assert after == hooks


def drawn(experiment: "Attention", subject: "Subject", outcome: "Outcome") -> None:  # noqa: UP037  it runs by itself
    experiment.draw(subject, outcome, "light")


@pytest.mark.parametrize("name", ["bert", "vit", "llama-lm", "bart"])
def test_it_can_be_drawn(name: str) -> None:
    subject, experiment = subject_of(name), Attention(1, 1, 0.5)
    outcome = experiment.run(subject, SILENT)
    script = AppTest.from_function(
        drawn, kwargs={"experiment": experiment, "subject": subject, "outcome": outcome}, default_timeout=30
    ).run()
    assert not script.exception
    assert len(script.dataframe) == 2
    assert f"{outcome.truth:.1f}%" in script.markdown[0].value


def test_figures_hold_the_values() -> None:
    found = Attention(1, 0, 1.0).run(subject_of("bert"), SILENT)
    assert isinstance(found, AttentionOutcome)
    weights = found.found.weights[0]
    grid = attention_grid(weights, found.found.queries, found.found.keys, title="a", subtitle="b")
    assert np.asarray(grid.data[0].z, float) == pytest.approx(100 * weights)
    assert [int(text) for text in grid.data[1].text] == [round(100 * row.max()) for row in weights]
    curve = temperature_curve(TEMPERATURES, found.shares, found.even, 1.0, title="a", subtitle="b")
    assert list(curve.data[1].y) == [100 * one.value for one in found.shares]
