"""Nothing is left behind and nobody else is touched: exceptions, hooks, gradients, threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import nn

from pruning import CostModel, LoadedModel, Mask, count_cost, gated, score, wiring, wrap_model
from pruning.attention import _OBSERVER, AttentionCall, observed, on_this_thread
from pruning.copying import twin_of
from pruning.gating import _GATES, unit_gates
from tests.families import FAMILIES, NAMES, SCORED, examples_of, inputs_of, logits_of, model_of

THREADS, ROUNDS = 4, 5
CONTEXTS: dict[str, Callable[[LoadedModel], AbstractContextManager]] = {
    "gated": lambda model: gated(model, Mask.parse_heads("0:0,0:1")),
    "unit_gates": lambda model: unit_gates(model, torch.zeros(model.anatomy.total_heads)),
    "observed": lambda model: observed(lambda call: None),
}


class BrokenError(Exception):
    """Raised by the tests, inside."""


def hooks_of(module: nn.Module) -> int:
    return sum(len(child._forward_hooks) + len(child._forward_pre_hooks) for child in module.modules())


def masks_of(name: str) -> list[Mask]:
    """Another mask for each thread, one of them empty."""
    anatomy = model_of(name).anatomy
    ids = list(anatomy.head_ids())
    return [Mask(), *(Mask(frozenset(ids[i :: THREADS - 1])) for i in range(THREADS - 1))]


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("name", NAMES)
def test_an_exception_leaves_nothing_set(name: str, context: str) -> None:
    model, inputs = model_of(name), inputs_of(name)
    original = logits_of(model.module, inputs)

    def run_and_break() -> None:
        with CONTEXTS[context](model):
            logits_of(model.module, inputs)
            raise BrokenError

    with pytest.raises(BrokenError):
        run_and_break()
    assert _GATES.get() is None
    assert _OBSERVER.get() is None
    assert torch.equal(logits_of(model.module, inputs), original)


def test_an_exception_inside_the_forward_pass_leaves_nothing_set() -> None:
    """The observer itself raises, in the middle of a layer and under a mask."""
    model, inputs = model_of("bert"), inputs_of("bert")
    original = logits_of(model.module, inputs)

    def breaks(call: AttentionCall) -> None:
        raise BrokenError

    with pytest.raises(BrokenError), gated(model, Mask.parse_heads("0:0")), observed(breaks):
        logits_of(model.module, inputs)
    assert torch.equal(logits_of(model.module, inputs), original)


def test_inner_masks_add_to_outer_ones_and_go_away_again() -> None:
    model, inputs = model_of("bert"), inputs_of("bert")
    with gated(model, Mask.parse_heads("0:0")) as module:
        outer = logits_of(module, inputs)
        with gated(model, Mask.parse_heads("1:1")):
            both = logits_of(module, inputs)
        assert torch.equal(logits_of(module, inputs), outer)
    with gated(model, Mask.parse_heads("0:0,1:1")) as module:
        assert torch.equal(logits_of(module, inputs), both)


@pytest.mark.parametrize("name", NAMES)
def test_hooks_do_not_pile_up(name: str) -> None:
    model = model_of(name)
    with gated(model, Mask()):
        before = hooks_of(model.module)
    anatomy = model.anatomy
    assert before == 2 * (len(anatomy.sites) + len(anatomy.blocks)) + len(anatomy.layers)
    for _ in range(3):
        with gated(model, Mask.parse_heads("0:0")), unit_gates(model, torch.ones(anatomy.total_heads)):
            logits_of(model.module, inputs_of(name))
    assert hooks_of(model.module) == before


@pytest.mark.parametrize("name", SCORED)
def test_scoring_leaves_the_model_as_it_was(name: str) -> None:
    """No gradient on a parameter, no hook, no changed weight, no training mode."""
    model, inputs = model_of(name), inputs_of(name)
    original = logits_of(model.module, inputs)
    with gated(model, Mask()):  # from the first use on, its gates are in the model
        hooks = hooks_of(model.module)
    score(model, "gradient", examples_of(name))
    parameters = dict(model.module.named_parameters())
    assert [path for path, tensor in parameters.items() if tensor.grad is not None or tensor.requires_grad] == []
    assert hooks_of(model.module) == hooks
    assert not model.module.training
    assert torch.equal(logits_of(model.module, inputs), original)
    fresh = FAMILIES[name].build().state_dict()
    assert all(torch.equal(tensor, fresh[path]) for path, tensor in model.module.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_masks_in_threads_never_mix(name: str) -> None:
    """Four threads on one shared model, each with its own mask, against the same work one after the other."""
    model, inputs, masks = model_of(name), inputs_of(name), masks_of(name)

    def run(mask: Mask) -> list[torch.Tensor]:
        with gated(model, mask) as module:
            return [logits_of(module, inputs) for _ in range(ROUNDS)]

    alone = [run(mask)[0] for mask in masks]
    assert not any(torch.equal(alone[0], other) for other in alone[1:])
    barrier = threading.Barrier(THREADS)

    def run_with_others(mask: Mask) -> list[torch.Tensor]:
        barrier.wait(timeout=30)
        return run(mask)

    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(run_with_others, masks))
    for expected, results in zip(alone, together, strict=True):
        assert all(torch.allclose(result, expected, atol=1e-6, rtol=1e-6) for result in results)


def test_a_mask_set_here_is_not_seen_by_another_thread() -> None:
    model, inputs = model_of("bert"), inputs_of("bert")
    original = logits_of(model.module, inputs)
    with gated(model, Mask.parse_heads("0:0-3")), ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(logits_of, model.module, inputs).result(), original)


def others_at_work(name: str, stop: threading.Event) -> Iterator[None]:
    """What somebody else does meanwhile: masks and observers in turn."""
    model, inputs = model_of(name), inputs_of(name)
    while not stop.is_set():
        with gated(model, Mask.parse_heads("0:0-2")), observed(lambda call: None):
            logits_of(model.module, inputs)
        yield


@pytest.mark.parametrize("criterion", ["gradient", "ablation", "entropy"])
@pytest.mark.parametrize("name", ["bert", "llama-lm"])
def test_scores_do_not_depend_on_who_else_is_running(name: str, criterion: str) -> None:
    model, examples = model_of(name), examples_of(name)
    alone = score(model, criterion, examples)
    stop, started = threading.Event(), threading.Event()

    def disturb() -> int:
        rounds = 0
        for _ in others_at_work(name, stop):
            rounds += 1
            started.set()
        return rounds

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(disturb)
        try:
            assert started.wait(timeout=30)
            together = score(model, criterion, examples)
        finally:
            stop.set()
        assert busy.result(timeout=30) > 0
    np.testing.assert_allclose(together.values, alone.values, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_looking_into_a_model_does_not_disturb_who_is_using_it(name: str) -> None:
    """Costs and wiring are found by hooks of their own, which must not act on another thread's forward pass."""
    model, examples = wrap_model(FAMILIES[name].build()), examples_of(name)
    alone, cost = score(model, "gradient", examples), count_cost(model, 16)
    stop = threading.Event()

    def look() -> list[CostModel]:
        found = []
        while not stop.is_set():
            wiring._FOUND.pop(model.module, None)
            found.append(count_cost(model, 16))
        return found

    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(look)
        try:
            together = [score(model, "gradient", examples) for _ in range(8)]
        finally:
            stop.set()
        assert set(busy.result(timeout=60)) == {cost}
    for found in together:
        np.testing.assert_allclose(found.values, alone.values, rtol=1e-6, atol=1e-7)


