"""What the session wants to present, what is known of it, and the job that finds out the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pruning.masks import Mask
from pruning.presenting.figures import Presented
from pruning.presenting.prices import PriceError, Prices
from ui import state
from ui.jobs import Job
from ui.present.choice import COMPENSATION, PERCENTS, Choice, nearest
from ui.present.presentations import wanted
from ui.store import session_id, store

if TYPE_CHECKING:
    from pruning.models import LoadedModel

STOPPED = "present_stopped"


@dataclass(frozen=True)
class Wish:
    """What is to be presented.

    Attributes:
        steps: Of the slider, that exist.
        problem: What was wrong with the link, or why the choice cannot be had.
    """

    choice: Choice
    prices: Prices
    own: Mask
    method: str
    steps: tuple[int, ...] = PERCENTS
    problem: Exception | None = None


def wish() -> Wish:
    """As the session's state says; what its link says wrong is at its default, and told."""
    session, problem = state.current(), None
    choice, prices = Choice(), Prices()
    try:
        prices = Prices.from_code(session.prices)
        choice = Choice.from_code(session.share)
    except PriceError as error:
        problem = error
    if choice.kind == "mask" and not session.mask:
        choice = Choice()
    method = session.replacement if choice.kind == "mask" else COMPENSATION
    return Wish(choice, prices, session.mask, method, problem=problem)


def fitted(wished: Wish, model: LoadedModel, data: str) -> Wish:
    """With the steps that exist for this model, and the nearest of them."""
    choice = wished.choice
    if choice.kind == "mask":
        return replace(wished, steps=())
    steps = tuple(store().presentations.steps(model, data, choice) or PERCENTS)
    return replace(wished, steps=steps, choice=replace(choice, percent=nearest(choice.percent, steps)))


def known(wished: Wish, model: LoadedModel, data: str) -> Presented | None:
    """What is known by now."""
    shared = store().presentations
    mask = shared.mask(model, data, wished.choice, wished.own)
    return shared.found(model, data, mask, wished.method, wished.prices.tokens)


def keep_measuring(wished: Wish, model: LoadedModel, data: str) -> Job | None:
    """The job that finds out what is missing, begun if need be; None where nothing is, or after a stop or a failure."""
    shared, found = store().presentations, known(wished, model, data)
    job, mine = shared.job(session_id()), fingerprint(wished, model, data)
    if job is not None and job.active and job.fingerprint in (mine, fingerprint(wished, model, data, every=True)):
        return job
    if found is not None and found.complete:
        return None
    if st.session_state.get(STOPPED) == mine or (job and job.state == "failed" and job.fingerprint == mine):
        return None
    return shared.start(session_id(), model, data, [wished.choice], wished.own, wished.method, wished.prices.tokens)


def measure_every_step(wished: Wish, model: LoadedModel, data: str) -> None:
    """Queue all steps of the slider, so that each of them answers at once; the one on the screen comes first."""
    st.session_state.pop(STOPPED, None)
    how = wished.own, wished.method, wished.prices.tokens, wished.choice
    store().presentations.start(session_id(), model, data, _every(wished), *how)


def measured_steps(wished: Wish, model: LoadedModel, data: str) -> int:
    """How many steps of the slider are known in full; none before it is known which there are."""
    if store().presentations.steps(model, data, wished.choice) is None:
        return 0
    choices = (replace(wished.choice, percent=percent) for percent in wished.steps)
    found = (known(replace(wished, choice=choice), model, data) for choice in choices)
    return sum(one is not None and one.complete for one in found)


def measures_every_step(wished: Wish, model: LoadedModel, data: str, job: Job) -> bool:
    """Whether a job is the one for all steps."""
    return bool(job.fingerprint == fingerprint(wished, model, data, every=True))


def stop(wished: Wish, model: LoadedModel, data: str, job: Job) -> None:
    """Cancel, and do not begin again until somebody asks."""
    st.session_state[STOPPED] = fingerprint(wished, model, data)
    job.cancel()


def failure(wished: Wish, model: LoadedModel, data: str) -> Exception | None:
    """Why the measurement of this choice has failed, if it has."""
    job = store().presentations.job(session_id())
    mine = fingerprint(wished, model, data)
    return job.error if job is not None and job.state == "failed" and job.fingerprint == mine else None


def _every(wished: Wish) -> list[Choice]:
    return [Choice(wished.choice.kind, percent) for percent in PERCENTS]


def fingerprint(wished: Wish, model: LoadedModel, data: str, every: bool = False) -> tuple[object, ...]:
    """Of the job for this choice, or for all steps of the slider."""
    choices = _every(wished) if every else [wished.choice]
    return wanted(model, data, choices, wished.own, wished.method, wished.prices.tokens)
