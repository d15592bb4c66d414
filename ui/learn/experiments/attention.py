"""Lesson 1: one head of the model on one sentence, and what a temperature does to its attention."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd
import streamlit as st

from pruning.errors import UnsupportedError
from pruning.language import Later, later, mark, tr
from pruning.masks import HeadId
from pruning.statistics import Estimate, mean
from ui.charts import CONFIG
from ui.learn.base import Experiment, Guess, Outcome, Report, Subject, Told, register
from ui.learn.charts_attention import attention_grid, most_shown, temperature_curve
from ui.learn.judging import affordable
from ui.naming import head_name, names_of
from ui.theme import Theme, percent, plain, proportion

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pruning.looking import AttentionMap
    from pruning.looking.watching import Words
    from pruning.models import LoadedModel
    from pruning.tasks import Batch, Examples

TEMPERATURES = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
MOST_LETTERS = 160
SHORT, LONG = 7, 18  # tokens of a sentence that is easy to read on a picture
STEP = mark("Watching the head")
PERCENT = mark("{value}%")
_VISIBLE: weakref.WeakKeyDictionary[nn.Module, dict[int, Later | None]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False, kw_only=True)
class AttentionOutcome(Outcome):
    """How much falls on the strongest token, in percent, and the picture of one row.

    Attributes:
        shares: The same as fractions at each of `TEMPERATURES`.
        even: The share of each token where all get the same, a fraction.
        found: The attention of the head's site on the row that is shown, as the model was trained.
        row: Position of that row.
    """

    shares: tuple[Estimate, ...]
    even: float
    found: AttentionMap
    row: int


@register
@dataclass(frozen=True)
class Attention(Experiment):
    """A head's softmax at another temperature."""

    name = "attention"
    told: ClassVar[Told] = {"temperature": lambda one: f"{one:g}"}

    site: int = 0
    head: int = 0
    temperature: float = 1.0

    @classmethod
    def refusal(cls, subject: Subject) -> Later | None:
        seen = sites_seen(subject.model, subject.calibration)
        reasons = [reason for reason in seen.values() if reason is not None]
        if len(reasons) < len(seen):
            return None
        why = reasons[0] if reasons else subject.model.anatomy.reason
        return later("the attention of this model cannot be seen: {reason}", reason=why)

    @classmethod
    def choose(cls, subject: Subject) -> Self:
        model = subject.model
        seen, sites = sites_seen(model, subject.calibration), model.anatomy.sites
        names = names_of(model.anatomy, len(sites))
        heads = [HeadId(site.index, head) for site in sites if seen[site.index] is None for head in range(site.heads)]
        left, right = st.columns(2)
        head = left.selectbox(
            tr("Head"), heads, index=len(heads) // 2, format_func=lambda one: head_name(one, names),
            key=f"lesson_attention_head {model.fingerprint}", persist_state="session",
            help=tr("Whose attention you look at. Heads of one layer read the same input and look at it in "
                    "different ways."),
        )  # fmt: skip
        temperature = right.select_slider(
            tr("Temperature"), TEMPERATURES, 1.0, format_func=cls.told["temperature"],
            key="lesson_attention_temperature", persist_state="session",
            help=tr("The scores are divided by it before the softmax. 1 is the model as it was trained; below 1 the "
                    "attention becomes harder, above 1 softer."),
        )  # fmt: skip
        if text := subject.calibration.texts[row_to_show(subject.calibration)] if _reads_text(subject) else "":
            st.caption(
                tr("On the picture: {text}", text=plain(f"{text[:MOST_LETTERS]}{'…' * (len(text) > MOST_LETTERS)}"))
            )
        head = head or heads[0]
        return cls(head.site, head.head, temperature or 1.0)

    def guess(self, subject: Subject) -> Guess:
        return Guess(0, 100, 1, 50, PERCENT)

    def run(self, subject: Subject, report: Report) -> AttentionOutcome:
        """Watch the head on the calibration rows; every temperature is computed from the same probabilities.

        Heads and layers that the mask removes are away meanwhile.
        """
        from pruning.gating import gated
        from pruning.looking import attention_map
        from pruning.looking.watching import small_batches

        rows = affordable(subject.model, subject.calibration, 2)
        shares = np.full((len(rows), len(TEMPERATURES) + 1), np.nan)
        done, row = 0, row_to_show(subject.calibration)
        with gated(subject.model, subject.mask):
            for batch in small_batches(subject.model, rows):
                shares[list(batch.positions)] = self._watched(subject.model, batch)
                done += len(batch.positions)
                report(done, len(rows), STEP)
            found = attention_map(subject.model, subject.calibration.features[row], self.site)
        shares = shares[np.isfinite(shares).all(1)]  # a row of a single token leaves no choice
        if not len(shares):
            raise UnsupportedError("none of these rows gives this head more than one token to look at")
        estimates = [mean(column) for column in shares.T]
        chosen = estimates[TEMPERATURES.index(self.temperature)]
        return AttentionOutcome(
            truth=100 * chosen.value, low=100 * chosen.low, high=100 * chosen.high, samples=len(shares),
            shares=tuple(_within_bounds(one) for one in estimates[:-1]), even=estimates[-1].value, found=found, row=row,
        )  # fmt: skip

    def _watched(self, model: LoadedModel, batch: Batch) -> np.ndarray:
        """The strongest shares of a batch at every temperature, and the even share, ``(example, 8)``."""
        import torch

        from pruning.looking.watching import watch

        seen: list[Tensor] = []  # a shared layer runs its heads several times: the first time counts

        def look(_: int, weights: Tensor, __: Words) -> None:
            if not seen:
                own = weights[:, self.head]
                every = [strongest(own, one) for one in TEMPERATURES]
                seen.append(torch.stack([*every, even_share(own)], -1).double().cpu())

        refused = watch(model, batch.inputs, {self.site}, look)
        if not seen:
            reason = refused[self.site]
            raise UnsupportedError("the attention of this head cannot be seen: {reason}", reason=reason)
        return seen[0].numpy()

    def draw(self, subject: Subject, outcome: Outcome, theme: Theme) -> None:
        assert isinstance(outcome, AttentionOutcome)
        weights, found = self._shown_weights(outcome), outcome.found
        title, note = self.title(outcome), self._about(subject, outcome)
        figure = attention_grid(weights, found.queries, found.keys, title=title, subtitle=note, theme=theme)
        st.plotly_chart(figure, theme=None, config=CONFIG, key="lesson_attention_map", alt=f"{title}. {note}")
        st.markdown(self.sentence(outcome))
        curve = temperature_curve(
            TEMPERATURES, outcome.shares, outcome.even, self.temperature, theme=theme,
            title=tr("From {hard:.0%} on one token when cold to {soft:.0%} when hot", hard=outcome.shares[0].value,
                     soft=outcome.shares[-1].value),
            subtitle=tr("n = {n:,} rows, 95% interval; dotted: every token gets the same", n=outcome.samples),
        )  # fmt: skip
        alt = tr("Share of the strongest token at {n} temperatures; the table below holds it.", n=len(TEMPERATURES))
        st.plotly_chart(curve, theme=None, config=CONFIG, key="lesson_attention_curve", alt=alt)
        with st.expander(tr("As a table")):
            st.dataframe(self.token_table(outcome), hide_index=True)
            st.dataframe(self.temperature_table(outcome), hide_index=True)

    def _shown_weights(self, outcome: AttentionOutcome) -> np.ndarray:
        """``(query, key)`` of the row on the picture, at the chosen temperature."""
        import torch

        return at_temperature(torch.from_numpy(outcome.found.weights[self.head]), self.temperature).numpy()

    def title(self, outcome: AttentionOutcome) -> str:
        """The finding, of all the rows."""
        return tr("At temperature {t:g}, {share:.0%} of the attention falls on one token", t=self.temperature,
                  share=outcome.truth / 100)  # fmt: skip

    def _about(self, subject: Subject, outcome: AttentionOutcome) -> str:
        """Which head, which row, and what is left out of the picture."""
        names = names_of(subject.model.anatomy, len(subject.model.anatomy.sites))
        name, found = head_name(HeadId(self.site, self.head), names), outcome.found
        longest = max(found.queries, found.keys, key=len)
        if longest.grid is not None:
            return tr("{head} on image {n}; each row adds up to 100%", head=name, n=outcome.row + 1)
        if len(longest) > most_shown(longest):
            return tr("{head} on the first {shown} of {count:,} tokens of row {n}; a whole row adds up to 100%",
                      head=name, shown=most_shown(longest), count=len(longest), n=outcome.row + 1)  # fmt: skip
        return tr("{head} on row {n}; each row adds up to 100%", head=name, n=outcome.row + 1)

    def sentence(self, outcome: AttentionOutcome) -> str:
        """The numbers with their interval."""
        index = TEMPERATURES.index(self.temperature)
        share = proportion(outcome.shares[index], outcome.samples)
        if self.temperature == 1:
            return tr("On average a token gives **{share}** of its attention to the one it attends to most. Spread "
                      "evenly, it would be {even}.", share=share, even=percent(outcome.even))  # fmt: skip
        return tr(
            "On average a token gives **{share}** of its attention to the one it attends to most. As trained, at "
            "temperature 1, it is {trained}; spread evenly, it would be {even}.",
            share=share, trained=percent(outcome.shares[TEMPERATURES.index(1.0)].value), even=percent(outcome.even),
        )  # fmt: skip

    def token_table(self, outcome: AttentionOutcome) -> pd.DataFrame:
        """For each token of the picture, the one that it attends to most."""
        found, weights = outcome.found, self._shown_weights(outcome)
        count = min(len(found.queries), most_shown(found.queries))
        best = weights[:count].argmax(1)
        return pd.DataFrame(
            {
                tr("Token"): list(found.queries.tokens[:count]),
                tr("looks most at"): [found.keys.tokens[i] for i in best],
                tr("share"): [percent(float(weights[row, i])) for row, i in enumerate(best)],
                tr("share at temperature 1"): [percent(float(one)) for one in found.weights[self.head][:count].max(1)],
            }
        )

    def temperature_table(self, outcome: AttentionOutcome) -> pd.DataFrame:
        shares = [proportion(one, outcome.samples) for one in outcome.shares]
        return pd.DataFrame(
            {tr("Temperature"): [f"{one:g}" for one in TEMPERATURES], tr("On the strongest token"): shares}
        )


