"""What there is to say of a file that was made and checked. No streamlit here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pruning.language import Later, later, mark
from ui.export.subject import Subject
from ui.history.words import size

if TYPE_CHECKING:
    from pruning.export import Exported


def checked(subject: Subject, written: Exported) -> tuple[str | Later, ...]:
    """What the checks have found, and the sizes before and after."""
    sizes = later(
        "{after} parameters instead of {before}; weights {small:,.1f} MB instead of {large:,.1f} MB",
        after=size(written.pruned.parameters),
        before=size(subject.model.anatomy.parameters),
        small=written.size_bytes / 1e6,
        large=subject.model.size_bytes / 1e6,
    )
    own = mark("Reloaded with plain transformers: difference {difference:g}. It needs no code of its own")
    trust = mark(
        "Reloaded with plain transformers: difference {difference:g}. It needs trust_remote_code=True for its new "
        "shapes"
    )
    return (
        sizes,
        later(
            "Cut and compared with the mask: largest difference {difference:.1e}", difference=written.pruned.difference
        ),
        Later(own if written.ordinary else trust, {"difference": written.reload_difference}),
        *written.pruned.notes,
    )


def inputs(shapes: dict[str, list[Any]]) -> str:
    """``input_ids (batch, length), …``."""
    return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())
