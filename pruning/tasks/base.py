"""What a kind of task is: how rows become inputs, outputs become losses and predictions, and these become metrics."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from pruning.errors import UnsupportedError
from pruning.language import later
from pruning.statistics import Estimate

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.data import Dataset
    from pruning.models import LoadedModel


V = TypeVar("V")
NAMED = 3  # of missing weights


@dataclass(frozen=True, eq=False)
class Examples:
    """Encoded examples of one task, ready for one model.

    Attributes:
        features: Model inputs of each example.
        targets: Class index of each example; empty where the task has no labels of its own.
        keys: Examples of one key have inputs of one shape, so that they can share a batch without padding.
        texts: What to show for each example.
        class_names: Names of the classes, by index.
        fingerprint: Hash of the data.
        truncated: How many examples were longer than the model allows.
    """

    features: tuple[dict[str, Any], ...]
    targets: tuple[int, ...]
    keys: tuple[Hashable, ...]
    texts: tuple[str, ...]
    class_names: tuple[str, ...]
    fingerprint: str
    truncated: int = 0
    tokens: float = 0.0  # mean length, for counting MACs

    def __len__(self) -> int:
        return len(self.features)

    def at(self, positions: Sequence[int]) -> Examples:
        """The examples at some positions, in that order."""

        def picked(values: tuple[V, ...]) -> tuple[V, ...]:
            return tuple(values[i] for i in positions) if values else ()

        where = hashlib.sha256(",".join(map(str, positions)).encode()).hexdigest()[:16]
        return replace(
            self,
            features=picked(self.features),
            targets=picked(self.targets),
            keys=picked(self.keys),
            texts=picked(self.texts),
            fingerprint=f"{self.fingerprint} at {where}",
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """Examples of equal shape: positions in `Examples`, model inputs, targets ``(example,)`` or ``None``."""

    positions: tuple[int, ...]
    inputs: dict[str, Tensor]
    targets: Tensor | None

    @property
    def stacks(self) -> bool:
        """Whether every input has a row for each example, so that batches can be laid one upon the other."""
        return all(tensor.dim() > 0 and len(tensor) == len(self.positions) for tensor in self.inputs.values())

    def repeated(self, count: int) -> Batch:
        """The same examples ``count`` times, one round after the other."""
        inputs = {name: tensor.repeat(count, *[1] * (tensor.dim() - 1)) for name, tensor in self.inputs.items()}
        return Batch(self.positions * count, inputs, None if self.targets is None else self.targets.repeat(count))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the model did with each example; every array is ``(example,)``.

    Attributes:
        losses: Loss of each example.
        predicted: Predicted class, or -1 where there are no classes.
        confidences: Probability of the predicted class, or mean probability of the predicted tokens.
        hits: 1 for a right prediction, 0 for a wrong one; the fraction of right tokens in language modelling.
    """

    losses: np.ndarray
    predicted: np.ndarray
    confidences: np.ndarray
    hits: np.ndarray


