"""The criteria that look at the loss, each against an independent implementation and answers found by hand.

The tolerance is 1e-5 of a value of at most 1: float32 through two layers, forward and back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, permutations, product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pruning import LoadedModel, Mask, PruningError, evaluate, measure_means, score, task_of, wrap_model
from pruning.importance.context import ScoringContext, Setting
from pruning.importance.integrated_gradients import IntegratedGradients
from pruning.importance.learned_gates import LearnedGates, hard_concrete, open_probability
from pruning.importance.shapley import Shapley, contributions
from pruning.scopes import Scope
from pruning.tasks import Examples
from tests.families import FAMILIES, HEAD_DIM, HEADS, LAYERS, examples_of, model_of
from tests.reference import Pair, gate_gradients, gated_losses, head_columns, input_means, multiplied, zero_columns

PROJECTIONS = {  # written down here on purpose: the engine has to find them by itself
    "bert": "bert.encoder.layer.{}.attention.output.dense",
    "gpt2-lm": "transformer.h.{}.attn.c_proj",
    "llama": "model.layers.{}.self_attn.o_proj",
    "vit": "vit.layers.{}.attention.o_proj",
}
NEAR = {"rtol": 0, "atol": 1e-5}
GONE = "0:1,1:0"
QUICK = LearnedGates(steps=4, rows=4), Shapley(2, rows=3), IntegratedGradients(4)
ALL = ("signed-gradient", "fisher", "mean-ablation", *QUICK)


def projections(name: str) -> list[str]:
    return [PROJECTIONS[name].format(layer) for layer in range(LAYERS)]


def pairs_of(examples: Examples) -> list[Pair]:
    return list(zip(examples.features, examples.targets or (None,) * len(examples), strict=True))


def with_heads(name: str, gone: str) -> nn.Module:
    """The family's model with the output weights of some heads at zero."""
    module = FAMILIES[name].build()
    for site, head in Mask.parse_heads(gone).heads if gone else ():
        zero_columns(module.get_submodule(projections(name)[site]), head_columns(head, HEAD_DIM))
    return module


# Against independent implementations -------------------------------------------------------------------------------


def signed(module: nn.Module, paths: list[str], pairs: list[Pair]) -> np.ndarray:
    return -gate_gradients(module, paths, HEADS, pairs)


def squared(module: nn.Module, paths: list[str], pairs: list[Pair]) -> np.ndarray:
    return gate_gradients(module, paths, HEADS, pairs) ** 2


def integrated(module: nn.Module, paths: list[str], pairs: list[Pair]) -> np.ndarray:
    """Sixteen points of the Gauss–Legendre rule, moved from [-1, 1] to [0, 1]."""
    nodes = zip(*np.polynomial.legendre.leggauss(16), strict=True)
    return -sum(weight / 2 * gate_gradients(module, paths, HEADS, pairs, (x + 1) / 2) for x, weight in nodes)


def held_at_mean(module: nn.Module, paths: list[str], pairs: list[Pair]) -> np.ndarray:
    means = input_means(module, paths, pairs)
    rises = np.zeros((len(pairs), LAYERS, HEADS))
    whole = gated_losses(module, paths, np.ones((LAYERS, HEADS)), pairs)
    for site, head in product(range(LAYERS), range(HEADS)):
        gates = np.ones((LAYERS, HEADS))
        gates[site, head] = 0.0
        rises[:, site, head] = gated_losses(module, paths, gates, pairs, means) - whole
    return rises


REFERENCES: dict[str, Callable[[nn.Module, list[str], list[Pair]], np.ndarray]] = {
    "signed-gradient": signed,
    "fisher": squared,
    "integrated-gradients": integrated,
    "mean-ablation": held_at_mean,
}


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("criterion", REFERENCES)
@pytest.mark.parametrize("gone", ["", GONE])
def test_each_example_scores_as_in_a_plain_loop(name: str, criterion: str, gone: str) -> None:
    """On the whole model, and where two heads are gone already."""
    examples = examples_of(name, 4)
    expected = REFERENCES[criterion](with_heads(name, gone), projections(name), pairs_of(examples))
    found = score(model_of(name), criterion, examples, setting=Setting(Mask.parse_heads(gone) if gone else Mask()))
    assert found.scores is not None
    np.testing.assert_allclose(found.scores.reshape(expected.shape), expected, **NEAR)
    np.testing.assert_allclose(found.values, expected.mean(axis=0), **NEAR)
    assert np.abs(expected).max() > 1e-2, "nothing to compare"


