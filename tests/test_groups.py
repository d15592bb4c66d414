"""Key-value groups as units: the heads of a group, and the groups of a head."""

from __future__ import annotations

import pytest

from pruning import Mask, MaskError
from pruning.masks import whole_groups
from tests.families import model_of


def test_a_head_brings_those_that_share_its_key_and_value() -> None:
    anatomy = model_of("llama").anatomy
    assert anatomy.is_grouped
    assert anatomy.sites[0].groups == ((0, 1), (2, 3))
    assert anatomy.with_their_groups(Mask.parse_heads("0:1,1:2").heads) == Mask.parse_heads("0:0-1,1:2-3").heads


def test_groups_are_named_like_heads() -> None:
    anatomy = model_of("llama").anatomy
    assert anatomy.group_mask(Mask.parse_heads("0:1,1:0").heads) == Mask.parse_heads("0:2-3,1:0-1")
    with pytest.raises(MaskError, match="key-value group 1:2 does not exist"):
        anatomy.group_mask(Mask.parse_heads("1:2").heads)


def test_heads_of_a_group_that_stays_can_be_kept() -> None:
    anatomy = model_of("llama").anatomy
    assert whole_groups(Mask.parse_heads("0:0-2,1:3"), anatomy) == Mask.parse_heads("0:0-1")


def test_without_groups_every_head_stands_alone() -> None:
    anatomy = model_of("bert").anatomy
    heads = Mask.parse_heads("0:1,1:2").heads
    assert not anatomy.is_grouped
    assert anatomy.with_their_groups(heads) == heads
