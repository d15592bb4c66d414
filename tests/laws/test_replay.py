"""Leaving out what is known changes nothing: for every family, against running all of the model.

Narrow products may be summed in another order: 1e-5 of the largest logit is the tolerance. Beginning late repeats the
very same products.
"""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pruning import LoadedModel, Mask, evaluate, gated, score, task_of
from pruning.evaluation import evaluate_in_steps
from pruning.importance.context import Setting
from pruning.masks import HeadId, NeuronId
from pruning.means import measure_means
from pruning.recovery.reconstruction import compensate_means
from pruning.replay import Runner, Tape, Tapes, runner_of
from pruning.replay.stages import PASS
from pruning.tasks import Batch, Examples, batches, forward
from tests.families import FAMILIES, SCORED, examples_of, model_of

NARROW = {"bert", "roberta", "distilbert", "electra", "vit", "deit"}
WHOLE = {"albert", "bloom-lm", "t5"}  # layers share weights, or hand each other more than hidden states


def masks_of(model: LoadedModel) -> list[Mask]:
    """One after the other they go back and forth between the layers."""
    anatomy = model.anatomy
    first, last = anatomy.sites[0], anatomy.sites[-1]
    heads = [Mask(frozenset({HeadId(site.index, 0), HeadId(site.index, 1)})) for site in (first, last)]
    neurons = Mask(neurons=frozenset(NeuronId(len(anatomy.blocks) - 1, i) for i in range(5)))
    layer = Mask(layers=frozenset({len(anatomy.layers) - 1}))
    return [
        Mask(),
        heads[1],
        heads[0] | heads[1],
        heads[0],
        neurons,
        neurons | heads[1],
        layer,
        layer | neurons,
        Mask(),
    ]


def plain(model: LoadedModel, mask: Mask, batch: Batch) -> Tensor:
    with gated(model, mask) as module, torch.inference_mode():
        return forward(module, batch)


def close(one: Tensor, other: Tensor) -> None:
    assert one.shape == other.shape
    assert float((one - other).abs().max()) <= 1e-5 * max(1.0, float(other.abs().max()))


def fresh(name: str) -> LoadedModel:
    """A model that nobody else has run."""
    return model_of(name).with_module(FAMILIES[name].build())


@pytest.mark.parametrize("name", SCORED)
def test_what_can_be_left_out(name: str) -> None:
    runner = runner_of(model_of(name), examples_of(name))
    assert (runner.narrowing is not None) == (name in NARROW)
    assert runner.replays == (name not in WHOLE)


@pytest.mark.parametrize("name", SCORED)
def test_a_replayed_mask_is_the_mask(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 8)
    runner = runner_of(model, examples)
    for batch in batches(examples, 3, model.device):
        tape = Tape()
        for mask in masks_of(model):
            with gated(runner.model, mask), torch.inference_mode():
                found = runner.replay(batch, tape, mask)
            close(found, plain(model, mask, batch))


@pytest.mark.parametrize("name", ["bert", "gpt2-lm", "vit"])
def test_a_compensation_is_not_replayed_over_another_one(name: str) -> None:
    model, examples = model_of(name), examples_of(name)
    runner, mask, tape = runner_of(model, examples), masks_of(model_of(name))[2], Tape()
    made = compensate_means(model, mask, measure_means(model, examples))
    (batch, *_) = batches(examples, 3, model.device)
    for compensation in (None, made, made, None):
        with gated(runner.model, mask, compensation=compensation), torch.inference_mode():
            found = runner.replay(batch, tape, mask, compensation)
        with gated(model, mask, compensation=compensation) as module, torch.inference_mode():
            close(found, forward(module, batch))


@pytest.mark.parametrize("name", SCORED)
def test_evaluations_with_and_without_tapes_agree(name: str) -> None:
    model, examples, tapes = model_of(name), examples_of(name, 8), Tapes(1 << 30)
    labels = getattr(model.module.config, "num_labels", 2)
    examples = replace(examples, class_names=tuple(map(str, range(labels))) if examples.class_names else ())
    for mask in masks_of(model):
        (*_, found) = evaluate_in_steps(model, examples, mask, tapes=tapes)
        expected = naive_losses(model, examples, mask)
        for one in (found, evaluate(model, examples, mask)):
            assert np.abs(one.outcome.losses - expected).max() <= 1e-5 * max(1.0, expected.max())