def test_means_of_the_setting_take_the_place_of_closed_units() -> None:
    """The mean may come from other examples; what is gone already is then held at its mean, too."""
    examples, others, paths = examples_of("bert", 4), examples_of("bert", 6), projections("bert")
    means = measure_means(model_of("bert"), others)
    found = score(model_of("bert"), "mean-ablation", examples, setting=Setting(Mask.parse_heads(GONE), means))
    module, fills = FAMILIES["bert"].build(), input_means(FAMILIES["bert"].build(), paths, pairs_of(others))
    gates = np.ones((LAYERS, HEADS))
    gates[0, 1] = gates[1, 0] = 0.0
    whole = gated_losses(module, paths, gates, pairs_of(examples), fills)
    gates[1, 3] = 0.0
    rise = gated_losses(module, paths, gates, pairs_of(examples), fills) - whole
    assert found.values[1][3] == pytest.approx(rise.mean(), abs=1e-5)
    assert found.values[0][1] == found.values[1][0] == 0


@pytest.mark.parametrize("name", PROJECTIONS)
def test_integrated_gradients_add_up_to_what_all_heads_do(name: str) -> None:
    """Sixteen points leave an error of less than 1% of the largest value."""
    examples = examples_of(name, 4)
    scores = score(model_of(name), "integrated-gradients", examples).scores
    assert scores is not None
    module, paths, shape = FAMILIES[name].build(), projections(name), (LAYERS, HEADS)
    closed, opened = (gated_losses(module, paths, np.full(shape, gate), pairs_of(examples)) for gate in (0.0, 1.0))
    np.testing.assert_allclose(scores.sum(axis=1), closed - opened, rtol=0, atol=0.01 * np.abs(scores).max())


def test_a_setting_leaves_removed_units_at_zero() -> None:
    for criterion in ALL:
        found = score(model_of("bert"), criterion, examples_of("bert"), setting=Setting(Mask.parse_heads(GONE)))
        zeros = [(site, head) for site, row in enumerate(found.values) for head, value in enumerate(row) if value == 0]
        assert zeros == [(0, 1), (1, 0)], found.criterion


@pytest.mark.parametrize("criterion", ["fisher", QUICK[0], QUICK[2]], ids=["fisher", "learned", "integrated"])
def test_a_model_that_mixes_its_batch_is_scored_one_by_one(criterion: Any) -> None:
    """Gates of their own for each example need a batch of one there; the values stay the same."""
    plain, sizes = model_of("bert"), []
    alone = replace(plain)
    vars(alone)["anatomy"] = replace(plain.anatomy, per_example=False)  # found once, and kept there
    watch = plain.module.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    try:
        found = score(alone, criterion, examples_of("bert"))
    finally:
        watch.remove()
    assert set(sizes) == {1}
    np.testing.assert_allclose(found.flat(), score(plain, criterion, examples_of("bert")).flat(), **NEAR)


# Shapley values ----------------------------------------------------------------------------------------------------

LEFT = [(0, 0), (0, 2), (1, 1), (1, 3)]
REST = Setting(Mask.parse_heads("0:1,0:3,1:0,1:2"))


def worth(name: str, examples: Examples, present: tuple[tuple[int, int], ...]) -> float:
    gates = np.zeros((LAYERS, HEADS))
    for head in present:
        gates[head] = 1.0
    return -float(gated_losses(FAMILIES[name].build(), projections(name), gates, pairs_of(examples)).mean())


def shapley_by_subsets(name: str, examples: Examples) -> np.ndarray:
    """The weighted sum over all subsets of the other heads (Shapley 1953), ``(4,)``."""
    subsets = [subset for size in range(5) for subset in combinations(LEFT, size)]
    worths = {subset: worth(name, examples, subset) for subset in subsets}
    values = np.zeros(4)
    for i, head in enumerate(LEFT):
        for subset in subsets:
            if head not in subset:
                weight = math.factorial(len(subset)) * math.factorial(3 - len(subset)) / math.factorial(4)
                values[i] += weight * (worths[tuple(sorted((*subset, head)))] - worths[subset])
    return values


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return shapley_by_subsets("bert", examples_of("bert", 3))


