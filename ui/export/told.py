"""What there is to say of a file that was made and checked. No streamlit here."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pruning.language import Later, later, mark
from ui.export.subject import Subject
from ui.history.words import size

if TYPE_CHECKING:
    from pruning.anatomy import Anatomy
    from pruning.export import Exported
    from pruning.masks import Mask


UNEVEN = mark(
    "What is removed is really cut out here. Parts that were alike now differ in shape, which no configuration can "
    "say: so the checkpoint brings a small file of code, and transformers loads it with `trust_remote_code=True`. It "
    "is reloaded and compared before you get it."
)
EVEN = mark(
    "What is removed is really cut out here. The checkpoint is a folder that transformers loads, and whether that "
    "needs `trust_remote_code=True` is said before you download it. It is reloaded and compared before you get it."
)
CODE = mark(
    "It needs `trust_remote_code=True`: the code is `{file}` in its folder, which gives the layers their new shapes."
)


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


def loading_line(written: Exported, folder: str) -> str:
    """The line of Python that loads the checkpoint."""
    from pruning.card import usual_class

    trust = "" if written.ordinary else ", trust_remote_code=True"
    return f'{usual_class(written.auto_classes)}.from_pretrained("{folder}"{trust})'


def even(mask: Mask, anatomy: Anatomy) -> bool:
    """Whether parts that were alike still are: without that no configuration alone describes the checkpoint."""
    gone = [anatomy.layers[layer] for layer in mask.layers]
    sites, blocks = {i for layer in gone for i in layer.sites}, {i for layer in gone for i in layer.blocks}
    heads, neurons = Counter(site for site, _ in mask.heads), Counter(block for block, _ in mask.neurons)
    cuts = {("heads", site.heads, heads[site.index]) for site in anatomy.sites if site.index not in sites}
    cuts |= {("neurons", one.neurons, neurons[one.index]) for one in anatomy.blocks if one.index not in blocks}
    return len({(kind, before) for kind, before, _ in cuts}) == len(cuts)


def inputs(shapes: dict[str, list[Any]]) -> str:
    """``input_ids (batch, length), …``."""
    return ", ".join(f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())
