"""What the two sides of a comparison are, and how a link says it. Pure: no streamlit, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from pruning.errors import MaskError
from pruning.importance import criteria
from pruning.masks import Mask
from pruning.plan import COMPENSATIONS

DRAWS, MOST_DRAWS = 5, 20
WHOLE, NOW, MASK, RECOVERED, BY = "whole", "now", "mask", "recovered", "by-"
LOT = f"{BY}random"


@dataclass(frozen=True)
class Pick:
    """One side as it was chosen.

    Attributes:
        kind: ``whole`` (the unpruned model), ``now`` (what is removed on the other pages), ``mask``, ``recovered``
            (trained after cutting), or ``by-`` and a criterion: its lowest heads.
        mask, replacement: Of the last three, so that a link opens the same masks elsewhere.
        draws: How many masks are drawn by lot, where the criterion is Random; ``mask`` is the first.
    """

    kind: str
    mask: Mask = field(default_factory=Mask)
    replacement: str = "none"
    draws: int = DRAWS

    @property
    def criterion(self) -> str:
        """The criterion whose lowest heads these are; empty where they are not."""
        return self.kind.removeprefix(BY) if self.kind.startswith(BY) else ""

    @property
    def option(self) -> str:
        """What stays the same in a menu while the heads that are meant follow the other side."""
        return self.code if self.kind == MASK else self.kind

    @property
    def code(self) -> str:
        """How a link says it.

        >>> Pick("by-random", Mask.parse_heads("0:1"), "mean").code
        'by-random.mean.Ag'
        >>> Pick("by-random", Mask.parse_heads("0:1"), "mean", 3).code
        'by-random~3.mean.Ag'
        """
        if self.kind in (WHOLE, NOW):
            return self.kind
        draws = f"~{self.draws}" if self.kind == LOT and self.draws != DRAWS else ""
        return f"{self.kind}{draws}.{self.replacement}.{self.mask.to_code()}"

    @classmethod
    def read(cls, code: str) -> Pick:
        """The inverse of ``code``.

        Raises:
            MaskError: The code is none.
        """
        kind, *rest = code.split(".", 2)
        if kind in (WHOLE, NOW) and not rest:
            return cls(kind)
        kind, tilde, number = kind.partition("~")
        draws = int(number) if number.isdecimal() and len(number) < 3 else 0
        if tilde and not (kind == LOT and 1 <= draws <= MOST_DRAWS):
            raise MaskError("{code!r} does not say from 1 to {most} draws", code=code[:40], most=MOST_DRAWS)
        known = kind in (MASK, RECOVERED) or (kind.startswith(BY) and kind.removeprefix(BY) in criteria())
        if not known:
            raise MaskError("{code!r} is nothing that can be compared", code=code[:40])
        if not rest or rest[0] not in COMPENSATIONS:
            allowed, found = ", ".join(COMPENSATIONS), (rest or [""])[0][:40]
            raise MaskError("a replacement is {allowed}, not {found!r}", allowed=allowed, found=found)
        return cls(kind, Mask.from_code(rest[1] if len(rest) > 1 else ""), rest[0], draws if tilde else DRAWS)