def test_all_permutations_give_the_exact_shapley_values(exact: np.ndarray) -> None:
    examples = examples_of("bert", 3)
    worths = {s: worth("bert", examples, s) for size in range(5) for s in combinations(LEFT, size)}

    def value(present: np.ndarray) -> float:
        return worths[tuple(head for head, there in zip(LEFT, present, strict=True) if there)]

    total = np.zeros(4)
    for order in permutations(range(4)):
        found = contributions(np.array(order), value, worths[()], worths[tuple(LEFT)], 4)
        assert found.sum() == pytest.approx(worths[tuple(LEFT)] - worths[()], abs=1e-12)
        total[list(order)] += found / 24
    np.testing.assert_allclose(total, exact, rtol=0, atol=1e-12)


def test_sampled_shapley_values_are_near_the_exact_ones(exact: np.ndarray) -> None:
    """Within four of their own standard errors, which are small against the values."""
    found = score(model_of("bert"), Shapley(permutations=32), examples_of("bert", 3), setting=REST)
    left = tuple(zip(*LEFT, strict=True))
    values, errors = np.array(found.values)[left], np.array(found.standard_errors)[left]
    assert (np.abs(values - exact) <= 4 * errors + 1e-6).all()
    assert errors.max() < 0.3 * np.abs(exact).max()


@pytest.mark.parametrize("name", ["gpt2-lm", "vit"])
def test_shapley_values_add_up_to_what_all_heads_do(name: str) -> None:
    """For every sample of permutations."""
    examples, shape = examples_of(name, 3), (LAYERS, HEADS)
    found = score(model_of(name), Shapley(permutations=2), examples, seed=5)
    losses = [
        gated_losses(FAMILIES[name].build(), projections(name), np.full(shape, gate), pairs_of(examples)).mean()
        for gate in (0.0, 1.0)
    ]
    assert found.flat().sum() == pytest.approx(losses[0] - losses[1], abs=1e-5)


def test_shapley_uses_as_many_rows_as_it_says() -> None:
    examples = examples_of("bert", 6)
    one, again, other = (score(model_of("bert"), Shapley(2, rows=2), examples, seed=seed) for seed in (1, 1, 2))
    assert one.samples == 2
    assert one.values == again.values != other.values
    assert score(model_of("bert"), Shapley(2), examples).samples == 6


@pytest.mark.parametrize("settings", [{"permutations": 1}, {"rows": 0}])
def test_shapley_refuses_samples_that_are_too_small(settings: dict[str, int]) -> None:
    with pytest.raises(PruningError, match="at least 2 and 1"):
        score(model_of("bert"), Shapley(**settings), examples_of("bert"))


def test_neurons_are_too_many_for_shapley() -> None:
    with pytest.raises(PruningError, match="not defined for neurons"):
        score(model_of("bert"), "shapley", examples_of("bert"), scope="neurons")


# Learned gates -----------------------------------------------------------------------------------------------------


def trained_gates(name: str, examples: Examples, settings: LearnedGates, seed: int) -> np.ndarray:
    """Louizos et al. 2018 and Adam, written out, for examples of one shape that are all used at every step."""
    module, generator = FAMILIES[name].build(), torch.Generator().manual_seed(seed)
    logits = torch.full((LAYERS * HEADS,), settings.start, requires_grad=True)
    first, second = torch.zeros_like(logits), torch.zeros_like(logits)
    for step in range(1, settings.steps + 1):
        torch.randperm(1, generator=generator)  # the order of the only batch
        noise = torch.rand(len(examples), len(logits), generator=generator)
        objective = settings.penalty * torch.sigmoid(logits + 2 / 3 * math.log(11)).mean()
        for (features, target), u in zip(pairs_of(examples), noise, strict=True):
            gates = (1.2 * torch.sigmoid((u.log() - (1 - u).log() + logits) / (2 / 3)) - 0.1).clamp(0, 1)
            with multiplied(module, projections(name), list(gates.view(LAYERS, HEADS))):
                inputs = {key: value[None] for key, value in features.items()}
                loss = nn.functional.cross_entropy(module(**inputs).logits, torch.tensor([target]))
            objective = objective + loss / len(examples)
        (gradient,) = torch.autograd.grad(objective, logits)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        change = first / (1 - 0.9**step) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
        logits = (logits - settings.learning_rate * change).detach().requires_grad_()
    return torch.sigmoid(logits.detach() + 2 / 3 * math.log(11)).view(LAYERS, HEADS).numpy()


