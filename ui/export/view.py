"""The groups of the page Export: each with a sentence, its buttons, and how far they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from pruning.language import mark, tr, trn
from ui import state
from ui import theme as look
from ui.export.exports import Package, wanted
from ui.export.gathering import evaluation_job, recall, subject_now, wanted_evaluation
from ui.export.pictures import Picture, pictures
from ui.export.report import report
from ui.export.script import evaluate_command, needs_file, prune_command, python_script
from ui.export.subject import Subject
from ui.export.tables import FILES, importance_table, predictions_table, results_table
from ui.export.told import CODE, EVEN, UNEVEN, even
from ui.export.webpage import for_reader
from ui.figures import change_text, main_metric, value_text
from ui.files import decision_files
from ui.history.words import in_line, metric_name
from ui.recovered import take_away
from ui.removed import mask_words
from ui.store import session_id, store
from ui.theme import plain
from ui.waiting import wait_for

if TYPE_CHECKING:
    import pandas as pd

    from pruning.models import LoadedModel

UNSCORED = mark("Importance comes from Explore")
UNMEASURED = mark("Results and predictions come with the measurement, at the top of this page")
UNSWEPT = mark("A sweep comes from Trade-off")
FORMATS = {"csv": "CSV", "parquet": "Parquet", "json": "JSON"}
IN_PLACE = {
    "none": mark("nothing in its place"),
    "mean": mark("its mean in its place"),
    "reconstruct": mark("projections fitted again"),
}


def file_name(subject: Subject, what: str) -> str:
    """A name for a file that says which model it is of; safe on every system."""
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", subject.decision.model.rstrip("/").rpartition("/")[2]).strip(".-")
    return f"{model[:60] or 'model'}-{what}"


# What will be exported -------------------------------------------------------------------------------------------


def heading(subject: Subject) -> None:
    """In one line: model, data, what is removed, what is in its place, and what that gives."""
    measured = subject.measured
    parts = [subject.data_label]
    if subject.mask:
        parts += [tr("{removed} removed", removed=subject.removed), tr(IN_PLACE[subject.decision.compensation])]
    else:
        parts.append(tr("nothing removed"))
    if measured is not None:
        name = main_metric(measured.after)
        parts.append(f"{metric_name(name)} {value_text(measured.after, name)}")
        if subject.mask:
            parts.append(tr("{change} against the unpruned model", change=change_text(measured.change, name)))
    else:
        job = evaluation_job(subject.model)
        parts.append(tr("being measured") if job is not None and job.active else tr("not measured yet"))
    st.markdown(f"**{plain(subject.label)}** · {plain(' · '.join(parts))}")
    if measured is None:
        _measure(subject)


def _measure(subject: Subject) -> None:
    """Figures are part of the model card, the tables and the report, so they can be had here, too."""
    model, session = subject.model, state.current()

    def ask() -> None:
        store().evaluate(session_id(), model, session.data, session.mask, session.replacement)

    wait_for(evaluation_job(model), wanted_evaluation(model), tr("Measure it"), ask, store().evaluator, primary=False)


# The smaller model -----------------------------------------------------------------------------------------------


def smaller_model(subject: Subject) -> None:
    """Checkpoint and ONNX, made when asked."""
    st.header(tr("The smaller model"))
    if not subject.mask:
        st.info(tr("Nothing is removed yet, so this would be the unpruned model. Remove something on Prune first."))
        if st.button(tr("Open Prune"), type="primary"):
            st.switch_page("pages/prune.py")
        return
    st.markdown(tr(EVEN if even(subject.mask, subject.model.anatomy) else UNEVEN))
    left, right = st.columns(2, gap="large")
    with left:
        _package(subject, "checkpoint", tr("Make the checkpoint"), "application/zip")
    with right:
        _package(subject, "onnx", tr("Make the ONNX file"), "application/octet-stream")


def _package(subject: Subject, kind: str, label: str, mime: str) -> None:
    """The button that makes it, its progress, and then the button that downloads it."""
    exports, key, main = store().exports, wanted(kind, subject), kind == "checkpoint"
    found, job = exports.package(session_id(), key), exports.job(session_id(), kind)

    def ask() -> None:
        make = {"checkpoint": exports.checkpoint, "onnx": exports.onnx}[kind]
        make(session_id(), subject)

    if found is None or (job is not None and job.active):
        wait_for(job, key, label, ask, exports.worker, primary=main)
        st.caption(
            tr("A zip file: weights, tokenizer, mask, model card and checksums.") if main
            else tr("One file for onnxruntime: a single pass without a cache, any batch and length.")
        )  # fmt: skip
        return
    name = file_name(subject, "smaller.zip" if main else f"smaller{found.path.suffix}")
    large = megabytes(found.size_bytes)
    text = (
        tr("Download the checkpoint ({size})", size=large)
        if main
        else tr("Download the ONNX file ({size})", size=large)
    )
    if found.code:
        st.markdown(tr(CODE, file="modeling_headroom.py"))
    if found.line:
        st.code(found.line, language="python", wrap_lines=True)
    _download(found, text, name, mime, main)
    late = main and not found.figures
    said = [look.as_sentence(tr(one)) for one in found.about]
    if late:
        said.append(tr("Its model card holds no figures: they had not been measured when it was made."))
    st.caption(plain(in_line(said)))
    if late and subject.measured is not None:
        st.button(tr("Make it again with the figures"), on_click=ask)


def _download(found: Package, label: str, name: str, mime: str, primary: bool = False) -> None:
    st.download_button(
        label, lambda: found.path.open("rb"), name, mime, on_click="ignore", icon=":material/download:",
        type="primary" if primary else "secondary", key=f"download_{name}",
    )  # fmt: skip


def megabytes(size: int) -> str:
    """
    >>> megabytes(90_400_000), megabytes(12_300)
    ('90.4 MB', '12.3 kB')
    """
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"


def recovered_model(model: LoadedModel) -> None:
    """The session's last trained model, where there is one."""
    trained = store().recoveries.trained(session_id())
    if trained is None or trained.source != model.fingerprint:
        return
    st.subheader(tr("The recovered model"))
    st.markdown(plain(tr("Trained on Recover after {units} had been cut.", units=mask_words(trained.asked.mask))))
    take_away(model, trained)


