"""Plans: files, figures, and what the cut model really has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pruning import HeadId, Mask, prune
from pruning.macs import count_macs
from pruning.plan import Plan, is_plan, reached
from pruning.scopes import Scope
from pruning.search import Budget, PlanError
from pruning.search.guarantee import guaranteed
from pruning.search.planning import Request, plan, plan_below
from tests.families import examples_of, model_of

ONE_SHOT = Request(criterion="gradient", strategy="one-shot")


def plan_of(family: str = "bert", budget: str = "heads=0.5", *scopes: Scope) -> Plan:
    return plan(model_of(family), examples_of(family), budget, replace(ONE_SHOT, scopes=scopes or ("heads",)))


def plans() -> list[Plan]:
    model, examples = model_of("bert"), examples_of("bert", 20)
    cut = plan_of("bert", "macs=0.8", "heads", "neurons")
    return [
        cut,
        reached(cut, model, prune(model, cut.mask)),
        plan_below(model, examples, 0.2, ONE_SHOT),
        guaranteed(model, examples, 1.0, ONE_SHOT),
    ]


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    for one in plans():
        one.write(tmp_path / "plan.json")
        assert Plan.read(tmp_path / "plan.json") == one
        assert Mask.read(tmp_path / "plan.json") == one.mask


def test_a_plan_file_says_how_it_was_made() -> None:
    found = plan_of()
    value = json.loads(json.dumps(found.to_json()))
    assert is_plan(value)
    assert value["budget"] == {"heads": 0.5}
    assert value["criterion"] == "gradient"
    assert value["model"] == model_of("bert").fingerprint
    assert value["data"] == examples_of("bert").fingerprint
    assert (value["samples"], value["compensation"], value["reached"]) == (6, "none", None)
    assert value["predicted"]["heads"] == 4


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "swin"])
def test_predicted_and_reached_agree(family: str) -> None:
    """With a head left everywhere: Swin keeps a row of position biases for a site that has none."""
    model = model_of(family)
    one = frozenset(HeadId(site.index, 0) for site in model.anatomy.sites)
    request = replace(ONE_SHOT, scopes=("heads", "neurons"), whole_groups=True, protected=Mask(heads=one))
    found = plan(model, examples_of(family), "macs=0.8", request)
    cut = prune(model, found.mask)
    done = reached(found, model, cut)
    assert done.reached is not None
    assert done.reached.parameters == sum(p.numel() for p in cut.module.parameters()) == found.predicted.parameters
    assert done.reached.macs == count_macs(cut.module, 128)[0] == found.predicted.macs
    assert done.reached.share == found.predicted.share
    assert (replace(done, reached=None), found.notes) == (found, ())


def test_a_split_group_is_noted() -> None:
    """Its attention is still computed, so that fewer MACs are saved than counted."""
    found = plan_of("llama", "heads=0.9")
    assert "--whole-groups" in str(found.notes[0])


def test_the_share_of_parameters_is_counted_on_the_cut_model() -> None:
    model = model_of("bert")
    done = reached(found := plan_of("bert", "params=0.95"), model, prune(model, found.mask))
    assert done.reached is not None
    assert done.reached.share == found.predicted.share


def test_a_plan_knows_its_model() -> None:
    found = plan_of()
    assert found.fit(model_of("bert")) == ()
    assert "other weights" in str(found.fit(model_of("roberta"))[0])
    far = replace(found, mask=Mask(heads=frozenset([HeadId(9, 0)])), model="another")
    with pytest.raises(PlanError, match="made for another model than bert: head 9:0 does not exist"):
        far.fit(model_of("bert"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "version 9"),
        ({"mask": []}, 'an object with a "mask"'),
        ({"predicted": {"heads": 1}}, "cannot be read"),
        ({"scopes": ["tails"]}, "no scope 'tails'"),
        ({"budget": {"heads": 2}}, "not a share"),
        ({"colour": 1}, "cannot be read"),
    ],
)
def test_a_damaged_plan_is_refused(change: dict[str, object], message: str) -> None:
    from pruning import PruningError

    with pytest.raises(PruningError, match=message):
        Plan.from_json(plan_of().to_json() | change)


def test_files_that_hold_no_plan_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.read(path)
    path.write_text("{")
    with pytest.raises(PlanError, match="is not JSON"):
        Plan.read(path)
    path.write_text('{"mask": {"heads": []}}')
    with pytest.raises(PlanError, match="a plan is an object"):
        Plan.read(path)
    with pytest.raises(PlanError, match="cannot be written"):
        plan_of().write(tmp_path / "nowhere" / "plan.json")


def test_a_mask_may_be_edited_and_the_plan_kept() -> None:
    found = plan_of()
    assert replace(found, mask=Mask()).budget == Budget("heads", 0.5)