def test_learned_gates_are_trained_as_published() -> None:
    examples, settings = examples_of("vit", 6), LearnedGates(steps=6, rows=6)
    found = score(model_of("vit"), settings, examples, seed=3)
    expected = trained_gates("vit", examples, settings, seed=3)
    np.testing.assert_allclose(found.values, expected, **NEAR)
    assert np.ptp(expected) > 0.01


def test_a_gate_is_open_as_often_as_its_probability_says() -> None:
    logits = torch.tensor([-4.0, -1.0, 0.0, 2.0])
    gates = hard_concrete(logits, torch.rand(50_000, 4, generator=torch.Generator().manual_seed(0)))
    assert gates.min() == 0
    assert gates.max() == 1
    np.testing.assert_allclose((gates > 0).double().mean(0), open_probability(logits), atol=0.01)


def test_learned_gates_leave_the_model_as_it_is() -> None:
    module = model_of("bert").module
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    one, again, other = (score(model_of("bert"), QUICK[0], examples_of("bert"), seed=seed) for seed in (1, 1, 2))
    assert one.values == again.values != other.values
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("settings", [{"steps": 0}, {"rows": 0}, {"learning_rate": 0.0}, {"penalty": -1.0}])
def test_learned_gates_refuse_settings_without_a_meaning(settings: dict[str, Any]) -> None:
    with pytest.raises(PruningError, match="steps and rows must be 1 or more"):
        score(model_of("bert"), LearnedGates(**settings), examples_of("bert"))


def test_learned_gates_beat_chance_on_the_demo(demo: LoadedModel, calibration: Examples) -> None:
    """40 of 72 heads go after a tenth of the default training; the loss of chance is a mean of three draws."""

    def loss(criterion: Any, seed: int = 0) -> float:
        mask = score(demo, criterion, calibration, seed=seed).lowest(40)
        return evaluate(demo, calibration, mask).metrics["loss"].value

    assert loss(LearnedGates(steps=20, rows=8, learning_rate=0.5)) < np.mean([loss("random", s) for s in range(3)])


# A model whose answers are found by hand ---------------------------------------------------------------------------


