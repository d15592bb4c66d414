"""Single weights set to zero: what that costs in accuracy, and what it is worth in size and speed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import mark, tr
from pruning.recovery.settings import History, Training
from pruning.statistics import Estimate
from pruning.unstructured import COMPARISONS, PATTERNS, Sparsity, get_weight_score, weight_scores
from ui import charts, state
from ui import theme as look
from ui.details import NAMES
from ui.figures import main_metric, metric_card
from ui.jobs import Job
from ui.recovered import training_words
from ui.recoveries import measure_all, result_key, submit_again
from ui.recovering import rows_text
from ui.recovery_charts import describe_training, training_chart
from ui.recovery_values import Measured, Record
from ui.store import session_id, store
from ui.theme import Theme
from ui.waiting import wait_for

if TYPE_CHECKING:
    from pruning.models import LoadedModel
    from pruning.tasks import Examples
    from pruning.unstructured.measuring import SparseFigures
    from pruning.unstructured.sparsifying import SparseModel

FREE = "free"
GROWING = Training("fine-tune")  # on the labels and on the answers of the model as it is
TRAINING_HELP = mark(
    "The zeros grow step by step while all weights are trained on the labels and on the answers of the model as it is: "
    "what stays can make up for what goes. A pattern cannot grow: choose Free for this."
)
PATTERN_HELP = mark(
    "Free: any weight may go. 2:4 and 4:8 keep 2 of every 4, or 4 of every 8, neighbours of a row: some graphics "
    "cards multiply such weights faster."
)


@dataclass(frozen=True, eq=False)
class Sparse:
    """What was measured of a model with zeros; the model itself is not kept.

    Attributes:
        training: Of the weights, where the zeros grew while they were trained.
        late: Fraction of the weights that became zero only when training had ended.
    """

    before: Measured
    after: Measured
    figures: SparseFigures
    layers: int
    training: Record | None = None
    late: float = 0.0


def sparsity_view(model: LoadedModel, theme: Theme) -> None:
    """The settings, the button, and what was measured."""
    text = mark(
        "Single weights can go instead of whole heads. Zeros alone make nothing faster or smaller: they are stored and "
        "multiplied like any other number. Only a sparse format or kernel can save, and whether it does is measured "
        "here. This looks at the whole model, whatever the mask removes."
    )
    st.markdown(tr(text))
    settings = settings_form()
    training = training_form(free=not settings.pattern)
    st.caption(tr(get_weight_score(settings.method).about))
    if training is not None:
        st.caption(rows_text(model, training))
    data = state.current().data
    key = sparse_key(model, data, settings, training)
    found: Sparse | None = store().recoveries.results.get(key)
    if found is not None:
        if found.late:
            text = mark(
                "{share} of the weights became zero only after training had ended, and nothing made up for them. Allow "
                "more minutes."
            )
            st.warning(tr(text, share=look.percent(found.late)))
        draw(found, settings)
        if found.training is not None:
            draw_training(found.training, found.late, theme)
        return
    worker, label = store().recoveries.trainer, tr("Train and measure") if training else tr("Measure")
    job = worker.latest((session_id(), "sparsify"))
    wait_for(job, key, label, lambda: measure(session_id(), model, data, settings, training), worker)


def settings_form() -> Sparsity:
    """Method, pattern and share."""
    left, middle, right = st.columns(3, gap="medium")
    method = left.selectbox(
        tr("Method"), list(weight_scores()), key="sparse_method", persist_state="session",
        format_func=lambda name: tr(get_weight_score(name).label),
    )  # fmt: skip
    pattern = middle.segmented_control(
        tr("Pattern"), [FREE, *PATTERNS], default=FREE, key="sparse_pattern", required=True, persist_state="session",
        format_func=lambda name: tr("Free") if name == FREE else name, help=tr(PATTERN_HELP),
    )  # fmt: skip
    free = pattern in (None, FREE)
    share = right.slider(
        tr("Sparsity, % of weights set to zero"), 0, 95, 50, 5, key="sparse_share", persist_state="session",
        disabled=not free, help=tr("A pattern fixes the sparsity itself."),
    )  # fmt: skip
    return Sparsity(method, share / 100) if free else Sparsity(method, pattern=str(pattern))


def training_form(free: bool) -> Training | None:
    """Whether the zeros grow while the weights are trained, and for how long; a pattern cannot grow."""
    left, _, right = st.columns(3, gap="medium", vertical_alignment="center")
    grows = left.toggle(
        tr("While training"), key="sparse_training" if free else "sparse_at_once", disabled=not free,
        persist_state="session" if free else None, help=tr(TRAINING_HELP),
    )  # fmt: skip
    if not (free and grows):
        return None
    minutes = right.slider(
        tr("Minutes at most"), 1, 10, 3, key="sparse_minutes", persist_state="session",
        help=tr(
            "Training stops then. Zeros that have not grown until then are set at the end, and the result says so."
        ),
    )  # fmt: skip
    return replace(GROWING, minutes=float(minutes))


def sparse_key(model: LoadedModel, data: str, settings: Sparsity, training: Training | None) -> object:
    """What a result belongs to."""
    return result_key("sparse", model, data, settings, training)


def measure(session: str, model: LoadedModel, data: str, settings: Sparsity, training: Training | None) -> Job:
    """Queue it where trainings run: nothing of ours may work beside the timing but measurements of masks."""
    recoveries, key = store().recoveries, sparse_key(model, data, settings, training)

    def work(job: Job) -> Iterator[None]:
        from pruning.evaluation import compare
        from pruning.unstructured.measuring import measure_sparse

        job.report(0, 1, mark("Reading the rows"))
        rows = recoveries.rows(model, data)
        found = set_to_zero(job, model, rows.train, settings, training)
        job.started = time.monotonic()  # what is left is told by the pace of measuring
        sparse = replace(model, module=found.module, fingerprint=f"{model.fingerprint}-{uuid.uuid4().hex}")
        sparse.__dict__["anatomy"] = model.anatomy  # the parts are the same, and need not be searched for again
        before = yield from measure_all(job, model, rows.measure, mark("Measuring the model as it is"))
        after = yield from measure_all(job, sparse, rows.measure, mark("Measuring the model with zeros"))
        job.report(0, 1, mark("Writing, zipping and timing"))
        figures = measure_sparse(model.module, found.module, found.masks)
        measured = Measured(before), Measured(after, compare(before, after))
        record = Record.of(found.training) if found.training else None
        recoveries.results.put(key, Sparse(*measured, figures, len(found.masks), record, found.late))

    return submit_again(recoveries.trainer, Job((session, "sparsify"), key, work))


def set_to_zero(
    job: Job, model: LoadedModel, rows: Examples, settings: Sparsity, training: Training | None
) -> SparseModel:
    """The copy with zeros, at once or while it is trained."""
    from pruning.unstructured.dynamic import sparsify_gradually
    from pruning.unstructured.sparsifying import sparsify

    def scoring(done: int, total: int) -> None:
        job.report(done, total, mark("Scoring weights"))

    def follow(done: int, total: int, history: tuple[History, ...]) -> None:
        job.report(done, total, mark("Training while the zeros grow: step"))

    job.report(0, 1, mark("Scoring weights"))
    if training is None:
        return sparsify(model, rows, settings, progress=scoring)
    return sparsify_gradually(model, rows, settings, training=training, progress=follow)


# Results ---------------------------------------------------------------------------------------------------------


def draw(found: Sparse, settings: Sparsity) -> None:
    """Accuracy before and after, then size and speed with a sentence on what they mean."""
    figures, columns = found.figures, st.columns(3)
    metric_card(columns[0], tr("As it is"), found.before.evaluation)
    metric_card(columns[1], tr("With zeros"), found.after.evaluation, found.after.change)
    columns[2].metric(tr("Zeros"), look.percent(figures.share))
    weights = f"{look.number(figures.weights / 1e6)} M"
    columns[2].caption(tr("of {weights} weights in {n} linear layers", weights=weights, n=found.layers))
    text = mark("{how}. The change is paired ({metric}, 95% intervals).")
    metric = tr(NAMES[main_metric(found.before.evaluation)]).lower()
    st.caption(tr(text, how=competition(settings), metric=metric))
    left, right = st.columns(2, gap="large")
    with left:
        st.header(tr("Size on disk"))
        table([tr("Stored as"), "MB"], size_rows(figures))
        st.caption(tr("Dense and zipped files were really written; the two sparse formats are counted."))
    with right:
        st.header(tr("Time to multiply"))
        table([tr("Weights and kernel"), tr("Ratio to dense (95% interval)")], speed_rows(figures))
        text = mark("All pruned layers on {tokens} tokens, n = {n} rounds in turn, on this computer.")
        st.caption(tr(text, tokens=figures.tokens, n=figures.rounds))
    st.markdown(f"**{verdict(figures)}**")


def draw_training(record: Record, late: float, theme: Theme) -> None:
    """What training did while the zeros grew."""
    st.header(tr("While training"))
    title = growing_title(record, late)
    every = tr("after each epoch; only states with all zeros can be kept")
    subtitle = tr("after each epoch") if late else every
    figure = training_chart(record.history, title=title, kept=record.best, subtitle=subtitle, theme=theme)
    alt = describe_training(record.history, title)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, key="sparse_history", alt=alt)
    st.caption(training_words(tr("Fine-tuning of all weights"), record))


def growing_title(record: Record, late: float) -> str:
    """
    >>> rows = History(0, 0, None, 0.5, 0.8), History(9, 4, 0.6, 0.52, 0.85)
    >>> growing_title(Record(rows, rows[1], 9, (8, 2), "epochs", 4.0), 0.0)
    'Held-out loss 0.500 before, 0.520 with zeros'
    """
    if late:
        return tr("Not all zeros were there when training ended")
    first, last = (look.number(row.held_out_loss) for row in (record.history[0], record.best))
    return tr("Held-out loss {first} before, {last} with zeros", first=first, last=last)


def competition(settings: Sparsity) -> str:
    """
    >>> competition(Sparsity("magnitude", 0.5)), competition(Sparsity("wanda", pattern="2:4"))
    ('Magnitude compares all weights of all layers with each other', 'Wanda in the pattern 2:4')
    """
    score = get_weight_score(settings.method)
    if settings.pattern:
        return tr("{score} in the pattern {pattern}", score=tr(score.label), pattern=settings.pattern)
    what = tr(COMPARISONS[settings.compare or score.compare])
    return tr("{score} compares {what}", score=tr(score.label), what=what)


def size_rows(figures: SparseFigures) -> list[list[str]]:
    """Megabytes of each way to store the weights."""
    sizes = {
        tr("Dense, with zeros"): figures.dense_bytes,
        tr("Zipped, as it is"): figures.zipped_before_bytes,
        tr("Zipped, with zeros"): figures.zipped_bytes,
        tr("Compressed rows, CSR"): figures.csr_bytes,
        tr("Bit mask and values"): figures.bitmask_bytes,
    }
    return [[name, look.number(size / 1e6)] for name, size in sizes.items()]


def speed_rows(figures: SparseFigures) -> list[list[str]]:
    """Time as a ratio to that of the dense weights as they are."""
    return [
        [tr("As it is, dense kernel"), "1"],
        [tr("With zeros, dense kernel"), look.measured(figures.zeros_latency)],
        [tr("With zeros, sparse kernel"), look.measured(figures.csr_latency)],
    ]


def verdict(figures: SparseFigures) -> str:
    """What the sparse format is worth here, as far as the intervals say."""
    size, name = min((figures.csr_bytes, tr("compressed rows")), (figures.bitmask_bytes, tr("a bit mask")))
    text = mark(
        "The zeros alone save nothing. Stored with {format}, the file would be {less}; the sparse kernel here is "
        "{speed}."
    )
    return tr(text, format=name, less=_less(size, figures.dense_bytes), speed=_speed(figures.csr_latency))


def _less(after: int, before: int) -> str:
    share = abs(after / before - 1)
    return tr("{share:.0%} smaller", share=share) if after < before else tr("{share:.0%} larger", share=share)


def _speed(ratio: Estimate) -> str:
    if ratio.low <= 1 <= ratio.high:
        return tr("neither clearly faster nor slower")
    if ratio.value < 1:
        return tr("{factor} times as fast", factor=look.number(1 / ratio.value, 2))
    return tr("{factor} times as slow", factor=look.number(ratio.value, 2))


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
