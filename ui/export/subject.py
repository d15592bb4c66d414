"""What is exported: one model, its data and the decision, with all that is known of them. No streamlit here."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from pruning import __version__
from pruning.importance import ImportanceMap
from pruning.language import listing, tr
from pruning.masks import Mask
from pruning.plan import Plan
from pruning.scopes import units_of
from ui.history.entries import removed
from ui.removed import OF_ALL

if TYPE_CHECKING:
    import pandas as pd

    from pruning.cost import CostModel
    from pruning.evaluation import Comparison, Evaluation
    from pruning.latency import LatencyTable
    from pruning.models import LoadedModel

PACKAGES = ("torch", "transformers", "numpy")


@dataclass(frozen=True)
class Decision:
    """What is cut out of which model, and what stands in for it.

    Attributes:
        data: What the result is measured on.
        planned: Whether it came from a plan, whose file says more than a mask.
        same_rows: Whether the rows that measure are those that replacements are made from.
        rows: How many rows of the data are used at most; ``None`` for all.
    """

    model: str
    data: str
    mask: Mask
    compensation: str = "none"
    planned: bool = False
    same_rows: bool = False
    rows: int | None = None


@dataclass(frozen=True)
class Measured:
    """Both models on all evaluation rows."""

    before: Evaluation
    after: Evaluation
    change: Comparison


@dataclass(frozen=True, eq=False)
class Subject:
    """All that the exports are made from.

    Attributes:
        label, data_label: As the pickers call model and data, in the reader's language.
        english: Both in English, for programs and model cards.
        measured: ``None`` as long as nothing, or only a part, is measured.
        criterion: That the session looks at.
        maps: Importance that is known, of all scopes.
        label_free: Whether the model's own answers took the place of labels when the maps were scored.
        replaced: What stands in for what is removed, in words; empty where it has not been made.
        why: How the parts were chosen, in sentences.
        sweep: The session's table of plans that were measured.
        link: To the dashboard with this mask; empty where the mask is too long for one.
    """

    model: LoadedModel
    decision: Decision
    label: str
    data_label: str
    english: tuple[str, str] = ("", "")
    cost: CostModel | None = None
    measured: Measured | None = None
    plan: Plan | None = None
    criterion: str = "gradient"
    maps: tuple[ImportanceMap, ...] = ()
    label_free: bool = False
    replaced: str = ""
    why: tuple[str, ...] = ()
    sweep: pd.DataFrame | None = None
    latency: LatencyTable | None = None
    link: str = ""
    made: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())

    @property
    def mask(self) -> Mask:
        return self.decision.mask

    @property
    def removed(self) -> str:
        """``14 of 72 heads``."""
        gone = removed(self.model.anatomy, self.mask)
        parts = {scope: pair for scope, pair in gone.items() if pair[0] or scope == "heads"}
        return listing(tr(OF_ALL[scope], n=some, total=total) for scope, (some, total) in parts.items())

    def because(self, why: tuple[str, ...]) -> Subject:
        """The same with the reasons."""
        return replace(self, why=why)

    @property
    def ranked(self) -> ImportanceMap | None:
        """The map whose least important units the mask removes, if there is one; the session's criterion first."""
        for found in sorted(self.maps, key=lambda one: one.criterion != self.criterion):
            count = len(units_of(self.mask, found.scope))
            if self.mask and count <= len(found.keep_values) and found.lowest(count) == self.mask:
                return found
        return None


def versions() -> dict[str, str]:
    """Of Headroom, of Python, and of the packages that numbers depend on."""
    found = {"Headroom": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
