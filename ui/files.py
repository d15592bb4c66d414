"""Taking the mask or the plan away as a file, with the command that cuts it, and bringing one back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from pruning.errors import PruningError, message_of
from pruning.language import Later, later, mark, tr
from pruning.masks import Mask
from pruning.plan import Plan, is_plan
from ui import state
from ui.export.script import prune_command
from ui.export.subject import Decision
from ui.kept_plans import keep_plan, plan_for
from ui.removed import misfit
from ui.store import store
from ui.theme import as_sentence, plain

if TYPE_CHECKING:
    from pruning.models import LoadedModel

LARGEST_FILE = 16 << 20  # bytes: a plan names every neuron that goes


def save_menu() -> None:
    """A button that opens what can be saved and loaded."""
    with st.popover(tr("Save as…"), icon=":material/save:"):
        session = state.current()
        if session.mask:
            _downloads(session)
        else:
            st.markdown(tr("Nothing is removed yet, so there is nothing to save."))
        _upload()


def _downloads(session: state.Session) -> None:
    plan = plan_for(session)
    decision_files(session.mask, plan, "save")
    st.markdown(tr("Cut it out for good, on the command line:"))
    st.code(command(session, plan), language="bash", wrap_lines=True)
    st.page_link("pages/export.py", label=tr("More: checkpoint, figures, report"), icon=":material/download:")


def decision_files(mask: Mask, plan: Plan | None, key: str) -> None:
    """The buttons that save the mask, and the plan where there is one."""
    text = json.dumps(mask.to_json())
    _save(tr("Mask file"), text, "mask.json", f"{key}_mask")
    if plan is not None:
        text = json.dumps(plan.to_json(), ensure_ascii=False)
        _save(tr("Plan file"), text, "plan.json", f"{key}_plan")


def _save(label: str, text: str, name: str, key: str) -> None:
    st.download_button(label, text, name, "application/json", on_click="ignore", key=key)


def command(session: state.Session, plan: Plan | None) -> str:
    """The command line that cuts what is removed, from the file that is saved beside it."""
    what = Decision(session.model, session.data, session.mask, session.compensation, planned=plan is not None)
    return prune_command(what, files=True)


# Bringing one back -----------------------------------------------------------------------------------------------


def _upload() -> None:
    key = f"load_{st.session_state.get('files_loaded', 0)}"
    st.file_uploader(tr("Load a mask or a plan"), type="json", key=key, on_change=_load, args=(key,))
    if problem := st.session_state.get("file_problem"):
        st.error(plain(tr(problem)))


def _load(key: str) -> None:
    """Take what the file says; the field is empty again afterwards, so that the same file can be loaded twice."""
    st.session_state.pop("file_problem", None)
    file = st.session_state.get(key)
    if file is None:
        return
    st.session_state["files_loaded"] = st.session_state.get("files_loaded", 0) + 1
    try:
        model = store().request_model(state.current().model).model
        mask, plan, remarks = read_file(file.getvalue(), model)
    except PruningError as error:
        st.session_state["file_problem"] = later("{file}: {error}.", file=file.name, error=message_of(error))
        return
    state.edit_mask(mask)
    if plan is not None:
        keep_plan(plan, model.fingerprint if model else plan.model)
        state.update(compensation=plan.compensation)
    if remarks:
        st.session_state["notice"] = " ".join(map(as_sentence, remarks))


def read_file(content: bytes, model: LoadedModel | None) -> tuple[Mask, Plan | None, tuple[Later, ...]]:
    """The mask in a file, its plan where it is one, and what to know about using it with this model.

    Raises:
        PruningError: It is too large, no JSON, holds no mask, or does not fit the model.
    """
    if len(content) > LARGEST_FILE:
        text = mark("the file has {size:,} bytes: masks and plans have no more than {most:,}")
        raise PruningError(text, size=len(content), most=LARGEST_FILE)
    try:
        value = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PruningError("this is no JSON file, and masks and plans are") from error
    plan = Plan.from_json(value) if is_plan(value) else None
    mask = plan.mask if plan is not None else Mask.from_json(value)
    if model is None:
        return mask, plan, ()
    if problem := misfit(mask, model.anatomy.heads_per_site, model.anatomy):
        raise PruningError("it does not fit this model: {problem}", problem=problem)
    return mask, plan, plan.fit(model) if plan is not None else ()