# The decision ----------------------------------------------------------------------------------------------------


def decision(subject: Subject) -> None:
    """Files, link, commands and program."""
    st.header(tr("The decision"))
    if not subject.mask:
        st.markdown(tr("There is no mask yet. The program below measures the unpruned model."))
    else:
        st.markdown(tr("What goes, as a file for Prune and the command line, and three ways to do it again."))
        with st.container(horizontal=True, vertical_alignment="center"):
            decision_files(subject.mask, subject.plan, "export")
            _codes(subject)
    commands = "\n".join(filter(None, _commands(subject)))
    first, second = st.tabs([tr("Copy as command"), tr("Copy as Python")], key="export_again")
    with first:
        if file := needs_file(subject.decision) if subject.mask else "":
            st.caption(tr("Save {file} beside it first. Run it in the folder of Headroom.", file=file))
        if commands:
            st.code(commands, language="bash", wrap_lines=True)
        if not evaluate_command(subject.decision):
            st.caption(tr("The command line does not measure on the rows that the replacement was made from."))
    with second:
        program = python_script(subject)
        st.code(program, language="python", height=320)
        name = file_name(subject, "prune.py")
        st.download_button(tr("Download the program"), program, name, "text/x-python", on_click="ignore")


def _commands(subject: Subject) -> list[str]:
    cut = [prune_command(subject.decision, measure=True)] if subject.mask else []
    return [*cut, evaluate_command(subject.decision)]


def _codes(subject: Subject) -> None:
    if not subject.link:
        st.caption(tr("This mask is too long for a link: take it with you as a file."))
        return
    with st.popover(tr("Link and code")):
        st.markdown(tr("A link to Prune with this model, data and mask:"))
        st.code(subject.link, language=None, wrap_lines=True)
        st.markdown(tr("The mask alone, as a code:"))
        st.code(subject.mask.to_code(), language=None, wrap_lines=True)


