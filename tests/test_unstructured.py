"""Unstructured pruning: the masks are torch's own, the patterns hold, and the figures are honest."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from pruning import Cancelled, PruningError, UnsupportedError, export_checkpoint
from pruning.cli import main
from pruning.recovery.settings import Training
from pruning.unstructured import COMPARISONS, Sparsity, get_weight_score, weight_scores
from pruning.unstructured.base import register
from pruning.unstructured.choosing import by_pattern, choose
from pruning.unstructured.dynamic import CubicSchedule, sparsify_gradually
from pruning.unstructured.measuring import measure_sparse
from pruning.unstructured.sparsifying import linear_paths, sparsify
from tests.families import FAMILIES, examples_of, inputs_of, logits_of, model_of, save

NAMES = ("bert", "gpt2", "vit", "llama-lm", "albert")  # transposed weights, images, a language model, shared layers
TRAINING = Training("fine-tune", "labels", epochs=3, batch_size=4, learning_rate=1e-3, patience=99)


def layers(name: str) -> list[nn.Module]:
    """The pruned layers of a fresh copy of the family."""
    module = FAMILIES[name].build()
    return [module.get_submodule(path) for path in linear_paths(model_of(name))]


def weight(layer: Any) -> Tensor:
    return layer.weight.t() if type(layer).__name__ == "Conv1D" else layer.weight


def result(name: str, **settings: Any) -> list[Tensor]:
    found = sparsify(model_of(name), examples_of(name), Sparsity(**settings))
    return [weight(found.module.get_submodule(path)) for path in found.masks]


@pytest.mark.parametrize("name", NAMES)
def test_magnitude_is_torchs_own(name: str) -> None:
    """``l1_unstructured`` layer by layer and ``global_unstructured``, on another copy of the model."""
    one, every = layers(name), layers(name)
    for layer in one:
        torch_prune.l1_unstructured(layer, "weight", 0.37)
    torch_prune.global_unstructured([(layer, "weight") for layer in every], torch_prune.L1Unstructured, amount=0.37)
    for compare, expected in (("layer", one), ("global", every)):
        found = result(name, share=0.37, compare=compare)
        assert all(torch.equal(a, weight(b)) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("method", weight_scores())
@pytest.mark.parametrize("name", NAMES)
def test_every_score_on_every_kind_of_model(name: str, method: str) -> None:
    model = model_of(name)
    before = {key: tensor.clone() for key, tensor in model.module.state_dict().items()}
    for compare in COMPARISONS:
        found = sparsify(model, examples_of(name), Sparsity(method, 0.5, compare))
        assert found.share == pytest.approx(0.5, abs=0.01)
        changed = {k for k, v in found.module.state_dict().items() if not torch.equal(v, before[k])}
        assert changed == {f"{path}.weight" for path in linear_paths(model)}
        for path, mask in found.masks.items():
            old, new = weight(model.module.get_submodule(path)), weight(found.module.get_submodule(path))
            assert torch.equal(new, old * mask)
            assert ((new == 0).sum(1) == round(0.5 * new.shape[1])).all() or compare != "row"
    assert all(torch.equal(v, before[k]) for k, v in model.module.state_dict().items())
    assert not any(m._forward_pre_hooks for m in found.module.modules()), "torch's masks are gone"
    assert not any(p.requires_grad for p in found.module.parameters())


def inputs_of_layers(name: str) -> list[Tensor]:
    """``(token, in)`` of each pruned layer over all examples, one example at a time, by hooks of the test's own."""
    module, seen = FAMILIES[name].build(), {}
    for path in linear_paths(model_of(name)):
        seen[path] = []
        module.get_submodule(path).register_forward_pre_hook(
            lambda _, args, path=path: seen[path].append(args[0].reshape(-1, args[0].shape[-1]))
        )
    for row in examples_of(name).features:
        logits_of(module, {key: torch.as_tensor(value)[None] for key, value in row.items()})
    return [torch.cat(found) for found in seen.values()]


@pytest.mark.parametrize("name", ["bert", "gpt2", "albert"])
def test_wanda_by_a_loop(name: str) -> None:
    """Row by row, weight by weight: the lowest |w| ‖x‖ of each row go."""
    found = result(name, method="wanda", share=0.25)
    for new, layer, inputs in zip(found, layers(name), inputs_of_layers(name), strict=True):
        norms = inputs.double().norm(dim=0)
        for kept, row in zip(new[:6], weight(layer)[:6], strict=True):
            scores = sorted((abs(float(w)) * float(norms[j]), j) for j, w in enumerate(row))
            gone = {j for _, j in scores[: round(0.25 * len(row))]}
            assert {j for j, w in enumerate(kept) if w == 0} == gone


