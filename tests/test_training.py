"""Recovery with training: what it changes, what it leaves alone, and what it keeps."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruning import Cancelled, DataError, Mask, MaskError, PruningError, UnsupportedError, export_checkpoint, prune
from pruning.card import Story
from pruning.cli import main
from pruning.evaluation import evaluate
from pruning.models import LoadedModel, wrap_model
from pruning.recovery.gradual import gradual
from pruning.recovery.loop import rate_factor, split_rows, steps_of
from pruning.recovery.lora import adapt
from pruning.recovery.losses import distillation
from pruning.recovery.methods import RecoveryMethod, get_method, recovery_methods, register_method
from pruning.recovery.settings import History, Training
from pruning.recovery.training import Recovered, recover
from pruning.surgery import PrunedModel
from tests.families import FAMILIES, examples_of, inputs_of, logits_of, model_of, save

SETTINGS = Training(epochs=2, batch_size=4, learning_rate=1e-2)
MASK = Mask.parse_heads("0:1,1:0-2")
FAST = ("bert", "vit", "gpt2", "llama-lm", "bloom-lm")  # every task, both ways to store weights, both layouts


@functools.cache
def cut(name: str, mask: Mask = MASK) -> PrunedModel:
    """Cut once for all tests: recovery promises to leave it as it is."""
    return prune(model_of(name), mask)


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(module: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    now = module.state_dict()
    return now.keys() == before.keys() and all(torch.equal(now[name], before[name]) for name in now)


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


@pytest.fixture
def ticking() -> Iterator[Any]:
    """A clock that goes on by a minute whenever somebody looks."""
    now = iter(range(10_000))
    return lambda: 60.0 * next(now)


@pytest.mark.parametrize("method", ["lora", "fine-tune"])
@pytest.mark.parametrize("name", FAST)
def test_a_copy_is_trained_and_nothing_else(name: str, method: Any) -> None:
    model, given = model_of(name), cut(name)
    before, was = weights(model.module), weights(given.module)
    state, hooked = torch.get_rng_state(), (hooks(model.module), hooks(given.module))
    settings = replace(SETTINGS, method=method, loss="labels", held_out=0)
    found = recover(model, given, examples_of(name, 6), settings=settings)
    assert same(model.module, before)
    assert same(given.module, was)
    assert (hooks(model.module), hooks(given.module)) == hooked
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(found.module, was)
    assert found.module.state_dict().keys() == was.keys(), "an ordinary module remains"
    assert not any(
        p.requires_grad or p.grad is not None for p in (*model.module.parameters(), *given.module.parameters())
    )
    assert not found.module.training
    assert not any(p.requires_grad for p in found.module.parameters())
    assert found.pruned.recovery == f"trained by {method} on labels, {found.steps} steps"


@pytest.mark.parametrize("name", FAST)
def test_training_lowers_the_loss_that_it_trains_on(name: str) -> None:
    """On the training rows themselves, with the last state kept."""
    model, examples = model_of(name), examples_of(name, 6)
    settings = Training("fine-tune", "labels", epochs=8, batch_size=6, learning_rate=3e-3, held_out=0)
    found = recover(model, cut(name), examples, settings=settings)
    before, after = (evaluate(replace(model, module=p.module), examples) for p in (cut(name), found.pruned))
    assert after.metrics["loss"].value < before.metrics["loss"].value


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama-lm"])
def test_merged_equals_unmerged(name: str) -> None:
    """Random updates, so that there is something to merge; the same sums in another order."""
    module = FAMILIES[name].build()
    inputs, before = inputs_of(name), logits_of(FAMILIES[name].build(), inputs_of(name))
    merge = adapt(module, 4)
    torch.testing.assert_close(logits_of(module, inputs), before, atol=1e-6, rtol=0)  # updates begin as zero
    generator = torch.Generator().manual_seed(0)
    for path, parameter in module.named_parameters():
        if "lora_B" in path:
            parameter.data = 0.05 * torch.randn(parameter.shape, generator=generator)
    unmerged = logits_of(module, inputs)
    merge()
    assert float((unmerged - before).abs().max()) > 1e-2
    torch.testing.assert_close(logits_of(module, inputs), unmerged, atol=1e-5, rtol=1e-5)
    assert not [path for path, child in module.named_modules() if "peft" in type(child).__module__]


def test_the_divergence_is_that_of_the_definition() -> None:
    """Σ p log(p / q) by hand, softened, times the temperature squared; over tokens it is a mean."""
    student, teacher = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 5)
    teacher[:, 1] = 2.0
    for temperature in (1.0, 3.0):
        p, q = (torch.exp(x / temperature) for x in (teacher.double(), student.double()))
        p, q = p / p.sum(-1, keepdim=True), q / q.sum(-1, keepdim=True)
        expected = (p * (p / q).log()).sum(-1) * temperature**2
        torch.testing.assert_close(distillation(student, teacher, temperature).double(), expected, atol=1e-6, rtol=0)
        tokens = distillation(student[None].repeat(2, 1, 1), teacher[None].repeat(2, 1, 1), temperature)
        torch.testing.assert_close(tokens.double(), expected.mean().repeat(2), atol=1e-6, rtol=0)
    assert float(distillation(teacher, teacher, 2.0).abs().max()) == 0


@pytest.mark.parametrize("name", ["bert", "llama-lm"])
def test_the_first_row_is_the_given_model(name: str) -> None:
    """Held-out loss of the mixed objective, by the two models' own outputs."""
    model, given, examples = model_of(name), cut(name), examples_of(name, 10)
    settings = replace(SETTINGS, loss="both", distill_weight=0.3, temperature=2.0, epochs=1)
    found = recover(model, given, examples, settings=settings)
    expected = []
    for position in split_rows(examples, None, settings).held_positions:
        row = {key: torch.as_tensor(value)[None] for key, value in examples.features[position].items()}
        mine, theirs = logits_of(given.module, row), logits_of(model.module, row)
        if examples.targets:
            label = -mine[0].log_softmax(-1)[examples.targets[position]]
        else:
            label = -mine[0, :-1].log_softmax(-1).gather(-1, row["input_ids"][0, 1:, None]).mean()
        p, q = ((x / 2).softmax(-1).flatten(0, -2) for x in (theirs, mine))
        expected.append(0.7 * label + 0.3 * 4 * (p * (p / q).log()).sum(-1).mean())
    assert found.history[0].held_out_loss == pytest.approx(float(torch.stack(expected).mean()), abs=1e-5)
    assert found.history[0].step == 0
    assert found.history[0].train_loss is None