# The numbers -----------------------------------------------------------------------------------------------------


def numbers(subject: Subject) -> None:
    """Tables in the format that is chosen; each is made when it is downloaded."""
    st.header(tr("The numbers"))
    st.markdown(tr("Tables in full precision, made when you download them."))
    kind = st.segmented_control(
        tr("Format"), list(FILES), default="csv", key="export_format", required=True, format_func=FORMATS.__getitem__,
        persist_state="session", help=tr("CSV for spreadsheets; Parquet keeps the types; JSON is a list of rows."),
    )  # fmt: skip
    kind = kind or "csv"
    with st.container(horizontal=True):
        _tables(subject, kind)
    st.caption(plain(_table_words(subject)))


def _tables(subject: Subject, kind: str) -> None:
    measured, sweep, (mime, write) = subject.measured, subject.sweep, FILES[kind]
    known: dict[str, Callable[[], pd.DataFrame] | None] = {
        mark("Importance"): partial(importance_table, subject.maps, subject.mask, subject.model.anatomy)
        if subject.maps
        else None,
        mark("Results"): partial(results_table, measured) if measured else None,
        mark("Predictions"): partial(predictions_table, measured) if measured else None,
        mark("Sweep"): sweep.copy if sweep is not None else None,
    }
    for label, make in known.items():
        st.download_button(
            tr(label), partial(_written, write, make) if make else b"",
            file_name(subject, f"{label.lower()}.{kind}"), mime, on_click="ignore",
            disabled=make is None, key=f"table_{label}",
        )  # fmt: skip


def _written(write: Callable[[pd.DataFrame], bytes], make: Callable[[], pd.DataFrame]) -> bytes:
    return write(make())


def _table_words(subject: Subject) -> str:
    """What the tables hold, and where those come from that there are not."""
    measured, sweep, count = subject.measured, subject.sweep, len({one.criterion for one in subject.maps})
    values = sum(len(one.keep_values) for one in subject.maps)
    scored = trn(
        "Importance: {n} criterion, {values:,} values",
        "Importance: {n} criteria, {values:,} values",
        count,
        values=values,
    )
    parts = [
        scored if count else tr(UNSCORED),
        trn("Results and predictions: {n} row", "Results and predictions: {n:,} rows", measured.after.samples)
        if measured
        else tr(UNMEASURED),
        trn("Sweep: {n} plan", "Sweep: {n:,} plans", len(sweep)) if sweep is not None else tr(UNSWEPT),
    ]
    return in_line(map(look.as_sentence, parts))


# The report ------------------------------------------------------------------------------------------------------


def report_part(subject: Subject, chosen: list[Picture]) -> None:
    """The report with the figures that are chosen above it."""
    st.header(tr("The report"))
    about = tr(
        "One HTML file that needs no network: what was done, why, what it costs and saves, examples, how to make it "
        "again, and what it does not say."
    )
    figures = trn("With {n} figure from above.", "With {n} figures from above.", len(chosen))
    figures = figures if chosen else tr("With no figures from above.")
    st.markdown(in_line([about, figures]))
    st.download_button(
        tr("Download the report"), for_reader(lambda: report(subject, chosen)), file_name(subject, "report.html"),
        "text/html", on_click="ignore", key="export_report", icon=":material/download:",
    )  # fmt: skip
    if subject.measured is None:
        st.caption(tr("The task has not been measured, and the report will say so."))


def export_view(model: LoadedModel, theme: look.Theme) -> None:
    """The whole page, once the model is there."""
    from ui.export.figure_part import figures

    recall(model)
    subject = subject_now(model)
    heading(subject)
    smaller_model(subject)
    recovered_model(model)
    decision(subject)
    numbers(subject)
    chosen = figures(subject, pictures(subject), theme)
    report_part(subject, chosen)