# Copies ------------------------------------------------------------------------------------------------------------


class Noting:
    """A hook that counts, such as a model may have of its own."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, module: nn.Module, args: object, kwargs: object) -> None:
        self.calls += 1


def test_a_copy_keeps_the_hooks_of_its_model_and_none_of_ours() -> None:
    model, note = wrap_model(FAMILIES["bert"].build()), Noting()
    child = model.module.get_submodule(model.anatomy.sites[0].projection)
    model.module.register_forward_pre_hook(note, with_kwargs=True)
    watch = child.register_forward_hook(on_this_thread(lambda *_: None), with_kwargs=True)
    with gated(model, Mask.parse_heads("0:0")):
        twin = twin_of(model.module)
    watch.remove()
    assert hooks_of(twin) == 1
    logits_of(twin, inputs_of("bert"))
    (copied,) = twin._forward_pre_hooks.values()
    assert (copied.calls, note.calls) == (1, 0), "the copy has a hook of its own"


def test_copies_are_made_while_others_watch() -> None:
    """Watchers come and go on other threads; none of them gets into a copy, and no copy fails."""
    module, done = model_of("bert").module, threading.Event()
    children = list(module.modules())

    def come_and_go() -> int:
        rounds = 0
        while not done.is_set():
            handles = [child.register_forward_hook(on_this_thread(lambda *_: None)) for child in children]
            for handle in handles:
                handle.remove()
            rounds += 1
        return rounds

    with ThreadPoolExecutor(2) as pool:
        watching = [pool.submit(come_and_go) for _ in range(2)]
        try:
            assert {hooks_of(twin_of(module)) for _ in range(50)} == {0}
        finally:
            done.set()
    assert all(one.result() for one in watching)
