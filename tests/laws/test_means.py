"""Mean ablation: what is removed becomes its mean over the examples, found and put in by hooks of the test's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pruning import Mask, gated, measure_means
from pruning.masks import HeadId, NeuronId
from pruning.tasks import batches, forward
from tests.families import FAMILIES, SCORED, examples_of, inputs_of, logits_of, model_of

TOLERANCE = 1e-5
TEXT = [name for name in SCORED if FAMILIES[name].task != "image-classification"]


def inputs_seen(name: str, path: str) -> Tensor:
    """Everything that reaches one projection, ``(token, width)``, in examples of their own."""
    seen: list[Tensor] = []
    module = FAMILIES[name].build()
    child = module.get_submodule(path)
    child.register_forward_pre_hook(lambda _, args: seen.append(args[0].reshape(-1, args[0].shape[-1]).double()))
    with torch.inference_mode():
        for batch in batches(examples_of(name, 6), 1, torch.device("cpu")):
            forward(module, batch)
    return torch.cat(seen)


def replaced(name: str, path: str, columns: slice, by: Tensor) -> Tensor:
    """Logits with some columns of a projection's input replaced."""
    module = FAMILIES[name].build()

    def hook(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x = args[0].clone()
        x[..., columns] = by.to(x.dtype)
        return (x, *args[1:])

    module.get_submodule(path).register_forward_pre_hook(hook)
    return logits_of(module, inputs_of(name))


@pytest.mark.parametrize("name", SCORED)
def test_a_head_and_a_neuron_become_their_means(name: str) -> None:
    model = model_of(name)
    means = measure_means(model, examples_of(name, 6), batch_size=2)
    site, block = model.anatomy.sites[-1], model.anatomy.blocks[0]
    head = slice(site.head_dim, 2 * site.head_dim)
    cases = (
        (Mask(frozenset({HeadId(site.index, 1)})), site.projection, head, means.sites[site.index]),
        (Mask(neurons=frozenset({NeuronId(0, 3)})), block.projection, slice(3, 4), means.blocks[0]),
    )
    for mask, path, columns, mean in cases:
        expected = inputs_seen(name, path).mean(0)
        assert float((mean.double() - expected).abs().max()) <= TOLERANCE
        with gated(model, mask, means) as module:
            found = logits_of(module, inputs_of(name))
        assert float((found - replaced(name, path, columns, expected[columns])).abs().max()) <= TOLERANCE


@pytest.mark.parametrize("name", TEXT)
def test_a_layer_becomes_the_mean_of_what_it_adds(name: str) -> None:
    model, inputs = model_of(name), inputs_of(name)
    means = measure_means(model, examples_of(name, 6))
    last = model.anatomy.layers[-1]
    seen: list[Tensor] = []

    def look(_: Any, args: Any, kwargs: Any, output: Any) -> None:
        x = args[0] if args else kwargs["hidden_states"]
        seen.append(((output if isinstance(output, Tensor) else output[0]) - x).reshape(-1, x.shape[-1]).double())

    module = FAMILIES[name].build()
    module.get_submodule(last.name).register_forward_hook(look, with_kwargs=True)
    with torch.inference_mode():
        for batch in batches(examples_of(name, 6), 4, torch.device("cpu")):
            forward(module, batch)
    mean = torch.cat(seen).mean(0)
    assert float((means.layers[last.index].double() - mean).abs().max()) <= TOLERANCE

    def put(_: Any, args: Any, kwargs: Any, output: Any) -> Any:
        y = (args[0] if args else kwargs["hidden_states"]) + mean.float()
        return y if isinstance(output, Tensor) else (y, *output[1:])

    module = FAMILIES[name].build()
    module.get_submodule(last.name).register_forward_hook(put, with_kwargs=True)
    with gated(model, Mask(layers=frozenset({last.index})), means) as gated_module:
        found = logits_of(gated_module, inputs)
    assert float((found - logits_of(module, inputs)).abs().max()) <= TOLERANCE


@pytest.mark.parametrize("name", ["bert", "t5", "vit"])
def test_nothing_removed_is_the_original_and_means_leave_with_the_context(name: str) -> None:
    model, inputs = model_of(name), inputs_of(name)
    means, plain = measure_means(model, examples_of(name, 4)), logits_of(model.module, inputs)
    with gated(model, Mask(), means) as module:
        assert torch.equal(logits_of(module, inputs), plain)
    mask = Mask.parse_heads("0:1")
    with pytest.raises(RuntimeError), gated(model, mask, means):
        raise RuntimeError
    with gated(model, mask) as module:
        zero = logits_of(module, inputs)
    with gated(model, mask, means) as module:
        mean = logits_of(module, inputs)
    assert not torch.equal(zero, mean)
    assert torch.equal(logits_of(model.module, inputs), plain)
