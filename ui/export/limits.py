"""What the figures of a report do not show. Pure."""

from __future__ import annotations

from pruning.language import tr, trn
from ui.export.subject import Subject


def limits(subject: Subject) -> list[str]:
    """What the figures do not show, in sentences that are true of them."""
    found, sentences = subject.measured, []
    if found is not None:
        sentences.append(
            trn(
                "The figures are of {n} row of {data}. Other data may give others.",
                "The figures are of {n:,} rows of {data}. Other data may give others.",
                found.after.samples,
                data=subject.data_label,
            )
        )
        sentences.append(tr("An interval says how much the choice of rows matters, and nothing else."))
        if subject.decision.same_rows:
            sentences.append(tr("The same rows were used to choose and to measure, so the figures are too good."))
    if any(one.scope == "heads" for one in subject.maps):
        sentences.append(
            tr("Importance ranks heads by one criterion on the calibration rows. Another may rank them differently.")
        )
    if subject.latency is None:
        sentences.append(tr("Fewer multiply-accumulates need not mean less time. It was not measured."))
    if subject.mask:
        sentences.append(tr("The figures are of the model as it is cut. Training it afterwards would change them."))
    return sentences
