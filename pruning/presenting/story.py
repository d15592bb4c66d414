"""A short story of sentences that are true of the figures: messages whose values are facts, and no other number.

The words follow the intervals. "Faster" needs a measured time whose interval is clear of 1; "no measurable difference"
needs an interval that holds zero, and then the sentence says how large a loss the rows cannot exclude.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pruning.language import mark, tr
from pruning.presenting.figures import Fact, Figures, Presented, figures
from pruning.presenting.prices import Prices

COMPENSATED = {
    "none": mark("Nothing takes the place of what is gone, and nothing is trained again."),
    "mean": mark("Their mean outputs take the place of what is gone; nothing is trained again."),
    "reconstruct": mark("What is left was fitted again by least squares; nothing is trained again."),
}


@dataclass(frozen=True)
class Sentence:
    """One sentence.

    Attributes:
        text: In English, with ``{name}`` where a fact stands.
        facts: By name.
    """

    text: str
    facts: dict[str, Fact] = field(default_factory=dict)

    def read(self, write: Callable[[Fact], str]) -> str:
        """In the language of now.

        Args:
            write: How a fact is written.
        """
        return tr(self.text, **{name: write(fact) for name, fact in self.facts.items()})


def story(found: Presented, prices: Prices) -> tuple[Sentence, ...]:
    """Three to six sentences, in the order of the presentation."""
    known = figures(found, prices)
    return tuple(part for tell in (_gone, _size, _speed, _bill, _quality, _answers) for part in tell(found, known))


def _gone(found: Presented, known: Figures) -> Iterator[Sentence]:
    gone, facts = found.removed, known.others
    if not found.mask:
        yield Sentence(mark("Nothing is removed: both models are the same."))
    elif gone["layers"]:
        text = mark(
            "{layers} of {all_layers} layers are removed; with all that goes beside them, {heads} of {all_heads} "
            "attention heads and {neurons} of {all_neurons} neurons."
        )
        yield _with(text, facts, "layers", "all layers", "heads", "all heads", "neurons", "all neurons")
    elif gone["heads"] and gone["neurons"]:
        text = mark("{heads} of {all_heads} attention heads and {neurons} of {all_neurons} neurons are removed.")
        yield _with(text, facts, "heads", "all heads", "neurons", "all neurons")
    elif gone["neurons"]:
        yield _with(mark("{neurons} of {all_neurons} neurons are removed."), facts, "neurons", "all neurons")
    else:
        yield _with(mark("{heads} of {all_heads} attention heads are removed."), facts, "heads", "all heads")


def _with(text: str, facts: dict[str, Fact], *names: str) -> Sentence:
    return Sentence(text, {name.replace(" ", "_"): facts[name] for name in names})


def _size(found: Presented, known: Figures) -> Iterator[Sentence]:
    """Only of a model that was really cut: a mask alone saves nothing."""
    if "parameters" not in known.pairs:
        yield Sentence(mark("How large the smaller model is has not been measured."))
        return
    size, work = known.pairs["parameters"], known.pairs.get("macs")
    if not found.mask:
        return
    facts = {"before": size.before, "after": size.after}
    if work is None:
        yield Sentence(mark("Really cut, the model has {after} instead of {before}."), facts)
        return
    facts |= {"work_before": work.before, "work_after": work.after}
    yield Sentence(
        mark("Really cut, the model has {after} instead of {before}, and a request takes {work_after} instead of "
             "{work_before}."),
        facts,
    )  # fmt: skip


SPEED = {
    "better": mark("On this computer it is faster: {after} for a request instead of {before}, {times} as fast ({runs} "
                   "runs of each)."),
    "worse": mark("On this computer it is slower: {after} for a request instead of {before} ({runs} runs of each)."),
    "unclear": mark("No difference in speed could be measured on this computer: {after} for a request, {before} before "
                    "({runs} runs of each)."),
}  # fmt: skip


def _speed(found: Presented, known: Figures) -> Iterator[Sentence]:
    if "latency" not in known.pairs:
        yield Sentence(mark("How fast it is has not been measured."))
        return
    pair = known.pairs["latency"]
    text, facts = SPEED[pair.verdict], {"before": pair.before, "after": pair.after, "runs": known.others["runs"]}
    if "{times}" in text and pair.times is not None:
        facts["times"] = pair.times
    yield Sentence(text, facts)


def _bill(found: Presented, known: Figures) -> Iterator[Sentence]:
    """Money and energy, where the clock says that they change."""
    cost, energy = known.pairs.get("cost"), known.pairs.get("energy")
    if cost is None or energy is None or cost.verdict not in ("better", "worse"):
        return
    facts = {"price": known.others["price"], "before": cost.before, "after": cost.after}
    facts |= {"energy_before": energy.before, "energy_after": energy.after}
    yield Sentence(
        mark("At {price} an hour, a million requests then cost {after} instead of {before} and take {energy_after} "
             "instead of {energy_before}."),
        facts,
    )  # fmt: skip


ACCURACY = {
    "better": mark("Accuracy rises from {before} to {after}: {change}, on {rows} examples."),
    "worse": mark("Accuracy falls from {before} to {after}: {change}, on {rows} examples."),
    "unclear": mark("Accuracy shows no measurable difference on {rows} examples: {before} before, {after} after. A "
                    "loss of up to {possible_loss} cannot be excluded."),
    "same": mark("Accuracy is {before} on {rows} examples."),
}  # fmt: skip
PERPLEXITY = {
    "better": mark("Perplexity falls from {before} to {after}, which is better: the loss changes by {change}, on "
                   "{rows} texts."),
    "worse": mark("Perplexity rises from {before} to {after}, which is worse: the loss changes by {change}, on {rows} "
                  "texts."),
    "unclear": mark("Perplexity shows no measurable difference on {rows} texts: {before} before, {after} after. A rise "
                    "of the loss by up to {possible_loss} cannot be excluded."),
    "same": mark("Perplexity is {before} on {rows} texts."),
}  # fmt: skip


def _quality(found: Presented, known: Figures) -> Iterator[Sentence]:
    pair = known.pairs.get("accuracy") or known.pairs.get("perplexity")
    if pair is None or not found.evaluated:
        yield Sentence(mark("How good its answers are has not been measured."))
        return
    text = (ACCURACY if pair.name == "accuracy" else PERPLEXITY)[pair.verdict]
    facts = {"before": pair.before, "after": pair.after, "rows": known.others["rows"]}
    facts |= {"change": pair.change} if pair.change is not None else {}
    facts |= {"possible_loss": known.others["possible loss"]}
    yield Sentence(text, {name: fact for name, fact in facts.items() if f"{{{name}}}" in text})


def _answers(found: Presented, known: Figures) -> Iterator[Sentence]:
    if not found.mask or not found.evaluated or "worse" not in known.others:
        return
    text = mark("Of {rows} answers, {worse} become wrong that were right, and {better} become right that were wrong.")
    yield _with(text, known.others, "rows", "worse", "better")
