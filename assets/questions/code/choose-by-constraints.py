"""From constraints to a strategy: measured candidates in, the best one that meets every limit out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """A pruned model as it was measured on the target machine; ``low`` is the lower end of the accuracy's interval."""

    name: str
    megabytes: float
    latency_ms: float
    accuracy: float
    low: float


@dataclass(frozen=True)
class Limits:
    megabytes: float = float("inf")
    latency_ms: float = float("inf")
    accuracy: float = 0.0

    def broken_by(self, one: Candidate) -> list[str]:
        """What a candidate breaks; accuracy counts by its lower end, so that luck does not pass."""
        checks = {"size": one.megabytes > self.megabytes, "latency": one.latency_ms > self.latency_ms}
        return [name for name, broken in (checks | {"accuracy": one.low < self.accuracy}).items() if broken]


def frontier(candidates: list[Candidate]) -> list[Candidate]:
    """Those that no other equals in everything and beats in something."""

    def beaten(one: Candidate, by: Candidate) -> bool:
        gains = (one.megabytes - by.megabytes, one.latency_ms - by.latency_ms, by.low - one.low)
        return min(gains) >= 0 and max(gains) > 0

    return [one for one in candidates if not any(beaten(one, by) for by in candidates)]


def choose(candidates: list[Candidate], limits: Limits) -> Candidate | None:
    fitting = [one for one in frontier(candidates) if not limits.broken_by(one)]
    return max(fitting, key=lambda one: (one.low, -one.latency_ms), default=None)


measured = [
    Candidate("whole model", 88, 21.0, 0.870, 0.852),
    Candidate("half the heads", 76, 17.5, 0.866, 0.848),
    Candidate("half the weights zero", 88, 21.0, 0.868, 0.850),  # zeros change neither size nor time
    Candidate("neurons and heads", 52, 12.0, 0.855, 0.836),
    Candidate("three layers fewer", 61, 10.5, 0.842, 0.823),
]
assert "half the weights zero" not in [one.name for one in frontier(measured)]
phone, speech = Limits(megabytes=60, accuracy=0.80), Limits(latency_ms=11, accuracy=0.80)
server, dream = Limits(accuracy=0.845), Limits(megabytes=40, accuracy=0.85)
for place, limits in {"phone": phone, "speech": speech, "server": server, "dream": dream}.items():
    best = choose(measured, limits)
    assert best is None or not limits.broken_by(best)
    print(f"{place:6} -> {best.name if best else 'nothing fits: train, distil, or relax a limit'}")
assert choose(measured, dream) is None
