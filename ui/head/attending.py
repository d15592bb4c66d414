"""The head's attention on one input: a sentence of one's own, or a row of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.errors import PruningError
from pruning.language import mark, tr
from pruning.masks import HeadId
from ui import state
from ui.head.following import follow
from ui.head.picture import MOST_TOKENS, attention_picture, one_at_a_time
from ui.naming import head_name, names_of
from ui.store import session_id, store
from ui.theme import as_sentence, plain

if TYPE_CHECKING:
    from pruning.looking import AttentionMap
    from pruning.models import LoadedModel
    from pruning.tasks import Examples

OWN, ROW = mark("A sentence of your own"), mark("A row of the data")
NOUNS = mark("Image"), mark("Row")
EXAMPLE = "The film is far better than its title suggests."
FIRST_LETTERS, MOST_ROWS = 70, 500
Subject = tuple[object, dict[str, Any]]  # a key, and the model's inputs
KEEP: dict[str, Any] = {"persist_state": "session"}  # across pages


@st.fragment
def attention_view(model: LoadedModel, head: HeadId) -> None:
    """The picture with its controls; choosing another input draws nothing else again."""
    state.note_url()
    try:
        subject = _subject(model)
        if subject is None:
            return
        what, features = subject
        with st.spinner(tr("Running the model on it"), show_time=False):
            found = store().looks.attention(model, what, features, head.site)
            image = _image(model, features, found)
    except PruningError as error:
        st.info(plain(as_sentence(error)))
        return
    run = _run(found)
    name = head_name(head, names_of(model.anatomy, len(model.anatomy.sites)))
    attention_picture(found, head.head, run, name, image)
    for note in _notes(found, image is not None):
        st.caption(note)


def _notes(found: AttentionMap, is_image: bool) -> list[str]:
    """What the picture leaves out, and why so much of it is zero."""
    notes, longest = [], max(len(found.queries), len(found.keys))
    if not is_image and longest > MOST_TOKENS:
        text = mark("The first {shown} of {n:,} tokens are shown; shares are of the attention to all.")
        notes.append(tr(text, shown=MOST_TOKENS, n=longest))
    if is_image and found.queries.grid and one_at_a_time(found):
        rows, columns = found.queries.grid
        text = mark("With {n:,} patches, one at a time is shown: choose it with a click or the arrow keys.")
        notes.append(tr(text, n=rows * columns))
    if found.places is not None:
        text = mark("This layer attends within windows of {n:,} patches: outside its window, a patch gets 0.")
        notes.append(tr(text, n=found.places.shape[1]))
        if (found.places < 0).any():
            text = mark("Windows go beyond the image here, and what falls on that padding is missing in the picture.")
            notes.append(tr(text))
    return notes


def _subject(model: LoadedModel) -> Subject | None:
    """What to look at; ``None`` while the rows are read."""
    if store().request_model(state.current().model).task == "image-classification":
        return _row(model, "Image")
    source = st.segmented_control(
        tr("Look at"),
        [OWN, ROW],
        default=OWN,
        key="head_source",
        required=True,
        label_visibility="collapsed",
        format_func=tr,
        **KEEP,
    )
    return _row(model, "Row") if source == ROW else _own(model)


def _own(model: LoadedModel) -> Subject:
    from pruning.looking import features_of_text

    text = st.text_input(
        tr("Your own sentence"), EXAMPLE, key="head_text", max_chars=2000,
        help=tr("Its tokens are shown below with the attention between them. Press Enter to take it."), **KEEP,
    )  # fmt: skip
    return ("own", text), features_of_text(model, text)


def _row(model: LoadedModel, noun: str) -> Subject | None:
    data, looks = state.current().data, store().looks
    rows = looks.rows(model, data)
    if rows is None:
        wanted = ("rows", model.fingerprint, data)
        follow(lambda: looks.read(session_id(), model, data), wanted, looks.worker)
        return None
    row = st.selectbox(
        tr(noun), range(min(len(rows), MOST_ROWS)), key=f"head_row {rows.fingerprint}",
        format_func=lambda i: _row_name(rows, i, noun),
        help=tr("One of the first {n} calibration rows.", n=min(len(rows), MOST_ROWS)), **KEEP,
    )  # fmt: skip
    row = min(row or 0, len(rows) - 1)
    return ("row", rows.fingerprint, row), rows.features[row]


def _row_name(rows: Examples, row: int, noun: str) -> str:
    text = rows.texts[row]
    if noun == "Image":
        if not (rows.targets and rows.class_names):
            return tr("Image {n}", n=row + 1)
        return tr("Image {n}, labelled {label}", n=row + 1, label=rows.class_names[rows.targets[row]])
    return f"{row + 1}: {text[:FIRST_LETTERS]}{'…' if len(text) > FIRST_LETTERS else ''}"


def _image(model: LoadedModel, features: dict[str, Any], found: AttentionMap) -> Any:
    """The picture under the patches; ``None`` for text."""
    from pruning.looking import image_of

    return image_of(model, features) if found.queries.grid is not None and found.keys.grid is not None else None


def _run(found: AttentionMap) -> int:
    """Which pass, where layers share their heads."""
    count = len(found.passes)
    if count == 1:
        return 0
    run = st.selectbox(
        tr("Pass"), range(count), key=f"head_run {count}",
        format_func=lambda i: tr("{done:,} of {total:,}", done=i + 1, total=count),
        help=tr("These heads are shared: the model runs them several times, once for each layer."), **KEEP,
    )  # fmt: skip
    return min(run or 0, count - 1)