def test_hidden_states_count_where_they_can_be_compared() -> None:
    model, examples = model_of("bert"), examples_of("bert", 8)
    settings = replace(SETTINGS, hidden_weight=2.0, loss="labels", epochs=1)
    plain = recover(model, cut("bert"), examples, settings=replace(settings, hidden_weight=0.0))
    found = recover(model, cut("bert"), examples, settings=settings)
    expected = []
    for position in split_rows(examples, None, settings).held_positions:
        row = {key: torch.as_tensor(value)[None] for key, value in examples.features[position].items()}
        with torch.no_grad():
            one, other = (m(**row, output_hidden_states=True).hidden_states for m in (cut("bert").module, model.module))
        expected.append(np.mean([float((a - b).square().mean()) for a, b in zip(one, other, strict=True)]))
    extra = found.history[0].held_out_loss - plain.history[0].held_out_loss  # type: ignore[operator]
    assert extra == pytest.approx(2 * np.mean(expected), abs=1e-5)
    with pytest.raises(UnsupportedError, match="cannot be compared"):
        recover(model, cut("bert", Mask(layers=frozenset({0}))), examples, settings=settings)


def test_the_best_state_is_kept_and_patience_ends_it() -> None:
    """Far too high a learning rate: it gets worse, ends early, and what is kept is as good as the best row."""
    model, given, examples = model_of("bert"), cut("bert"), examples_of("bert", 20)
    settings = Training("fine-tune", "labels", epochs=30, batch_size=4, learning_rate=0.05, patience=2, held_out=0.4)
    found = recover(model, given, examples, settings=settings)
    losses = [row.held_out_loss for row in found.history]
    assert found.reason == "patience"
    assert found.best.held_out_loss == min(losses)  # type: ignore[type-var]
    assert len(found.history) - 1 - found.history.index(found.best) == settings.patience
    held = np.array(split_rows(examples, None, settings).held_positions)
    kept = evaluate(replace(model, module=found.module), examples)
    assert kept.outcome.losses[held].mean() == pytest.approx(found.best.held_out_loss, abs=1e-5)
    assert kept.outcome.hits[held].mean() == pytest.approx(found.best.held_out_accuracy)