@pytest.mark.parametrize("name", ["bert", "llama-lm"])
def test_gradient_times_weight_by_backward(name: str) -> None:
    """The mean loss over all examples, one at a time, with ``backward``."""
    module, examples = FAMILIES[name].build(), examples_of(name)
    every = [module.get_submodule(path) for path in linear_paths(model_of(name))]
    for layer in every:
        layer.weight.requires_grad_(True)
    for i, features in enumerate(examples.features):
        row = {key: torch.as_tensor(value)[None] for key, value in features.items()}
        logits = module(**row).logits[0]
        targets = torch.tensor([examples.targets[i]]) if examples.targets else row["input_ids"][0, 1:]
        logits = logits[None] if examples.targets else logits[:-1]
        (nn.functional.cross_entropy(logits, targets) / len(examples)).backward()
    expected = choose(
        {str(i): (layer.weight * layer.weight.grad).detach().abs() for i, layer in enumerate(every)},
        Sparsity("gradient-weight", 0.4),
    )
    found = result(name, method="gradient-weight", share=0.4)
    wrong = sum(int(((a != 0) != b).sum()) for a, b in zip(found, expected.values(), strict=True))
    assert wrong <= 4, "equal to the last bits of float32, so that only near ties may differ"


@pytest.mark.parametrize(("pattern", "n", "m"), [("2:4", 2, 4), ("4:8", 4, 8), ("1:4", 1, 4)])
@pytest.mark.parametrize("method", weight_scores())
def test_patterns_keep_exactly_n_of_m(method: str, pattern: str, n: int, m: int) -> None:
    for new, layer in zip(result("gpt2", method=method, pattern=pattern), layers("gpt2"), strict=True):
        groups, old = new.reshape(-1, m), weight(layer).reshape(-1, m)
        assert ((groups != 0).sum(1) == n).all()
        if method == "magnitude":
            assert torch.equal(groups.abs().sort(1).values[:, -n:], old.abs().sort(1).values[:, -n:])


def test_a_pattern_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"layer\.0 has 6 inputs, which the pattern 2:4 does not divide"):
        by_pattern(torch.rand(2, 6), 2, 4, "layer.0")


# While training ------------------------------------------------------------------------------------------------------


def test_the_schedule_is_cubic_and_ends_at_the_target() -> None:
    schedule = CubicSchedule(0.2, 0.7, 5)
    shares = [schedule.share_at(step, 100, 0.9) for step in range(100)]
    assert shares[:20] == [0] * 20
    assert shares == sorted(shares)
    assert set(shares[70:]) == {0.9}
    for update in range(1, 6):  # s + (0 − s)(1 − t)³ of Zhu & Gupta, at the times of the updates
        assert shares[20 + 10 * update] == pytest.approx(0.9 - 0.9 * (1 - update / 5) ** 3)
    assert CubicSchedule(0.0, 0.0, 1).share_at(0, 10, 0.5) == 0.5
    with pytest.raises(PruningError, match="it must begin before it ends"):
        CubicSchedule(0.5, 0.2)


@pytest.mark.parametrize("method", weight_scores())
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_gradual_pruning_hits_the_target_exactly(name: str, method: str) -> None:
    model, examples = model_of(name), examples_of(name, 14)
    before = {key: tensor.clone() for key, tensor in model.module.state_dict().items()}
    settings = Sparsity(method, 0.6, "global")
    found = sparsify_gradually(model, examples, settings, training=TRAINING)
    assert all(torch.equal(v, before[k]) for k, v in model.module.state_dict().items())
    assert found.module.state_dict().keys() == before.keys()
    zeros = sum(int((found.module.get_parameter(f"{path}.weight") == 0).sum()) for path in found.masks)
    assert zeros == round(0.6 * found.weights) == found.weights - sum(int(m.sum()) for m in found.masks.values())
    moved = [k for k, v in found.module.state_dict().items() if "bias" in k and not torch.equal(v, before[k])]
    assert moved, "what stays was trained"
    assert found.training is not None
    assert found.training.best.step >= 0.6 * found.training.steps, "no state before the target counts"


