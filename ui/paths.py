"""Tables that a link or the menu names by their path."""

from __future__ import annotations

from pruning.data import BUILT_IN_DATA, is_source
from pruning.sources import adopt
from ui import allowed


def source_of(data: str) -> str:
    """The source that a file on this computer becomes here, so that none of its rows both chooses and measures.

    Other names are returned as they are.

    Raises:
        DataError: This server does not open the file, or it cannot be read.
    """
    if data in BUILT_IN_DATA or is_source(data) or not allowed.is_path(data):
        return data
    allowed.check_data(data)
    return adopt(data).id