def test_a_training_that_helps_nothing_gives_the_given_weights() -> None:
    model, given = model_of("bert"), cut("bert")
    for method in ("lora", "fine-tune"):
        settings = Training(method, "labels", epochs=2, learning_rate=10.0, seed=3)  # type: ignore[arg-type]
        found = recover(model, given, examples_of("bert", 10), settings=settings)
        assert found.best.step == 0
        assert same(found.module, weights(given.module))
        assert found.pruned.recovery == ""


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, method="fine-tune", noise=0.1)])
def test_seeds_reproduce(settings: Training) -> None:
    model, examples = model_of("bert"), examples_of("bert", 10)

    def trained(seed: int) -> Recovered:
        torch.manual_seed(seed + 1)  # the process's own random numbers do not matter
        return recover(model, cut("bert"), examples, settings=replace(settings, held_out=0, seed=seed))

    one, same_seed, other = trained(0), trained(0), trained(1)
    assert same(one.module, weights(same_seed.module))
    assert not same(one.module, weights(other.module))


def test_noise_changes_training_and_leaves_no_hook() -> None:
    model, examples = model_of("vit"), examples_of("vit", 6)
    settings = replace(SETTINGS, held_out=0, loss="labels")
    plain, noisy = (recover(model, cut("vit"), examples, settings=replace(settings, noise=n)) for n in (0.0, 0.5))
    assert not same(noisy.module, weights(plain.module))
    assert hooks(noisy.module) == hooks(plain.module)


@pytest.mark.parametrize("method", ["lora", "fine-tune"])
def test_cancelling_leaves_no_trace(method: Any) -> None:
    model, given = model_of("bert"), cut("bert")
    before, was, state = weights(model.module), weights(given.module), torch.get_rng_state()
    counts = hooks(model.module), hooks(given.module)

    def cancel(done: int, total: int, history: tuple[History, ...]) -> None:
        raise Cancelled("no longer wanted")

    with pytest.raises(Cancelled):
        recover(
            model, given, examples_of("bert"), settings=replace(SETTINGS, method=method, noise=0.1), progress=cancel
        )
    with pytest.raises(Cancelled):
        gradual(model, [MASK], examples_of("bert"), settings=replace(SETTINGS, method=method), progress=cancel)
    assert same(model.module, before)
    assert same(given.module, was)
    assert torch.equal(torch.get_rng_state(), state)
    assert counts == (hooks(model.module), hooks(given.module))
    assert not any(p.grad is not None for p in (*model.module.parameters(), *given.module.parameters()))


def test_progress_and_stopping_by_hand() -> None:
    model, seen = model_of("bert"), []
    examples, settings = examples_of("bert", 20), replace(SETTINGS, epochs=5, patience=9)
    found = recover(model, cut("bert"), examples, settings=settings, progress=lambda *now: seen.append(now))
    assert [done for done, _, _ in seen] == list(range(1, found.steps + 1))
    assert {total for _, total, _ in seen} == {found.steps}
    assert seen[-1][2] == found.history[:-1]
    asked = iter([False, False, True])
    early = recover(model, cut("bert"), examples, settings=settings, should_stop=lambda: next(asked))
    assert (early.reason, early.steps) == ("asked", 2)
    assert [row.step for row in early.history] == [0, 2]


def test_the_time_limit_ends_it(ticking: Any) -> None:
    settings = replace(SETTINGS, minutes=4, held_out=0)
    found = recover(model_of("bert"), cut("bert"), examples_of("bert", 20), settings=settings, watch=ticking)
    assert found.reason == "minutes"
    assert 0 < found.steps < 5
    assert found.best.step == found.steps


def test_steps_hold_every_example_once_in_parts_of_equal_length() -> None:
    examples = examples_of("bert", 23)
    steps = steps_of(examples.keys, range(3, 23), 6, np.random.default_rng(0))
    assert sorted(i for step in steps for part in step for i in part) == list(range(3, 23))
    assert all(len({examples.keys[i] for i in part}) == 1 and len(part) <= 6 for step in steps for part in step)
    assert all(sum(map(len, step)) >= 6 for step in steps[:-1])
    assert steps != steps_of(examples.keys, range(3, 23), 6, np.random.default_rng(1))


