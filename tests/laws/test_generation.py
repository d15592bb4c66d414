"""A cut decoder generates what the masked one generates: with and without a cache, greedily and by sampling."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pruning import gated
from tests.families import inputs_of, model_of
from tests.laws.test_surgery import MASKS, pruned_of

GENERATING = ("gpt2-lm", "llama-lm", "gemma2-lm", "gpt-neox-lm", "bloom-lm", "phi3-lm", "t5-generation")
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "without a cache": {"do_sample": False, "use_cache": False},
    "sampling": {"do_sample": True},
    "static cache": {"do_sample": False, "cache_implementation": "static"},
}


def written(module: Any, inputs: dict[str, torch.Tensor], way: str) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module.generate(**inputs, max_new_tokens=6, min_new_tokens=6, **WAYS[way])


@pytest.mark.parametrize("what", ["heads", "layers", "everything"])
@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.filterwarnings("ignore:.*")  # what generation warns of is not about pruning
def test_masked_and_cut_write_the_same_words(name: str, what: str) -> None:
    model, mask = model_of(name), MASKS[what](name)
    module = pruned_of(name, what).module
    inputs = {key: value for key, value in inputs_of(name, rows=2).items() if key != "decoder_input_ids"}
    for way in WAYS:
        with gated(model, mask) as original:
            expected = written(original, inputs, way)
        assert torch.equal(written(module, inputs, way), expected), way
    assert torch.equal(written(module, inputs, "greedy"), written(module, inputs, "without a cache"))
