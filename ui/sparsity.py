"""Single weights set to zero: what that costs in accuracy, and what it is worth in size and speed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.statistics import Estimate
from pruning.unstructured import COMPARISONS, PATTERNS, Sparsity, get_weight_score, weight_scores
from ui import state
from ui import theme as look
from ui.figures import main_metric, metric_card
from ui.jobs import Job
from ui.recoveries import measure_all, result_key, submit_again
from ui.recovery_values import Measured
from ui.store import session_id, store
from ui.theme import Theme
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.unstructured.measuring import SparseFigures

FREE = "free"
PATTERN_HELP = (
    "Free: any weight may go. 2:4 and 4:8 keep 2 of every 4, or 4 of every 8, neighbours of a row: some graphics "
    "cards multiply such weights faster."
)


@dataclass(frozen=True, eq=False)
class Sparse:
    """What was measured of a model with zeros; the model itself is not kept.

    Attributes:
        share: Fraction of the weights of the pruned layers that are zero.
    """

    before: Measured
    after: Measured
    figures: SparseFigures
    layers: int


def sparsity_view(model: LoadedModel, theme: Theme) -> None:
    """The settings, the button, and what was measured."""
    st.markdown(
        "Single weights can go instead of whole heads. Zeros alone make nothing faster or smaller: they are stored and "
        "multiplied like any other number. Only a sparse format or kernel can save, and whether it does is measured "
        "here. This looks at the whole model, whatever the mask removes."
    )
    settings = settings_form()
    st.caption(get_weight_score(settings.method).about)
    data = state.current().data
    key = result_key("sparse", model, data, settings)
    found: Sparse | None = store().recoveries.results.get(key)
    if found is not None:
        draw(found, settings)
        return
    worker = store().recoveries.trainer
    job = worker.latest((session_id(), "sparsify"))
    wait_for(job, key, "Measure", lambda: measure(session_id(), model, data, settings), worker)


def settings_form() -> Sparsity:
    """Method, pattern and share."""
    left, middle, right = st.columns(3, gap="medium")
    method = left.selectbox(
        "Method", list(weight_scores()), key="sparse_method", persist_state="session",
        format_func=lambda name: get_weight_score(name).label,
    )  # fmt: skip
    pattern = middle.segmented_control(
        "Pattern", [FREE, *PATTERNS], default=FREE, key="sparse_pattern", required=True, persist_state="session",
        format_func=str.capitalize, help=PATTERN_HELP,
    )  # fmt: skip
    free = pattern in (None, FREE)
    share = right.slider(
        "Sparsity, % of weights set to zero", 0, 95, 50, 5, key="sparse_share", persist_state="session",
        disabled=not free, help="A pattern fixes the sparsity itself.",
    )  # fmt: skip
    return Sparsity(method, share / 100) if free else Sparsity(method, pattern=str(pattern))


def measure(session: str, model: LoadedModel, data: str, settings: Sparsity) -> Job:
    """Queue it where trainings run: nothing of ours may work beside the timing but measurements of masks."""
    recoveries, key = store().recoveries, result_key("sparse", model, data, settings)

    def work(job: Job) -> Iterator[None]:
        from pruning.evaluation import compare
        from pruning.unstructured.measuring import measure_sparse
        from pruning.unstructured.sparsifying import sparsify

        def scoring(done: int, total: int) -> None:
            job.report(done, total, "Scoring weights")

        job.report(0, 1, "Scoring weights")
        rows = recoveries.rows(model, data)
        found = sparsify(model, rows.train, settings, progress=scoring)
        sparse = replace(model, module=found.module, fingerprint=f"{model.fingerprint}-{uuid.uuid4().hex}")
        sparse.__dict__["anatomy"] = model.anatomy  # the parts are the same, and need not be searched for again
        before = yield from measure_all(job, model, rows.measure, "Measuring the model as it is")
        after = yield from measure_all(job, sparse, rows.measure, "Measuring the model with zeros")
        job.report(0, 1, "Writing, zipping and timing")
        figures = measure_sparse(model.module, found.module, found.masks)
        change = compare(before, after)
        recoveries.results.put(key, Sparse(Measured(before), Measured(after, change), figures, len(found.masks)))

    return submit_again(recoveries.trainer, Job((session, "sparsify"), key, work))


# Results ---------------------------------------------------------------------------------------------------------


def draw(found: Sparse, settings: Sparsity) -> None:
    """Accuracy before and after, then size and speed with a sentence on what they mean."""
    figures, columns = found.figures, st.columns(3)
    metric_card(columns[0], "As it is", found.before.evaluation)
    metric_card(columns[1], "With zeros", found.after.evaluation, found.after.change)
    columns[2].metric("Zeros", look.percent(figures.share))
    columns[2].caption(f"of {look.number(figures.weights / 1e6)} M weights in {found.layers} linear layers")
    st.caption(
        f"{competition(settings)}. The change is paired ({main_metric(found.before.evaluation)}, 95% intervals)."
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Size on disk")
        table(["Stored as", "MB"], size_rows(figures))
        st.caption("Dense and zipped files were really written; the two sparse formats are counted.")
    with right:
        st.header("Time to multiply")
        table(["Weights and kernel", "Ratio to dense (95% interval)"], speed_rows(figures))
        st.caption(
            f"All pruned layers on {figures.tokens} tokens, n = {figures.rounds} rounds in turn, on this computer."
        )
    st.markdown(f"**{verdict(figures)}**")


def competition(settings: Sparsity) -> str:
    """
    >>> competition(Sparsity("magnitude", 0.5)), competition(Sparsity("wanda", pattern="2:4"))
    ('Magnitude compares all weights of all layers with each other', 'Wanda in the pattern 2:4')
    """
    score = get_weight_score(settings.method)
    if settings.pattern:
        return f"{score.label} in the pattern {settings.pattern}"
    return f"{score.label} compares {COMPARISONS[settings.compare or score.compare]}"


def size_rows(figures: SparseFigures) -> list[list[str]]:
    """Megabytes of each way to store the weights."""
    sizes = {
        "Dense, with zeros": figures.dense_bytes,
        "Zipped, as it is": figures.zipped_before_bytes,
        "Zipped, with zeros": figures.zipped_bytes,
        "Compressed rows, CSR": figures.csr_bytes,
        "Bit mask and values": figures.bitmask_bytes,
    }
    return [[name, look.number(size / 1e6)] for name, size in sizes.items()]


def speed_rows(figures: SparseFigures) -> list[list[str]]:
    """Time as a ratio to that of the dense weights as they are."""
    return [
        ["As it is, dense kernel", "1"],
        ["With zeros, dense kernel", look.measured(figures.zeros_latency)],
        ["With zeros, sparse kernel", look.measured(figures.csr_latency)],
    ]


def verdict(figures: SparseFigures) -> str:
    """What the sparse format is worth here, as far as the intervals say."""
    size, name = min((figures.csr_bytes, "compressed rows"), (figures.bitmask_bytes, "a bit mask"))
    return (
        f"The zeros alone save nothing. Stored with {name}, the file would be {_less(size, figures.dense_bytes)}; "
        f"the sparse kernel here is {_speed(figures.csr_latency)}."
    )


def _less(after: int, before: int) -> str:
    share = abs(after / before - 1)
    return f"{share:.0%} {'smaller' if after < before else 'larger'}"


def _speed(ratio: Estimate) -> str:
    if ratio.low <= 1 <= ratio.high:
        return "neither clearly faster nor slower"
    factor = 1 / ratio.value if ratio.value < 1 else ratio.value
    return f"{look.number(factor, 2)} times as {'fast' if ratio.value < 1 else 'slow'}"


def table(heads: list[str], rows: list[list[str]]) -> None:
    """A small table of figures; every cell is text of ours."""
    head = "".join(f"<th scope='col'>{text}</th>" for text in heads)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    name = heads[0]
    st.html(
        f"<div class='headroom-figures' role='region' tabindex='0' aria-label='{name}'><table><thead><tr>{head}</tr>"
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    """An interval never breaks within itself on a narrow screen."""
    value, found, interval = text.partition(" (")
    return f"<td>{value} <span class='interval'>({interval}</span></td>" if found else f"<td>{text}</td>"
