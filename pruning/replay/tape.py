"""What is kept of a batch's way through the model, and how much of it may be kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pruning.masks import Mask

if TYPE_CHECKING:
    from torch import Tensor

    from pruning.recovery.compensation import Compensation


@dataclass(frozen=True)
class Start:
    """Where a pass over a tape begins: at a stage, or at its attention projection."""

    stage: int = 0
    resumes: bool = False


@dataclass(eq=False)
class Tape:
    """The states of one batch in a masked model.

    Attributes:
        outputs: What each layer gives, by its place in the order of execution: ``(example, token, hidden)``. The last
            one's is not kept.
        inputs: What reaches the projection of a layer's only attention site, before its gates.
        mask, compensation: Of the model as it was; ``None`` before the first run.
    """

    outputs: dict[int, Tensor] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)
    mask: Mask | None = None
    compensation: Compensation | None = None

    def repeated(self, count: int, start: Start) -> Tape:
        """What a pass from there on needs, for the same examples ``count`` times, one round after the other."""

        def rounds(tensor: Tensor) -> Tensor:
            return tensor.repeat(count, *[1] * (tensor.dim() - 1))

        outputs = {number: rounds(hidden) for number, hidden in self.outputs.items() if number < start.stage}
        return Tape(outputs, {start.stage: rounds(self.inputs[start.stage])} if start.resumes else {})

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(t.numel() * t.element_size() for kept in (self.outputs, self.inputs) for t in kept.values())


class Tapes:
    """Tapes of many batches, within a limit.

    What is full stays as it is, because evaluations go through their batches in circles and would drive out each just
    before its turn. Only tapes of another model or of other examples make room, the ones used longest ago first.

    Args:
        limit: In bytes; 0 keeps nothing.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._kept: OrderedDict[tuple[Hashable, Hashable], Tape] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, owner: Hashable, batch: Hashable) -> Iterator[Tape]:
        """The tape of a batch, or a new one: nobody else has it meanwhile. After an error it is not kept."""
        with self._lock:
            tape = self._kept.pop((owner, batch), None)
            self.size -= tape.size if tape else 0
        tape = tape or Tape()
        yield tape
        self._keep(owner, batch, tape)

    def _keep(self, owner: Hashable, batch: Hashable, tape: Tape) -> None:
        """Keep a tape, if there is room for it."""
        with self._lock:
            self._forget((owner, batch))
            others = [key for key in self._kept if key[0] != owner]
            room = self.limit - self.size + sum(self._kept[key].size for key in others)
            if tape.size > room:
                return
            for key in others:
                if self.size + tape.size <= self.limit:
                    break
                self._forget(key)
            self._kept[owner, batch] = tape
            self.size += tape.size

    def _forget(self, key: tuple[Hashable, Hashable]) -> None:
        tape = self._kept.pop(key, None)
        self.size -= tape.size if tape else 0

    def __len__(self) -> int:
        return len(self._kept)
