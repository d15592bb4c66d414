"""Masks: which heads, neurons and layers are removed. Pure Python, immutable, hashable."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pruning.errors import MaskError
from pruning.language import Later, later, mark
from pruning.mask_code import LARGEST_COUNT, LARGEST_INDEX, pack, unpack

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy

FILE_VERSION = 1


class HeadId(NamedTuple):
    """One attention head: the index of its site and its own index inside the site, both from 0."""

    site: int
    head: int

    def __str__(self) -> str:
        return f"{self.site}:{self.head}"


class NeuronId(NamedTuple):
    """One neuron: the index of its feed-forward block and its own index inside the block, both from 0."""

    block: int
    neuron: int

    def __str__(self) -> str:
        return f"{self.block}:{self.neuron}"


@dataclass(frozen=True)
class Mask:
    """What is removed from a model, in the coordinates of the original model.

    A mask is a set: ``|``, ``&``, ``-`` and ``^`` work on heads, neurons and layers alike, and the empty mask
    leaves the model as it is.

    Raises:
        MaskError: An index is negative, not a whole number, or far beyond any model.
    """

    heads: frozenset[HeadId] = field(default_factory=frozenset)
    neurons: frozenset[NeuronId] = field(default_factory=frozenset)
    layers: frozenset[int] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", frozenset(HeadId(*map(_index, pair)) for pair in self.heads))
        object.__setattr__(self, "neurons", frozenset(NeuronId(*map(_index, pair)) for pair in self.neurons))
        object.__setattr__(self, "layers", frozenset(map(_index, self.layers)))

    def __bool__(self) -> bool:
        return bool(self.heads or self.neurons or self.layers)

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.heads | other.heads, self.neurons | other.neurons, self.layers | other.layers)

    def __and__(self, other: Mask) -> Mask:
        return Mask(self.heads & other.heads, self.neurons & other.neurons, self.layers & other.layers)

    def __sub__(self, other: Mask) -> Mask:
        return Mask(self.heads - other.heads, self.neurons - other.neurons, self.layers - other.layers)

    def __xor__(self, other: Mask) -> Mask:
        return Mask(self.heads ^ other.heads, self.neurons ^ other.neurons, self.layers ^ other.layers)

    def check(self, anatomy: Anatomy) -> Mask:
        """Return this mask if everything that it removes exists in the model.

        Raises:
            MaskError: Names the first thing that does not exist and what does.
        """
        for site, head in sorted(self.heads):
            if not anatomy.sites and anatomy.reason:
                raise MaskError(
                    "head {site}:{head} does not exist: {reason}", site=site, head=head, reason=anatomy.reason
                )
            if site >= len(anatomy.sites):
                raise MaskError(
                    "head {site}:{head} does not exist: the model has {there}",
                    site=site,
                    head=head,
                    there=_span(len(anatomy.sites), "site"),
                )
            if head >= anatomy.sites[site].heads:
                raise MaskError(
                    "head {site}:{head} does not exist: site {site} ({name}) has {there}",
                    site=site,
                    head=head,
                    name=anatomy.sites[site].name,
                    there=_span(anatomy.sites[site].heads, "head"),
                )
        for block, neuron in sorted(self.neurons):
            if block >= len(anatomy.blocks) or neuron >= anatomy.blocks[block].neurons:
                raise MaskError("neuron {block}:{neuron} does not exist in this model", block=block, neuron=neuron)
        for layer in sorted(self.layers):
            if layer >= len(anatomy.layers):
                raise MaskError(
                    "layer {layer} does not exist: the model has {there}",
                    layer=layer,
                    there=_span(len(anatomy.layers), "layer"),
                )
        return self

    # Files -----------------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, object]:
        """A mask file: ``{"version": 1, "heads": [[site, head], …], "neurons": {"block": [i, …]}, "layers": […]}``."""
        neurons: dict[str, list[int]] = {}
        for block, neuron in sorted(self.neurons):
            neurons.setdefault(str(block), []).append(neuron)
        heads = [list(pair) for pair in sorted(self.heads)]
        return {"version": FILE_VERSION, "heads": heads, "neurons": neurons, "layers": sorted(self.layers)}

    @classmethod
    def from_json(cls, value: object) -> Mask:
        """Read a mask, or the mask inside a plan.

        Raises:
            MaskError: The value is not a mask of a version that this program knows.
        """
        if isinstance(value, dict) and isinstance(value.get("mask"), dict):
            value = value["mask"]
        if not isinstance(value, dict) or not {"heads", "neurons", "layers"} & value.keys():
            raise MaskError('a mask is an object with "heads", "neurons" or "layers"')
        if value.get("version", FILE_VERSION) != FILE_VERSION:
            raise MaskError(
                "the mask has version {version!r}, but this program reads version {known}",
                version=value["version"],
                known=FILE_VERSION,
            )
        unknown = sorted(map(str, value.keys() - {"version", *_PARTS}))
        if unknown:
            raise MaskError(
                'the mask cannot be read: it has {name!r}; only "version", "heads", "neurons" and "layers" are known',
                name=unknown[0],
            )
        return cls(**{name: _part(name, value[name]) for name in _PARTS if name in value})

    @classmethod
    def read(cls, path: str | Path) -> Mask:
        """Read a mask file or a plan file.

        Raises:
            MaskError: The file is missing, is not JSON, or holds no mask.
        """
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise MaskError("the mask file {path} cannot be read: {error}", path=path, error=error.strerror) from error
        except (ValueError, RecursionError) as error:
            raise MaskError("the mask file {path} is not JSON: {error}", path=path, error=str(error)) from error

    # Short forms -----------------------------------------------------------------------------------------------

    @classmethod
    def parse_heads(cls, text: str) -> Mask:
        """Read heads as people type them: ``"0:3,2:5"`` (site:head) or ``"1:0-3"`` for a run.

        Raises:
            MaskError: Names the part that cannot be read.
        """
        heads = set()
        for part in re.split(r"[,\s]+", text.strip()):
            match = re.fullmatch(r"(\d{1,9}):(\d{1,9})(?:-(\d{1,9}))?", part)
            if part and not match:
                raise MaskError('{part!r} is not a head: write site:head, like "0:3,2:5" or "1:0-3"', part=part)
            if match:
                site, first, last = int(match[1]), int(match[2]), int(match[3] or match[2])
                if last < first or last - first > LARGEST_COUNT:
                    raise MaskError("{part!r} is not a run of heads: the last must not be below the first", part=part)
                heads |= {HeadId(site, head) for head in range(first, last + 1)}
        return cls(frozenset(heads))

    def format_heads(self) -> str:
        """The inverse of `parse_heads`, without runs."""
        return ",".join(map(str, sorted(self.heads)))

    def to_code(self) -> str:
        """A short code for links, safe in URLs: heads, neurons, layers; empty parts at the end are left out."""
        parts = [pack(sorted(self.heads)), pack(sorted(self.neurons)), pack((0, i) for i in sorted(self.layers))]
        return ".".join(parts).rstrip(".")

    @classmethod
    def from_code(cls, code: str) -> Mask:
        """Read a code made by `to_code`.

        Raises:
            MaskError: The code is damaged.
        """
        parts = code.split(".")
        if len(parts) > 3:
            raise MaskError("the mask code in the link is damaged, because it has more than three parts")
        heads, neurons, layers = (list(unpack(part)) for part in [*parts, "", "", ""][:3])
        return cls(
            frozenset(HeadId(*pair) for pair in heads),
            frozenset(NeuronId(*pair) for pair in neurons),
            frozenset(i for _, i in layers),
        )


def whole_groups(mask: Mask, anatomy: Anatomy) -> Mask:
    """The mask without the heads whose key-value group it does not remove whole: keys and values stay anyway."""
    heads = set()
    for site in anatomy.sites:
        for group in site.groups:
            members = {HeadId(site.index, head) for head in group}
            if members <= mask.heads:
                heads |= members
    return replace(mask, heads=frozenset(heads))


_PARTS = {
    "heads": mark('the mask cannot be read: "heads" is a list of pairs [site, head], like [[0, 3], [2, 5]]'),
    "neurons": mark(
        'the mask cannot be read: "neurons" is an object that gives the list of neurons of each block, like "0": [1, 2]'
    ),
    "layers": mark('the mask cannot be read: "layers" is a list of numbers, like [0, 5]'),
}


def _part(name: str, value: object) -> frozenset[Any]:
    """One part of a mask file."""
    if value in (None, [], {}):
        return frozenset()
    try:
        if not isinstance(value, dict if name == "neurons" else list):
            raise TypeError
        if isinstance(value, dict):
            return frozenset(NeuronId(int(block), i) for block, row in value.items() for i in row)
        return frozenset(HeadId(*pair) for pair in value) if name == "heads" else frozenset(value)
    except (TypeError, ValueError) as error:
        raise MaskError(_PARTS[name]) from error


def _index(value: object) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or not 0 <= int(value) <= LARGEST_INDEX:  # type: ignore[call-overload]
        raise MaskError("{value!r} is not an index: whole numbers from 0 are", value=value)
    return int(value)  # type: ignore[call-overload]


_SPANS = {  # none, one, several
    "site": (mark("0 sites"), mark("1 site (0 to 0)"), mark("{count} sites (0 to {last})")),
    "head": (mark("0 heads"), mark("1 head (0 to 0)"), mark("{count} heads (0 to {last})")),
    "layer": (mark("0 layers"), mark("1 layer (0 to 0)"), mark("{count} layers (0 to {last})")),
}


def _span(count: int, noun: str) -> Later:
    return later(_SPANS[noun][min(count, 2)], count=count, last=count - 1)
