"""A lesson's experiment: settings, a guess, the work, and the reveal."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import streamlit as st

import ui.learn.experiments  # noqa: F401  it registers them
from pruning.language import tr
from pruning.learning.records import score
from pruning.models import LoadedModel
from ui import charts, state
from ui.controls import mirror_key, on_move
from ui.learn.base import Experiment, Guess, Outcome, Subject, get_experiment
from ui.learn.content import Lesson
from ui.learn.learner import Attempt, about, scale_of, truth_of
from ui.learn.pictures import guess_and_truth
from ui.learn.progress import learner, my_answers
from ui.learn.words import slider_format, told, verdict
from ui.page import fitting_model
from ui.store import session_id
from ui.theme import Theme, plain
from ui.waiting import wait_for

HEIGHT_PX = 420  # of what stands where the experiment will be


def experiment_of(lesson: Lesson, theme: Theme, code: str) -> bool:
    """Draw it, as far as it has come.

    Args:
        code: Of the class for which the answer counts; empty outside.

    Returns:
        Whether the truth is on the screen.
    """
    model = fitting_model(tr("for the experiment"), tr("You can read the lesson meanwhile."))
    subject = _subject(model) if model is not None else None
    if subject is None:
        return False
    kind = get_experiment(lesson.slug)
    if (refusal := kind.refusal(subject)) is not None:
        st.info(plain(tr("The experiment cannot be done here: {reason}.", reason=refusal)))
        st.caption(tr("Pick another model or other data in the sidebar; the lesson can be read with any."))
        return False
    experiment = kind.choose(subject)
    attempt = _attempt(lesson.slug, experiment, subject)
    st.markdown(f"**{lesson.question}**")  # it stays beside its answer
    if attempt is None or attempt.outcome is None:
        _ask(lesson, experiment, subject, attempt, code)
        return False
    _reveal(lesson, attempt, attempt.outcome, subject, theme)
    return True


def _subject(model: LoadedModel) -> Subject | None:
    """The rows; until they have been read the page says so."""
    session = state.current()
    found = learner().subject(model, session.data, session.mask)
    if found is None:
        job = learner().read(session_id(), model, session.data)
        if job.state == "done":
            return learner().subject(model, session.data, session.mask)
        with st.container(height=HEIGHT_PX, border=False):
            again = partial(learner().read, session_id(), model, session.data)
            wait_for(job, job.fingerprint, tr("Read the rows"), again, learner().reader)
    return found


# The guess -------------------------------------------------------------------------------------------------------


def _attempt(slug: str, experiment: Experiment, subject: Subject) -> Attempt | None:
    """What was locked in for these very settings, with its outcome as soon as that is known."""
    found: Attempt | None = st.session_state.get("learn_attempts", {}).get(slug)
    if found is None or found.about != about(experiment, subject):
        return None
    job = learner().latest(session_id())
    if found.outcome is None and job is not None and job.fingerprint == found.fingerprint and job.state == "done":
        found = replace(found, outcome=job.result)
        _keep(slug, found)
    return found


def _keep(slug: str, attempt: Attempt | None) -> None:
    st.session_state["learn_attempts"] = {**st.session_state.get("learn_attempts", {}), slug: attempt}


def _ask(lesson: Lesson, experiment: Experiment, subject: Subject, attempt: Attempt | None, code: str) -> None:
    """The question, the slider, and the button or the progress of the work."""
    asked, job = experiment.guess(subject), learner().latest(session_id())
    running = job is not None and attempt is not None and job.active and job.fingerprint == attempt.fingerprint
    key = _slider(lesson.slug, asked, running)

    def lock() -> None:
        number = st.session_state["learn_count"] = st.session_state.get("learn_count", 0) + 1
        guess, what = float(st.session_state.get(key, asked.start)), about(experiment, subject)
        locked = Attempt(number, experiment, what, asked, guess, state.current().model, code)
        _keep(lesson.slug, locked)
        learner().run(session_id(), locked, subject)

    wanted = attempt.fingerprint if attempt is not None else None
    wait_for(job, wanted, tr("Lock in and run"), lock, learner().worker)


def _slider(slug: str, asked: Guess, running: bool) -> str:
    """Ask for the guess; it is remembered on other pages, too, until another question is asked. Returns its key."""
    guesses: dict[str, tuple[Guess, float]] = st.session_state.setdefault("learn_guesses", {})
    kept, value = guesses.get(slug, (asked, asked.start))
    value = value if kept == asked else asked.start
    name, scale = f"guess_{slug}", scale_of(asked)
    key = mirror_key(name, (asked, value))

    def note(moved: object) -> tuple[Guess, float]:
        guesses[slug] = asked, float(str(moved))
        return guesses[slug]

    st.slider(
        tr("Your guess"),
        float(asked.low),
        float(asked.high),
        float(value),
        float(asked.step),
        format=slider_format(scale),
        key=key,
        on_change=on_move(name, key, note),
        disabled=running,
        help=tr("Guess before you see it: a guess makes the answer stick. Arrow keys move it by one step."),
    )
    return key


# The truth -------------------------------------------------------------------------------------------------------


def _reveal(lesson: Lesson, attempt: Attempt, outcome: Outcome, subject: Subject, theme: Theme) -> None:
    truth, scale = truth_of(outcome), attempt.scale
    with st.container(key="verdict"):
        st.subheader(verdict(attempt.guess, truth, scale), anchor=False)
        line = _score_line(lesson.slug, score(attempt.guess, truth, scale))
        st.markdown(tr("{first} {second}", first=line, second=lesson.reveal))
        figure = guess_and_truth(attempt.guess, truth, scale, theme, outcome.samples)
        alt = f"{figure.layout.title.text}".split("<br>")[0].removeprefix("<b>").removesuffix("</b>")
        alt = f"{alt}. {told(truth, scale, outcome.samples)}"
        st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key=f"guess_picture_{lesson.slug}")
    attempt.experiment.draw(subject, outcome, theme)
    st.button(
        tr("Guess again"),
        key="guess_again",
        on_click=_keep,
        args=(lesson.slug, None),
        help=tr("Change a setting and guess anew. Your first guess is the one that counts; the others are practice."),
    )


def _score_line(slug: str, now: int) -> str:
    """The score, and whether it is the one that counts."""
    mine = [answer.score for answer in my_answers() if answer.lesson == slug]
    if len(mine) > 1:
        return tr("This was practice: {now} of 100. Your first guess counts, with {first}.", now=now, first=mine[0])
    return tr("Your score: {score} of 100.", score=now)