def naive_losses(model: LoadedModel, examples: Examples, mask: Mask) -> np.ndarray:
    task, found = task_of(model), np.empty(len(examples))
    for batch in batches(examples, 4, model.device):
        found[list(batch.positions)] = task.losses(plain(model, mask, batch), batch).numpy()
    return found


@pytest.mark.parametrize("scope", ["heads", "layers"])
@pytest.mark.parametrize("name", SCORED)
def test_leave_one_out_is_the_naive_loop(name: str, scope: Any) -> None:
    model, examples = model_of(name), examples_of(name, 5)
    whole = naive_losses(model, examples, Mask())
    found = score(model, "ablation", examples, scope=scope)
    for part, row in enumerate(found.values):
        for unit, value in enumerate(row):
            mask = Mask(frozenset({HeadId(part, unit)})) if scope == "heads" else Mask(layers=frozenset({part}))
            expected = float((naive_losses(model, examples, mask) - whole).mean())
            assert value == pytest.approx(expected, abs=1e-6 * max(1.0, whole.max()))


# What must not go wrong ---------------------------------------------------------------------------------------------


def test_threads_keep_their_passes_apart() -> None:
    model, examples = model_of("bert"), examples_of("bert", 12)
    expected = {mask: naive_losses(model, examples, mask) for mask in masks_of(model)}
    wrong: list[Mask] = []

    def work(mask: Mask, tapes: Tapes | None) -> None:
        for _ in range(5):
            (*_, found) = evaluate_in_steps(model, examples, mask, tapes=tapes)
            if np.abs(found.outcome.losses - expected[mask]).max() > 1e-5:
                wrong.append(mask)

    shared = Tapes(1 << 30)
    threads = [threading.Thread(target=work, args=(mask, tapes)) for mask in expected for tapes in (shared, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_error_leaves_no_pass_and_no_tape() -> None:
    model, examples, tapes = model_of("bert"), examples_of("bert"), Tapes(1 << 30)

    def broken(done: int, total: int) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(evaluate_in_steps(model, examples, on_progress=broken, tapes=tapes))
    assert PASS.get() is None
    runner = runner_of(model, examples)
    (batch, *_) = batches(examples, 3, model.device)
    broken_batch = replace(batch, inputs={**batch.inputs, "input_ids": batch.inputs["input_ids"] + 10_000})
    tape = Tape()
    with gated(runner.model, Mask()), torch.inference_mode():
        runner.replay(batch, tape, Mask())
        with pytest.raises(IndexError):
            runner.replay(broken_batch, tape, Mask())
    assert tape.mask is None
    assert PASS.get() is None


def test_the_model_itself_is_not_touched() -> None:
    model = fresh("bert")
    before = {name: dict(part.__dict__) for name, part in model.module.named_modules()}
    runner = runner_of(model, examples_of("bert"))
    assert runner.model.module is not model.module
    shared = zip(model.module.parameters(), runner.model.module.parameters(), strict=True)
    assert all(one is other for one, other in shared)
    for name, part in model.module.named_modules():
        assert part.__dict__.keys() == before[name].keys()


def test_weights_that_were_exchanged_are_seen() -> None:
    model, examples = fresh("bert"), examples_of("bert")
    first = evaluate(model, examples).outcome.losses
    layer = model.module.get_submodule(model.anatomy.sites[0].projection)
    layer.weight = nn.Parameter(torch.zeros_like(layer.weight), requires_grad=False)
    assert not np.allclose(evaluate(model, examples).outcome.losses, first)
    assert np.allclose(evaluate(model, examples).outcome.losses, naive_losses(model, examples, Mask()), atol=1e-6)


@pytest.mark.parametrize("name", ["bert", "albert"])
def test_a_model_that_is_let_go_of_is_gone(name: str) -> None:
    model = fresh(name)
    evaluate(model, examples_of(name))
    gone = weakref.ref(model.module)
    del model
    gc.collect()
    assert gone() is None


def test_hooks_of_other_people_still_run() -> None:
    model, examples, seen = fresh("bert"), examples_of("bert"), []
    runner_of(model, examples)
    handle = model.module.register_forward_hook(lambda *args: seen.append(1))
    evaluate(model, examples)
    assert seen
    handle.remove()
    assert runner_of(model, examples).replays


class _ReadsAll(nn.Module):
    """A pooler that reads every position."""

    def forward(self, hidden: Tensor) -> Tensor:
        return hidden.mean(1)


def test_a_head_that_reads_every_position_is_not_narrowed() -> None:
    model, examples = fresh("bert"), examples_of("bert")
    model.module.bert.pooler = _ReadsAll()
    assert runner_of(model, examples).narrowing is None
    assert np.allclose(evaluate(model, examples).outcome.losses, naive_losses(model, examples, Mask()), atol=1e-6)


class _Remembers(nn.Module):
    """A layer that adds what an earlier call of its neighbour computed, behind everybody's back."""

    def __init__(self, plain: nn.Module, shared: list[Tensor], first: bool) -> None:
        super().__init__()
        self.plain, self.shared, self.first = plain, shared, first

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.plain(*args, **kwargs)
        hidden = output if isinstance(output, Tensor) else output[0]
        if self.first:
            self.shared[:] = [hidden]
            return output
        changed = hidden + self.shared[0].mean()
        return changed if isinstance(output, Tensor) else (changed, *output[1:])


def test_layers_with_a_secret_path_between_them_fail_the_self_test() -> None:
    model, examples, shared = fresh("bert"), examples_of("bert", 8), []
    layers = model.module.bert.encoder.layer
    for i in range(2):
        layers[i].output = _Output(layers[i].output, shared, i == 0)
    runner = runner_of(model, examples)
    assert not runner.replays
    found = evaluate(model, examples, Mask.parse_heads("1:0")).outcome.losses
    assert np.allclose(found, naive_losses(model, examples, Mask.parse_heads("1:0")), atol=1e-6)


class _Output(_Remembers):
    """The same for the last part of a BERT layer, whose path the anatomy knows."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("plain"), name)


# Memory -------------------------------------------------------------------------------------------------------------


def test_tapes_keep_to_their_limit() -> None:
    model, examples = model_of("bert"), examples_of("bert", 24)
    roomy = Tapes(1 << 30)
    list(evaluate_in_steps(model, examples, tapes=roomy))
    assert roomy.size == sum(tape.size for tape in roomy._kept.values()) > 0
    tight = Tapes(roomy.size // 2)
    for mask in masks_of(model):
        (*_, found) = evaluate_in_steps(model, examples, mask, tapes=tight)
        assert 0 < tight.size <= tight.limit
        assert np.allclose(found.outcome.losses, naive_losses(model, examples, mask), atol=1e-5)
    kept = len(tight)
    list(evaluate_in_steps(model, examples, Mask.parse_heads("0:1"), tapes=tight))
    assert len(tight) == kept
    other = examples_of("bert", 16)
    list(evaluate_in_steps(model, other, tapes=tight))
    assert tight.size <= tight.limit
    assert any(owner == (model.fingerprint, other.fingerprint) for owner, _ in tight._kept)


def test_a_runner_that_cannot_replay_keeps_nothing() -> None:
    model, examples, tapes = model_of("albert"), examples_of("albert"), Tapes(1 << 30)
    assert isinstance(runner_of(model, examples), Runner)
    list(evaluate_in_steps(model, examples, tapes=tapes))
    assert tapes.size == 0


# What removed heads would have been fed ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCORED)
def test_what_feeds_removed_heads_need_not_be_computed(name: str) -> None:
    model, examples = model_of(name), examples_of(name, 8)
    heads = list(model.anatomy.head_ids())
    runner = runner_of(model, examples)
    assert (runner.wiring is not None) == (name not in WHOLE)
    for mask in (Mask(frozenset(heads[::2])), Mask(frozenset(heads[1:])), Mask(frozenset(heads))):
        less = runner.without(mask)
        assert bool(less.slices) == (name not in WHOLE)
        for batch in batches(examples, 3, model.device):
            with gated(runner.model, mask), torch.inference_mode():
                close(less.logits(batch), plain(model, mask, batch))


def test_gradients_of_the_heads_that_are_left_are_the_same() -> None:
    model, examples = model_of("bert"), examples_of("bert", 8)
    setting = Setting(Mask.parse_heads("0:0-2,1:1"))
    found = score(model, "gradient", examples, setting=setting)
    runner_of(model, examples)
    whole = model.with_module(FAMILIES["bert"].build())
    whole.module.register_forward_hook(lambda *args: None)  # somebody else's: everything is run
    expected = score(whole, "gradient", examples, setting=setting)
    assert found.flat() == pytest.approx(expected.flat(), abs=1e-6)
