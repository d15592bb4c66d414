"""The seam for whatever has finished something that belongs in the history."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pruning.history.records import KINDS
from ui.history.entries import entry
from ui.store import session_id, store

if TYPE_CHECKING:
    from pruning.masks import Mask
    from pruning.models import LoadedModel


def record(
    kind: str,
    model: LoadedModel,
    data: str,
    mask: Mask,
    *,
    seconds: float,
    settings: Mapping[str, Any] | None = None,
    numbers: Mapping[str, Any] | None = None,
    data_fingerprint: str = "",
    name: str = "",
    session: str | None = None,
) -> None:
    """Note finished work in the history of the browser that asked for it; returns at once and never fails for it.

    Args:
        kind: One of `pruning.history.records.KINDS`, for example ``"export"``.
        model: The unpruned model.
        data: As the session calls it.
        settings, numbers: JSON values, as `pruning.history.records.Record` describes them; what the mask removes is
            added to the numbers here.
        session: From `ui.store.session_id`. A job on a worker thread has to name it (it is ``job.owner[0]``); on a page
            it is the present session.

    Raises:
        HistoryError: There is no such kind.
    """
    KINDS.get(kind)
    store().recorder(
        partial(
            entry, kind, session or session_id(), model, data, mask, settings=settings or {}, numbers=numbers or {},
            seconds=seconds, data_fingerprint=data_fingerprint, name=name,
        )
    )  # fmt: skip
