"""The ways to recover a pruned model, by name: menus, help texts and the command line are made from this registry."""

from __future__ import annotations

from dataclasses import dataclass

from pruning.recovery.settings import Training
from pruning.registry import Registry


@dataclass(frozen=True)
class RecoveryMethod:
    """One way to give a pruned model back what it lost.

    Attributes:
        about: What it does, in a sentence for users.
        needs_data: Whether it learns from examples.
        trains: Whether it is `recover` with ``settings``; otherwise it belongs to the cut itself.
        settings: Of the training; ``None`` where nothing is trained.
    """

    name: str
    label: str
    about: str
    needs_data: bool
    trains: bool
    settings: Training | None = None


_METHODS: Registry[RecoveryMethod] = Registry("recovery method")
register_method, recovery_methods, get_method = _METHODS.add, _METHODS.all, _METHODS.get


register_method(
    RecoveryMethod(
        "mean",
        "Mean compensation",
        "Folds the mean output of what is cut into the biases.",
        needs_data=True,
        trains=False,
    )
)
register_method(
    RecoveryMethod(
        "reconstruct",
        "Least-squares reconstruction",
        "Refits the projections from the first cut on, by least squares.",
        needs_data=True,
        trains=False,
    )
)
register_method(
    RecoveryMethod(
        "finetune",
        "Fine-tuning",
        "Trains all weights on the labels.",
        needs_data=True,
        trains=True,
        settings=Training(method="fine-tune", loss="labels"),
    )
)
register_method(
    RecoveryMethod(
        "lora",
        "Low-rank updates",
        "Trains a low-rank update of each linear layer on the labels, and merges it.",
        needs_data=True,
        trains=True,
        settings=Training(method="lora", loss="labels"),
    )
)
register_method(
    RecoveryMethod(
        "distill",
        "Distillation",
        "Trains low-rank updates on the labels and on the unpruned model's answers.",
        needs_data=True,
        trains=True,
        settings=Training(method="lora", loss="both"),
    )
)
