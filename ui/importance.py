"""Getting an importance map onto a page: what is asked for, what is known, and what is being scored now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from pruning.importance import Criterion, ImportanceMap, criteria, get_criterion
from pruning.importance.normalising import NORMALISATIONS, normalise
from pruning.language import mark, tr
from pruning.models import LoadedModel
from pruning.scopes import SCOPES, Scope, get_scope, parts_of, sizes_of
from ui import state
from ui.controls import mirror_key, on_move
from ui.jobs import Job
from ui.maps import Scoring
from ui.naming import names_of
from ui.sidebar import REFRESH_SECONDS
from ui.store import kept_maps, session_id, store
from ui.theme import plain

CRITERION_HELP = mark(
    "How the importance of a head is measured. Each criterion says below what it means and where it comes from."
)
SCOPE_HELP = mark("What is ranked: attention heads, the neurons of the feed-forward blocks, or whole layers.")
SCOPE_LABELS = {"heads": mark("Heads"), "neurons": mark("Neurons"), "layers": mark("Layers")}
UNITS = (mark("heads"), mark("neurons"), mark("layers"))  # a scope within a sentence: ``tr(scope)``
LABELS_HELP = mark(
    "Take what the unpruned model answers for the right answer, so that data without labels will do. "
    "Criteria that never look at labels stay as they are."
)


# What is asked for -----------------------------------------------------------------------------------------------


def asked() -> Scoring:
    """What the session looks at, in the scope and with the labels that it has chosen."""
    session = state.current()
    return Scoring(session.criterion, get_scope(session.scope), session.labels == "predicted")


def criterion_picker(scope: Scope = "heads") -> None:
    """Choose the criterion, among those that are defined for a scope; the choice is in the link."""
    shown, names = state.current().criterion, [n for n, c in criteria().items() if scope in c.scopes]
    key = mirror_key("criterion", (shown, scope))
    st.selectbox(
        tr("Criterion"),
        names,
        index=names.index(shown),
        key=key,
        format_func=lambda name: tr(get_criterion(name).label),
        on_change=on_move("criterion", key, lambda name: _choose(name, scope)),
        help=tr(CRITERION_HELP),
    )


def choose(name: str) -> None:
    """Take another criterion; one that knows nothing of the present scope brings the heads back."""
    fitting = state.current().scope in get_criterion(name).scopes
    state.update(criterion=name, scope=state.current().scope if fitting else "heads")


def _choose(name: Any, scope: Scope) -> tuple[str, Scope]:
    choose(name)
    return name, scope


def view_options() -> None:
    """The scope beside the criterion, and behind a button how values are rescaled and whose labels are used."""
    session, model = state.current(), loaded_model()
    scopes: list[str] = [s for s in SCOPES if model is None or s == session.scope or parts_of(model.anatomy, s)]
    key = mirror_key("scope", session.scope)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.segmented_control(
            tr("Scope"),
            scopes,
            default=session.scope,
            required=True,
            key=key,
            format_func=lambda name: tr(SCOPE_LABELS[name]),
            on_change=on_move("scope", key, _choose_scope),
            help=tr(SCOPE_HELP),
        )
        with st.popover(tr("Options")):
            _normalisation_picker(session)
            _labels_switch(session)


def _choose_scope(scope: Any) -> str:
    """Criteria and rescalings that mean nothing there give way to those that do."""
    session = state.current()
    fitting = scope in get_criterion(session.criterion).scopes
    by_part = scope == "layers" and NORMALISATIONS[session.normalise].by_part
    state.update(
        scope=scope,
        criterion=session.criterion if fitting else state.Session.criterion,
        normalise=state.Session.normalise if by_part else session.normalise,
    )
    return scope


def _normalisation_picker(session: state.Session) -> None:
    options = [n for n, one in NORMALISATIONS.items() if not (one.by_part and session.scope == "layers")]
    key = mirror_key("normalise", (session.normalise, session.scope))
    st.selectbox(
        tr("Normalisation"),
        options,
        index=options.index(session.normalise),
        key=key,
        format_func=lambda name: tr(NORMALISATIONS[name].label),
        on_change=on_move("normalise", key, _choose_normalisation),
        help="\n\n".join(f"{tr(NORMALISATIONS[name].label)}: {tr(NORMALISATIONS[name].about)}" for name in options),
    )


def _labels_switch(session: state.Session) -> None:
    key = mirror_key("labels", session.labels)
    st.toggle(
        tr("Use the model's own answers as labels"),
        session.labels == "predicted",
        key=key,
        disabled=not get_criterion(session.criterion).needs_labels,
        on_change=on_move("labels", key, _choose_labels),
        help=tr(LABELS_HELP),
    )


def _choose_normalisation(name: Any) -> tuple[str, str]:
    state.update(normalise=name)
    return name, state.current().scope


def _choose_labels(own: Any) -> str:
    state.update(labels="predicted" if own else "given")
    return state.current().labels


# What is known ---------------------------------------------------------------------------------------------------


def loaded_model() -> LoadedModel | None:
    return store().request_model(state.current().model).model


def known_importance(what: Scoring | None = None) -> ImportanceMap | None:
    """A map, if it need not be scored; by default that of the heads under the chosen criterion."""
    session = state.current()
    what = what or Scoring(session.criterion)
    return store().importance(session.model, session.data, what.criterion, what.scope, what.label_free)


def known_maps(what: Scoring) -> dict[str, ImportanceMap]:
    """Every map of one scope that is known, by criterion, in the order of the menu."""
    found = {name: known_importance(replace(what, criterion=name)) for name in in_scope(what.scope)}
    return {name: one for name, one in found.items() if one is not None}


def in_scope(scope: Scope) -> dict[str, type[Criterion]]:
    """The criteria that are defined for a scope."""
    return {name: criterion for name, criterion in criteria().items() if scope in criterion.scopes}


def displayed(importance: ImportanceMap) -> ImportanceMap:
    """The map as it is drawn: rescaled where that is asked for."""
    return normalise(importance, state.current().normalise)


def displayed_unit(importance: ImportanceMap) -> str:
    unit, chosen = tr(get_criterion(importance.criterion).unit), NORMALISATIONS[state.current().normalise]
    label = tr(chosen.label)
    return unit if chosen.name == "none" else tr("{unit}, {rescaled}", unit=unit, rescaled=label[0].lower() + label[1:])


def displayed_signed(importance: ImportanceMap) -> bool:
    """Whether zero is the middle of the scale, which it is no more once the minimum has been moved there."""
    return get_criterion(importance.criterion).signed and state.current().normalise != "min-max"


def part_names(importance: ImportanceMap) -> list[str]:
    """A short name of each site, block or layer."""
    if importance.scope == "heads":
        model = loaded_model()
        return names_of(model.anatomy if model else None, len(importance.values))
    name = mark("Block {n}") if importance.scope == "neurons" else mark("Layer {n}")
    return [tr(name, n=part) for part in range(len(importance.values))]


# Scoring ---------------------------------------------------------------------------------------------------------


def scoring_state(what: Scoring | None = None) -> None:
    """Score what is missing: quick criteria at once, slow ones when asked. Draws progress, cancel and errors."""
    session = state.current()
    what = what or Scoring(session.criterion)
    loading = store().request_model(session.model)
    if loading.state == "failed":
        st.info(tr("There is no model to score. Pick one in the sidebar."))
        return
    if loading.model is None:
        text = mark("{model} is loading. Its {units} appear here as soon as they are found.")
        st.info(plain(tr(text, model=session.model, units=tr(what.scope))))
        return
    criterion = get_criterion(what.criterion)
    wanted = (loading.model.fingerprint, session.data, what)
    if not criterion.quick and st.session_state.get("score_asked") != wanted:
        cost = cost_here(loading.model, what)
        st.info(tr("{criterion} takes a while: {cost}.", criterion=tr(criterion.label), cost=cost))
        st.button(tr("Score now"), type="primary", on_click=_ask, args=(wanted,))
        return
    if st.session_state.get("score_stopped") == wanted:
        st.info(tr("Scoring was stopped."))
        st.button(tr("Score again"), on_click=_ask, args=(wanted,))
        return
    job = store().maps.score(session_id(), loading.model, session.data, what)
    follow(job, "cancel_score", lambda: _stop(job, wanted))


def cost_here(model: LoadedModel, what: Scoring) -> str:
    """What a criterion costs, and how many units that is for in this model."""
    units = sum(sizes_of(model.anatomy, what.scope))
    cost = tr(get_criterion(what.criterion).cost)
    return tr("{cost}; this model has {n:,} {units}", cost=cost, n=units, units=tr(what.scope))


def _ask(wanted: tuple) -> None:
    st.session_state["score_asked"] = wanted
    st.session_state.pop("score_stopped", None)


def _stop(job: Job, wanted: tuple) -> None:
    job.cancel()
    st.session_state["score_stopped"] = wanted


def follow(job: Job, key: str, on_cancel: Any = None) -> None:
    """Draw a job's progress with a Cancel button; the whole page is drawn again when there is something new."""
    run_every = REFRESH_SECONDS if job.active else None
    st.fragment(_progress, run_every=run_every)(job, job.partial, key, on_cancel or job.cancel)