def test_the_split_is_the_seeds() -> None:
    examples = examples_of("bert", 20)
    one, two, other = (split_rows(examples, None, Training(seed=seed)) for seed in (0, 0, 1))
    assert one.held_positions == two.held_positions != other.held_positions
    assert len(one.held_positions) == 4
    assert sorted((*one.positions, *one.held_positions)) == list(range(20))
    given = split_rows(examples, examples_of("bert", 3), Training())
    assert (len(given.positions), len(given.held_positions)) == (20, 3)


def test_given_rows_are_held_out() -> None:
    """They have numbers of their own, which must not be mixed up with those of the training rows."""
    model, held, settings = model_of("bert"), examples_of("bert", 12), replace(SETTINGS, loss="distill", held_out=0)
    backwards = replace(held, features=held.features[::-1], keys=held.keys[::-1])
    found = recover(model, cut("bert"), backwards, settings=settings, held_out=held)
    expected = []
    for features in held.features:
        row = {key: torch.as_tensor(value)[None] for key, value in features.items()}
        p, q = ((logits_of(one.module, row) / 2).softmax(-1) for one in (model, found))
        expected.append(4 * float((p * (p / q).log()).sum()))
    assert found.rows == (12, 12)
    assert found.best.step > 0
    assert found.best.held_out_loss == pytest.approx(np.mean(expected), abs=1e-5)


def test_the_learning_rate_rises_and_falls() -> None:
    factors = [rate_factor(step, 20, 0.2) for step in range(20)]
    assert max(factors) == factors[4] == 1
    assert factors[:5] == sorted(factors[:5])
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert 0 < factors[-1] < 0.1
    assert rate_factor(0, 10, 0) == 1


# Gradual pruning -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "fine-tune"])
@pytest.mark.parametrize("name", ["bert", "llama"])
def test_gradual_ends_at_the_last_mask(name: str, method: Any) -> None:
    model, examples = model_of(name), examples_of(name, 10)
    before, seen = weights(model.module), []
    masks = [Mask.parse_heads("0:1"), Mask.parse_heads("0:1,1:0"), MASK]
    settings = replace(SETTINGS, method=method, epochs=1)
    found = gradual(model, masks, examples, settings=settings, progress=lambda *now: seen.append(now))
    assert same(model.module, before)
    assert found.pruned.mask == MASK
    assert found.pruned.parameters == cut(name).parameters
    assert found.pruned.difference <= 1e-5, "masked and cut agree with the trained weights, too"
    assert [done for done, _, _ in seen] == list(range(1, found.steps + 1))
    assert [row.step for row in found.history].count(0) == 3
    assert found.pruned.recovery.endswith("in 3 cuts")


def test_gradual_in_one_cut_is_recovery_after_it() -> None:
    """The equivalence law, through training: all weights, so that nothing depends on the shapes of random updates."""
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model, examples = wrap_model(FAMILIES["bert"].build(**without_dropout)), examples_of("bert", 10)
    settings = Training("fine-tune", "both", epochs=2, batch_size=4, held_out=0, learning_rate=3e-3)
    one = gradual(model, [MASK], examples, settings=settings)
    given, inputs = prune(model, MASK), inputs_of("bert")
    other = recover(model, given, examples, settings=settings)
    assert float((logits_of(other.module, inputs) - logits_of(given.module, inputs)).abs().max()) > 0.1
    torch.testing.assert_close(logits_of(one.module, inputs), logits_of(other.module, inputs), atol=1e-3, rtol=0)


def test_gradual_ends_early_at_the_last_mask() -> None:
    model, masks = model_of("bert"), [Mask.parse_heads("0:1"), Mask.parse_heads("0:1,1:0"), MASK]
    asked = iter([False, True])
    found = gradual(model, masks, examples_of("bert", 10), settings=SETTINGS, should_stop=lambda: next(asked))
    assert (found.reason, found.steps, found.pruned.mask) == ("asked", 1, MASK)
    held = list(split_rows(examples_of("bert", 10), None, SETTINGS).held_positions)
    kept = evaluate(replace(model, module=found.module), examples_of("bert", 10))
    assert kept.outcome.hits[held].mean() == found.best.held_out_accuracy == found.history[-1].held_out_accuracy


