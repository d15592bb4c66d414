"""What a presentation has measured, kept on disk: a second start cuts, fits and times nothing again.

Times hold for one computer, so its name is a part of the key; evaluations are kept by `pruning.results` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruning.findings import search_key
from pruning.masks import Mask
from pruning.presenting.measuring import Size, Timing
from pruning.results import finding_key

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.results import Results
    from pruning.search.planning import Request
    from pruning.tasks import Examples


@dataclass(frozen=True)
class Measured:
    """What is known of one mask besides its evaluation.

    Attributes:
        made: What took the place of what is removed: the method, and the fingerprint of the rows that it was made from.
    """

    made: tuple[str, str]
    whole: Size
    cut: Size
    timing: Timing


def measured_key(model: LoadedModel, chosen_on: str, mask: Mask, method: str, tokens: int) -> str:
    """What a measurement depends on.

    Args:
        chosen_on: Fingerprint of the rows that a replacement is made from; empty where there is none.
        method: That was asked for.
        tokens: Length of a request.
    """
    import torch

    from pruning.latency import _machine

    where = _machine(model), torch.get_num_threads()
    return finding_key("presented", model, chosen_on, mask, method, tokens, *where)


def kept_measured(results: Results, key: str) -> Measured | None:
    """What an earlier process has measured."""
    found = results.find(key)
    return found if isinstance(found, Measured) else None


# The steps of the slider -----------------------------------------------------------------------------------------


def kept_steps(results: Results, model: LoadedModel, calibration: Examples, request: Request) -> dict[int, Mask] | None:
    """What each step removes, by percent, as `keep_steps` was given it."""
    found = results.find(search_key(model, calibration, request, "steps"))
    if not isinstance(found, dict):
        return None
    return {int(percent): Mask.from_code(code) for percent, code in found.items()}


def keep_steps(
    results: Results, model: LoadedModel, calibration: Examples, request: Request, steps: dict[int, Mask]
) -> None:
    """Masks may hold thousands of neurons, so their codes are kept."""
    codes = {percent: mask.to_code() for percent, mask in steps.items()}
    results.keep(search_key(model, calibration, request, "steps"), codes)