def _progress(job: Job, seen: Any, key: str, on_cancel: Any) -> None:
    if job.state == "failed":
        text = mark("{error}. Pick data that fits the model in the sidebar, or another criterion.")
        st.error(plain(tr(text, error=job.error)))
        return
    if not job.active or job.partial != seen:
        st.rerun()
    place = store().scorer.place(job)
    text = tr("Waiting: {n} before this", n=place) if place and not job.done else step_text(job)
    st.progress(min(1.0, job.done / max(1, job.total)), text=text)
    st.button(tr("Cancel"), key=key, on_click=on_cancel)


def step_text(job: Job) -> str:
    """What a job does now, and how far it is."""
    return f"{tr(job.step) or tr('Starting')} {progress_text(job)}".rstrip()


def progress_text(job: Job) -> str:
    """How far a job is and how long it will take, as far as that is known."""
    if job.total <= 1:
        return ""
    left = job.seconds_left
    far = tr("{done:,} of {total:,}", done=job.done, total=job.total)
    far = far if job.partial is None else f"{job.done / job.total:.0%}"
    known = left is not None and left > 1.5
    return tr("{far}, about {seconds} s left", far=far, seconds=max(1, round(left or 0))) if known else far


def provenance(importance: ImportanceMap) -> str:
    """Where the figures come from, in one line."""
    kept = any(importance is one for one in kept_maps().values())
    rows = tr("n = {n:,} calibration rows", n=importance.samples)
    own = tr("n = {n:,} calibration rows with the model's own answers as labels", n=importance.samples)
    what = (own if importance.label_free else rows) if importance.samples else tr("no data needed")
    when = mark("measured on {date} and kept with the built-in model") if kept else mark("measured on {date}")
    return f"{what} · {tr(when, date=importance.made)}"