def test_masks_that_are_not_nested_are_refused() -> None:
    model, examples = model_of("bert"), examples_of("bert")
    with pytest.raises(MaskError, match="mask 2 does not hold all of mask 1"):
        gradual(model, [Mask.parse_heads("0:1"), Mask.parse_heads("0:2")], examples)
    with pytest.raises(MaskError, match="at least one mask"):
        gradual(model, [], examples)


# Export --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mask", "ordinary"),
    [("llama-lm", Mask(layers=frozenset({1})), True), ("bert", MASK, False)],
)
@pytest.mark.parametrize("method", ["lora", "fine-tune"])
def test_a_recovered_model_is_exported_like_any_other(
    name: str, mask: Mask, ordinary: bool, method: Any, tmp_path: Path
) -> None:
    model = model_of(name)
    settings = replace(SETTINGS, method=method, held_out=0, epochs=1)
    found = recover(model, cut(name, mask), examples_of(name), settings=settings)
    written = export_checkpoint(model, found.pruned, tmp_path / "small", story=Story())
    assert written.reload_difference == 0
    assert written.ordinary == ordinary
    assert f"changed after the cut: {found.pruned.recovery}." in (tmp_path / "small" / "README.md").read_text("utf-8")


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "adapter"}, "method is 'adapter': allowed are fine-tune, lora"),
        ({"loss": "hinge"}, "loss is 'hinge': allowed are labels, distill, both"),
        ({"temperature": 0.0}, "temperature is 0.0: it must be above 0"),
        ({"held_out": 1.0}, "held_out is 1.0: it must be 0 or more and below 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan: it must be above 0"),
        ({"epochs": 0}, "epochs is 0: it must be at least 1"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PruningError, match=message):
        Training(**settings)


def test_half_precision_and_too_few_rows_are_refused() -> None:
    model: LoadedModel = wrap_model(FAMILIES["bert"].build().to(torch.bfloat16))
    with pytest.raises(UnsupportedError, match=r"float32, not bfloat16: load the model with --dtype float32"):
        recover(model, prune(model, MASK), examples_of("bert"))
    with pytest.raises(DataError, match=r"1 example\(s\) are too few"):
        recover(model_of("bert"), cut("bert"), examples_of("bert", 1))


def test_a_training_that_diverges_says_so() -> None:
    settings = Training("fine-tune", "labels", learning_rate=1e30, held_out=0, epochs=3, warmup=0)
    with pytest.raises(PruningError, match="lower learning_rate"):
        recover(model_of("bert"), cut("bert"), examples_of("bert"), settings=settings)


# The registry and the command line -----------------------------------------------------------------------------------


def test_the_registry() -> None:
    assert list(recovery_methods()) == ["mean", "reconstruct", "finetune", "lora", "distill"]
    assert all(method.label and method.about.endswith(".") for method in recovery_methods().values())
    assert all((method.settings is not None) == method.trains for method in recovery_methods().values())
    with pytest.raises(PruningError, match="no recovery method 'hope'; there are mean, reconstruct"):
        get_method("hope")
    with pytest.raises(ValueError, match="registered already"):
        register_method(RecoveryMethod("lora", "", "", needs_data=True, trains=True))


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["pruning", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0)


def test_prune_recovers(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, reviews: Path
) -> None:
    big, small = save("bert", tmp_path / "big"), tmp_path / "small"
    arguments = ("prune", big, "--heads", "0:1", "-o", small, "--recover", "distill", "--recover-data", reviews)
    assert command(monkeypatch, *arguments, "--recover-minutes", 1, "--json", "-") == 0
    value = json.loads(capfd.readouterr().out)
    assert value["reload_difference"] == 0
    assert value["training"]["rows"] == {"trained": 32, "held_out": 8}
    assert value["training"]["history"][0]["step"] == 0
    assert len(value["training"]["history"]) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recover", "lora"], "name the rows to recover with"),
        (["--recover", "lora", "--recover-data", "{data}", "--data", "{data}"], "hold the same rows"),
        (["--recover-minutes", "3"], "--recover-minutes needs --recover"),
        (["--recover", "hope"], "is not one of"),
    ],
)
def test_prune_refuses(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    reviews: Path,
    arguments: list[str],
    message: str,
) -> None:
    big, small = save("bert", tmp_path / "big"), tmp_path / "small"
    filled = [argument.format(data=reviews) for argument in arguments]
    assert command(monkeypatch, "prune", big, "--heads", "0:1", "-o", small, *filled) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not small.exists()
