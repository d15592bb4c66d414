"""Ensembles of masks: one member is the model, equal members are the member, votes are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pruning import Cancelled, Mask, PruningError, UnsupportedError, evaluate, gated
from pruning.ensemble import COMBINATIONS, combine, disagreement, evaluate_ensemble
from tests.families import examples_of, model_of

MASKS = (Mask.parse_heads("0:0-2"), Mask.parse_heads("0:1-3,1:0"), Mask.parse_heads("1:1-3"))


@pytest.mark.parametrize("how", COMBINATIONS)
@pytest.mark.parametrize("name", ["bert", "vit"])
@pytest.mark.parametrize("count", [1, 3])
def test_equal_members_are_the_member(name: str, how: str, count: int) -> None:
    model, examples = model_of(name), examples_of(name, 8)
    alone = evaluate(model, examples, MASKS[0])
    found = evaluate_ensemble(model, [MASKS[0]] * count, examples, how=how)  # type: ignore[arg-type]
    for one in (*found.members, *(() if how == "vote" else (found.combined,))):
        for figures in ("losses", "confidences"):
            np.testing.assert_allclose(getattr(one.outcome, figures), getattr(alone.outcome, figures), atol=1e-6)
    np.testing.assert_array_equal(found.combined.outcome.predicted, alone.outcome.predicted)
    assert found.combined.metrics["accuracy"] == alone.metrics["accuracy"]
    assert found.combined.mask == MASKS[0]
    assert found.disagreement is None if count == 1 else found.disagreement.value == 0  # type: ignore[union-attr]


def test_probabilities_and_logits_are_means() -> None:
    """Against the masked models' own outputs, example by example."""
    model, examples = model_of("bert"), examples_of("bert", 6)
    every = []
    for mask in MASKS:
        with gated(model, mask) as module, torch.no_grad():
            rows = [{k: torch.tensor([v]) for k, v in row.items()} for row in examples.features]
            every.append(torch.cat([module(**row).logits for row in rows]))
    logits = torch.stack(every)
    expected = {"probabilities": logits.softmax(-1).mean(0), "logits": logits.mean(0).softmax(-1)}
    for how, wanted in expected.items():
        found = evaluate_ensemble(model, MASKS, examples, how=how)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.combined.outcome.confidences, wanted.max(-1).values, atol=1e-6)
        losses = [-wanted[i, target].log() for i, target in enumerate(examples.targets)]
        np.testing.assert_allclose(found.combined.outcome.losses, losses, atol=1e-5)
    assert found.combined.mask == Mask()


def test_votes_by_hand() -> None:
    """Three members, four examples, three classes; the last has a tie, which the surest member decides."""
    sure, unsure = 4.0, 1.0
    votes = [[(0, unsure), (0, unsure), (1, sure)], [(2, sure)] * 3, [(1, unsure), (2, unsure), (1, unsure)],
             [(0, unsure), (1, unsure), (2, sure)]]  # fmt: skip
    logits = torch.zeros(3, 4, 3)
    for example, members in enumerate(votes):
        for member, (chosen, strength) in enumerate(members):
            logits[member, example, chosen] = strength
    found = combine(logits, "vote").softmax(-1)
    assert found.argmax(-1).tolist() == [0, 2, 1, 2]
    expected = torch.tensor([[2, 1, 0], [0, 0, 3], [0, 2, 1], [1, 1, 1]]) / 3
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)  # the tie break weighs a thousandth of a vote


def test_disagreement_by_hand() -> None:
    """The pairs disagree about three, one and two of four examples: 6 of 12."""
    model, examples = model_of("bert"), examples_of("bert", 4)
    one = evaluate(model, examples)
    hits = [[1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]
    members = []
    for row in hits:
        member = evaluate(model, examples)
        member.outcome.hits[:] = row
        members.append(member)
    found = disagreement(members)
    assert found is not None
    assert found.value == pytest.approx((3 + 1 + 2) / 12)
    assert disagreement([one]) is None


def test_what_cannot_be_combined_is_refused() -> None:
    model, examples = model_of("bert"), examples_of("bert", 4)
    with pytest.raises(PruningError, match=r"no ensemble by 'sum'; there are probabilities, logits, vote"):
        evaluate_ensemble(model, MASKS, examples, how="sum")  # type: ignore[arg-type]
    with pytest.raises(PruningError, match="at least one mask"):
        evaluate_ensemble(model, [], examples)
    with pytest.raises(UnsupportedError, match="for classification"):
        evaluate_ensemble(model_of("gpt2-lm"), MASKS, examples_of("gpt2-lm", 2))


def test_progress_and_cancelling() -> None:
    model, examples = model_of("bert"), examples_of("bert", 9)
    seen: list[tuple[int, int]] = []
    evaluate_ensemble(model, MASKS, examples, batch_size=2, on_progress=lambda *now: seen.append(now))
    assert seen[-1] == (9, 9)

    def cancel(done: int, total: int) -> None:
        raise Cancelled("no longer wanted")

    before = evaluate(model, examples)
    with pytest.raises(Cancelled):
        evaluate_ensemble(model, MASKS, examples, on_progress=cancel)
    np.testing.assert_array_equal(evaluate(model, examples).outcome.losses, before.outcome.losses)