def test_what_is_zero_stays_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights that stay after each update are among those that stayed before it."""
    seen: list[Tensor] = []

    def watched(*arguments: Any) -> dict[str, Tensor]:
        masks = choose(*arguments)
        seen.append(torch.cat([mask.flatten() for mask in masks.values()]))
        return masks

    monkeypatch.setattr("pruning.unstructured.dynamic.choose", watched)
    sparsify_gradually(model_of("bert"), examples_of("bert", 14), Sparsity(share=0.8), training=TRAINING)
    assert len(seen) > 2
    for one, other in pairwise(seen):
        assert int(one.sum()) > int(other.sum())
        assert bool((one >= other).all())


def test_ending_early_still_reaches_the_target() -> None:
    asked = iter([False, False, True])
    found = sparsify_gradually(
        model_of("bert"),
        examples_of("bert", 14),
        Sparsity(share=0.7),
        training=TRAINING,
        should_stop=lambda: next(asked),
    )
    assert found.training is not None
    assert (found.training.reason, found.training.steps) == ("asked", 2)
    assert found.share == pytest.approx(0.7, abs=1e-3)


def test_low_rank_updates_and_patterns_do_not_grow() -> None:
    model, examples = model_of("bert"), examples_of("bert", 10)
    with pytest.raises(UnsupportedError, match="use fine-tune without a pattern"):
        sparsify_gradually(model, examples, training=Training("lora"))
    with pytest.raises(UnsupportedError, match="use fine-tune without a pattern"):
        sparsify_gradually(model, examples, Sparsity(pattern="2:4"))


# Figures and files ---------------------------------------------------------------------------------------------------


def test_the_figures_are_honest(tmp_path: Path) -> None:
    """A clock that goes on by one, so that every ratio is one; sizes against files and formulas of the test's own."""
    from safetensors.torch import save_file

    model, ticks = model_of("bert"), count()
    found = sparsify(model, None, Sparsity(share=0.75, compare="layer"))
    figures = measure_sparse(model.module, found.module, found.masks, rounds=5, clock=lambda: float(next(ticks)))
    kept = list(found.masks.values())
    assert figures.weights == sum(m.numel() for m in kept)
    assert figures.share == pytest.approx(0.75, abs=0.01)
    state = {name: tensor.contiguous() for name, tensor in found.module.state_dict().items()}
    save_file(state, tmp_path / "dense.safetensors")
    assert figures.dense_bytes == pytest.approx((tmp_path / "dense.safetensors").stat().st_size, abs=64)
    rest = figures.dense_bytes - 4 * figures.weights
    assert figures.csr_bytes == rest + sum(8 * int(m.sum()) + 4 * (m.shape[0] + 1) for m in kept)
    assert figures.bitmask_bytes == rest + sum(4 * int(m.sum()) + -(-m.numel() // 8) for m in kept)
    assert figures.zipped_bytes < figures.zipped_before_bytes <= figures.dense_bytes * 1.01
    assert (figures.zeros_latency.value, figures.csr_latency.value) == (1, 1)
    assert figures.rounds == 5
    assert "as large and as fast as before" in figures.text


def test_the_share_of_zeros_alone_changes_no_size() -> None:
    model = model_of("bert")
    none, much = (sparsify(model, None, Sparsity(share=share)) for share in (0.0, 0.9))
    sizes = [measure_sparse(model.module, s.module, s.masks, rounds=2).dense_bytes for s in (none, much)]
    assert sizes[0] == sizes[1]


def test_it_is_exported_like_any_other(tmp_path: Path) -> None:
    model = model_of("bert")
    found = sparsify(model, examples_of("bert"), Sparsity("wanda", pattern="2:4"))
    written = export_checkpoint(model, found.as_pruned(), tmp_path / "sparse")
    assert written.ordinary
    assert written.reload_difference == 0
    again = FAMILIES["bert"].model.from_pretrained(tmp_path / "sparse").eval()
    torch.testing.assert_close(logits_of(again, inputs_of("bert")), logits_of(found.module, inputs_of("bert")))
    card = (tmp_path / "sparse" / "README.md").read_text(encoding="utf-8")
    assert "50.0% of the weights of 12 linear layers set to zero, wanda in the pattern 2:4" in card


@pytest.mark.parametrize("options", [["--method", "wanda", "--share", "0.3"], ["--pattern", "2:4"]])
def test_the_command(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    reviews: Path,
    options: list[str],
) -> None:
    big = save("bert", tmp_path / "big")
    arguments = ["sparsify", big, "--data", reviews, *options, "-o", tmp_path / "sparse", "--rounds", 2, "--json", "-"]
    monkeypatch.setattr(sys, "argv", ["pruning", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    value = json.loads(capfd.readouterr().out)
    assert value["figures"]["share"] == pytest.approx(0.3 if "--share" in options else 0.5, abs=0.02)
    assert value["reload_difference"] == 0
    assert value["metrics"]["before"].keys() == value["metrics"]["after"].keys()


# Refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "size"}, "there is no weight score 'size'; there are magnitude, gradient-weight, wanda"),
        ({"share": 1.5}, "share is 1.5: it must be between 0 and 1"),
        ({"compare": "column"}, "compare is 'column': allowed are global, layer, row"),
        ({"pattern": "5:4"}, "pattern is '5:4': write N:M, like 2:4 or 4:8"),
        ({"pattern": "two"}, "pattern is 'two': write N:M"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(PruningError, match=message):
        Sparsity(**settings)


def test_a_score_without_its_examples_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="wanda needs examples"):
        sparsify(model_of("bert"), None, Sparsity("wanda"))
    with pytest.raises(ValueError, match="registered already"):
        register(get_weight_score("wanda"))


def test_cancelling_leaves_no_trace() -> None:
    model = model_of("bert")
    before = logits_of(model.module, inputs_of("bert"))

    def cancel(*_: object) -> None:
        raise Cancelled("no longer wanted")

    with pytest.raises(Cancelled):
        sparsify(model, examples_of("bert"), Sparsity("wanda"), progress=cancel)
    with pytest.raises(Cancelled):
        sparsify_gradually(model, examples_of("bert", 10), training=replace(TRAINING, epochs=1), progress=cancel)
    assert torch.equal(logits_of(model.module, inputs_of("bert")), before)
    assert not any("hook" in type(h).__name__ for m in model.module.modules() for h in m._forward_pre_hooks.values())