def at_temperature(weights: Tensor, temperature: float) -> Tensor:
    """Attention as it would be had the scores been divided by a temperature before the softmax.

    The logarithms of the probabilities are the scores up to a constant for each query, which the softmax takes away
    (Hinton, Vinyals and Dean, 2015, for the temperature).

    Args:
        weights: ``(…, query, key)``; 0 where a query may not look, and there it stays 0.
    """
    import torch

    return weights if temperature == 1 else torch.nan_to_num((weights.log() / temperature).softmax(-1))


def strongest(weights: Tensor, temperature: float) -> Tensor:
    """The largest share of each query, averaged over the queries that have a choice, ``(example,)``.

    Args:
        weights: ``(example, query, key)``.
    """
    return _over_choices(at_temperature(weights, temperature).amax(-1), weights)


def even_share(weights: Tensor) -> Tensor:
    """The share of each token where all that a query may look at get the same, likewise."""
    return _over_choices(1 / (weights > 0).sum(-1).clamp_min(1), weights)


def _over_choices(values: Tensor, weights: Tensor) -> Tensor:
    """Means over the queries that may look at two tokens or more, ``(example,)``; nan where there is none."""
    import torch

    chooses = (weights > 0).sum(-1) > 1
    return torch.where(chooses, values, 0.0).sum(-1) / chooses.sum(-1)


def _within_bounds(one: Estimate) -> Estimate:
    """The interval of a share does not leave 0 to 1."""
    return Estimate(one.value, max(0.0, one.low), min(1.0, one.high))


def _reads_text(subject: Subject) -> bool:
    return any("input_ids" in row for row in subject.calibration.features[:1])


def row_to_show(examples: Examples) -> int:
    """The first row that is easy to read, or the shortest one."""
    lengths = [len(row.get("input_ids", ())) for row in examples.features]
    easy = [i for i, length in enumerate(lengths) if SHORT <= length <= LONG]
    return easy[0] if easy else int(np.argmin(lengths))


def sites_seen(model: LoadedModel, examples: Examples) -> dict[int, Later | None]:
    """Why the attention of a site cannot be seen, or None where it can; found once for a model, on one row."""
    from pruning.looking.watching import small_batches, watch

    if model.module not in _VISIBLE:
        sites = {site.index for site in model.anatomy.sites}
        batch = next(iter(small_batches(model, examples.at([row_to_show(examples)]))))
        refused: dict[int, Any] = watch(model, batch.inputs, sites, lambda *_: None)
        _VISIBLE[model.module] = {site: refused.get(site) for site in sorted(sites)}
    return _VISIBLE[model.module]