class Task:
    """A kind of task. Instances hold no state."""

    name: ClassVar[str]
    label: ClassVar[str]
    needs_labels: ClassVar[bool]
    heads: ClassVar[tuple[str, ...]]  # endings of the architectures that it serves

    def check(self, model: LoadedModel) -> None:
        """Refuse what only looks like a model for this task.

        Raises:
            UnsupportedError: Some of its weights are missing, and random therefore.
        """
        missing = ", ".join(model.missing[:NAMED]) + (", …" if len(model.missing) > NAMED else "")
        inner = f"{getattr(model.module, 'base_model_prefix', '')}."
        if any(path.startswith(inner) for path in model.missing):  # not only the head that is made for a task
            raise UnsupportedError(
                "{model} cannot be measured: its checkpoint lacks {count} of {total} weights, so these are random "
                "({missing})",
                model=model.spec.name,
                count=len(model.missing),
                total=len(list(model.module.parameters())),
                missing=missing,
            )
        if model.missing:
            raise UnsupportedError(
                "{model} is not fine-tuned for {task}: its checkpoint lacks {missing}",
                model=model.spec.name,
                task=later(self.label.lower()),
                missing=missing,
            )

    def encode(self, model: LoadedModel, data: Dataset) -> Examples:
        """Rows to model inputs."""
        raise NotImplementedError

    def losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Loss of each example, ``(example,)``, differentiable."""
        raise NotImplementedError

    def outcome(self, logits: Tensor, batch: Batch) -> Outcome:
        """What the model did with each example of the batch."""
        raise NotImplementedError

    def metrics(self, outcome: Outcome, targets: np.ndarray, classes: int, seed: int) -> dict[str, Estimate]:
        """Estimates with 95% intervals; ``loss`` and ``accuracy`` are always among them."""
        raise NotImplementedError


T = TypeVar("T", bound=Task)
_TASKS: dict[str, Task] = {}


def register_task(task: type[T]) -> type[T]:
    """Class decorator that adds a task to the registry; a name that is taken is refused."""
    if task.name in _TASKS:
        raise ValueError(f"a task named {task.name!r} is registered already")
    _TASKS[task.name] = task()
    return task


def tasks() -> dict[str, Task]:
    return dict(_TASKS)


def task_of(model: LoadedModel, name: str | None = None) -> Task:
    """The task of that name, or the one that the model's architecture is made for.

    Raises:
        UnsupportedError: There is no such task, the model is made for another one, or it has no head for any.
    """
    if name is not None and name not in _TASKS:
        raise UnsupportedError("there is no task {name!r}; there are {known}", name=name, known=", ".join(_TASKS))
    architecture = type(model.module).__name__
    own = next((task for task in _TASKS.values() if architecture.endswith(task.heads)), None)
    if own and name not in (None, own.name):
        raise UnsupportedError(
            "{model} is a {architecture}: its task is {own}, not {name}",
            model=model.spec.name,
            architecture=architecture,
            own=own.name,
            name=name,
        )
    if own or name:
        return own or _TASKS[str(name)]
    raise UnsupportedError(
        "{model} is a {architecture}: not a classifier or language model, so there is no task to measure it on; its "
        "heads can be described, but not scored or evaluated",
        model=model.spec.name,
        architecture=architecture,
    )


def batches(
    examples: Examples, batch_size: int, device: Any, positions: Sequence[int] | None = None
) -> Iterator[Batch]:
    """Batches of examples of equal shape, without any padding, so that no result depends on the batch size."""
    import torch

    groups: dict[Hashable, list[int]] = {}
    for position in range(len(examples)) if positions is None else positions:
        groups.setdefault(examples.keys[position], []).append(position)
    for key in sorted(groups, key=str):
        for start in range(0, len(groups[key]), batch_size):
            chosen = groups[key][start : start + batch_size]
            rows = [examples.features[i] for i in chosen]
            inputs = {name: _stack([row[name] for row in rows], torch).to(device) for name in rows[0]}
            targets = torch.tensor([examples.targets[i] for i in chosen], device=device) if examples.targets else None
            yield Batch(tuple(chosen), inputs, targets)


def _stack(values: list[Any], torch: Any) -> Tensor:
    return torch.stack(values) if hasattr(values[0], "dim") else torch.tensor(values)


def forward(module: Any, batch: Batch) -> Tensor:
    """Logits of a batch, in float32.

    Raises:
        UnsupportedError: The model has none.
    """
    logits = getattr(module(**batch.inputs), "logits", None)
    if logits is None:
        raise UnsupportedError("a {model} gives no logits, so there is nothing to measure", model=type(module).__name__)
    return logits.float()


@dataclass
class Collector:
    """Fills the arrays of an `Outcome` batch by batch."""

    count: int
    done: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.losses, self.confidences, self.hits = (np.full(self.count, np.nan) for _ in range(3))
        self.predicted = np.full(self.count, -1)

    def add(self, batch: Batch, outcome: Outcome) -> None:
        where = list(batch.positions)
        for name in ("losses", "predicted", "confidences", "hits"):
            getattr(self, name)[where] = getattr(outcome, name)
        self.done.extend(where)

    def outcome(self, where: np.ndarray) -> Outcome:
        return Outcome(self.losses[where], self.predicted[where], self.confidences[where], self.hits[where])