class ToyAttention(nn.Module):
    """Three heads of width 1."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads = 3
        self.out_proj = nn.Linear(3, 2, bias=False)
        self.out_proj.weight.data = torch.tensor([[2.0, -1.0, -1.0], [0.0, 0.0, 0.0]])

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(x)


class ToyForSequenceClassification(nn.Module):
    """Logits (2ax - b - c, 0) for gates a, b, c; x is 3 for token 6 and 1 for all others."""

    main_input_name = "input_ids"

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(
            vocab_size=20, pad_token_id=0, id2label={0: "no", 1: "yes"}, to_json_string=lambda: "toy"
        )
        self.attention = ToyAttention()

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> SimpleNamespace:
        heads = torch.ones(*input_ids.shape, 3)
        heads[..., 0] += 2 * (input_ids == 6)
        return SimpleNamespace(logits=self.attention(heads).mean(1))


@pytest.fixture
def toy() -> LoadedModel:
    return wrap_model(ToyForSequenceClassification(), name="toy")


@pytest.fixture
def toy_examples() -> Examples:
    """Tokens 5 and 6, both of class 0: with all heads the margins are 0 and 4."""
    return Examples(({"input_ids": [5]}, {"input_ids": [6]}), (0, 0), (1, 1), ("a", "b"), ("no", "yes"), "toy")


PARTS = np.array([[2.0, -1.0, -1.0], [6.0, -1.0, -1.0]])  # what each head adds to the margin of each example


def loss_at(margin: float) -> float:
    return math.log1p(math.exp(-margin))


def test_toy_signed_gradient_and_fisher_by_hand(toy: LoadedModel, toy_examples: Examples) -> None:
    """The loss falls by σ(-margin) where the margin grows by 1."""
    expected = PARTS * np.array([[0.5], [1 / (1 + math.exp(4))]])
    for name, values in (("signed-gradient", expected), ("fisher", expected**2)):
        scores = score(toy, name, toy_examples).scores
        np.testing.assert_allclose(scores, values, atol=1e-6)


def test_toy_mean_ablation_by_hand(toy: LoadedModel, toy_examples: Examples) -> None:
    """Head 0 has mean 2, which makes both margins 2; the others are always at their means."""
    expected = [[loss_at(2) - loss_at(0), 0, 0], [loss_at(2) - loss_at(4), 0, 0]]
    np.testing.assert_allclose(score(toy, "mean-ablation", toy_examples).scores, expected, atol=1e-6)


def test_toy_integrated_gradients_by_hand(toy: LoadedModel, toy_examples: Examples) -> None:
    """The margin grows evenly along the path, so each head gets its share of it of the fall of the loss."""
    expected = [PARTS[0] * 0.5, PARTS[1] / 4 * (loss_at(0) - loss_at(4))]
    np.testing.assert_allclose(score(toy, "integrated-gradients", toy_examples).scores, expected, atol=1e-6)


def test_toy_shapley_values_by_hand(toy: LoadedModel, toy_examples: Examples) -> None:
    """Heads 1 and 2 do the same, so two antithetic pairs differ in the order of those two alone, or of head 0."""
    falls = np.zeros((6, 3))
    for row, order in enumerate(permutations(range(3))):
        margins = np.zeros(2)
        for head in order:
            after = margins + PARTS[:, head]
            falls[row, head] = np.mean([loss_at(a) - loss_at(b) for a, b in zip(margins, after, strict=True)])
            margins = after
    found = [score(toy, Shapley(4), toy_examples, seed=seed) for seed in range(60)]
    values, errors = np.array([one.flat() for one in found]), np.array([one.standard_errors[0] for one in found])
    np.testing.assert_allclose(values.sum(axis=1), falls[0].sum(), atol=1e-6)
    np.testing.assert_allclose(values.mean(axis=0), falls.mean(axis=0), atol=4 * values.std(axis=0).max() / 60**0.5)
    np.testing.assert_allclose((errors**2).mean(axis=0), values.var(axis=0, ddof=1), rtol=0.5)


def test_toy_gates_are_learned_as_expected(toy: LoadedModel, toy_examples: Examples) -> None:
    """Head 0 lowers the loss by more than it costs, the others raise it."""
    ((first, second, third),) = score(toy, LearnedGates(steps=60, rows=8), toy_examples).values
    assert first > 0.9
    assert max(second, third) < 0.1


# Layers and neurons ------------------------------------------------------------------------------------------------


class Skipped(nn.Module):
    """In the place of a layer that is not there."""

    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden


@pytest.mark.parametrize("scope", ["layers", "neurons"])
def test_shares_of_layers_and_neurons_add_up(scope: Scope) -> None:
    """Integrated gradients, for the scopes that have no projection of their own to write down."""
    examples, model = examples_of("bert", 3), model_of("bert")
    context = ScoringContext(model, task_of(model), examples, 8, 0, lambda done, total: None, scope)
    scores = score(model, "integrated-gradients", examples, scope=scope).scores
    assert scores is not None
    closed, opened = (context.example_losses(torch.full((context.total_units,), gate)) for gate in (0.0, 1.0))
    np.testing.assert_allclose(scores.sum(axis=1), closed - opened, rtol=0, atol=0.01 * np.abs(scores).max())


def test_shapley_values_of_two_layers_by_hand() -> None:
    """With two players there are two orders, and every antithetic pair has both: the errors are zero."""
    examples = examples_of("bert", 3)

    def loss(*gone: int) -> float:
        module = FAMILIES["bert"].build()
        for layer in gone:
            module.bert.encoder.layer[layer] = Skipped()
        return float(np.mean(gated_losses(module, [], np.zeros((0, 0)), pairs_of(examples))))

    whole, none, first, second = loss(), loss(0, 1), loss(1), loss(0)  # first: only layer 0 is there
    expected = [(none - first + second - whole) / 2, (none - second + first - whole) / 2]
    found = score(model_of("bert"), Shapley(2), examples, scope="layers")
    np.testing.assert_allclose(found.flat(), expected, **NEAR)
    np.testing.assert_allclose(np.concatenate(found.standard_errors), 0, atol=1e-12)
