"""What a class has answered, as it comes in."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from statistics import median
from typing import Any

import pandas as pd
import streamlit as st

from pruning.errors import PruningError
from pruning.language import listing, mark, tr, trn
from pruning.learning.records import Answer, Member
from ui import charts, state
from ui.classroom.answers import Question, counted, here, mean_score, median_share, questions
from ui.classroom.charts import finding, guesses
from ui.controls import mirror_key, on_move
from ui.learn.base import get_experiment
from ui.learn.contents import available
from ui.learn.learner import Learner
from ui.learn.membership import called
from ui.learn.progress import learner, me, trouble
from ui.learn.words import amount, told
from ui.theme import Theme, plain

REFRESH_SECONDS = 2.0
SETTINGS = {  # the fields of all experiments
    "site": mark("Layer"), "head": mark("Head"), "temperature": mark("Temperature"), "share": mark("Share"),
    "order": mark("Which go first"), "kind": mark("What goes"), "one": mark("One criterion"),
    "other": mark("Another criterion"), "score": mark("Ranked by"), "what": mark("Ranked by"),
    "rounds": mark("Rounds of scoring"), "metric": mark("What is measured"), "folds": mark("Parts"),
    "part": mark("Part"), "cut": mark("Cut out"), "batch": mark("Batch size"), "asked": mark("Heads removed"),
    "deployment": mark("Deployment"),
}  # fmt: skip


def results(theme: Theme) -> None:
    """Everything that changes while the class works."""
    st.fragment(_results, run_every=REFRESH_SECONDS)(theme)


def _results(theme: Theme) -> None:
    state.note_url()
    mine = me()
    members = learner().records.attempt(lambda learning: learning.members(mine), list[Member]())
    answers = learner().records.attempt(lambda learning: learning.class_answers(mine), list[Answer]())
    names = {member.number: called(member.number, member.nickname) for member in members}
    first = counted(answers)
    _counts(members, first)
    if not first:
        st.info(tr("Nobody has answered yet. Guesses appear here by themselves."))
    else:
        _lesson(first, names, theme)
        _overview(first, st.session_state.get("class_revealed", frozenset()))
        download = partial(_file, learner(), mine, names)
        st.download_button(tr("Download all answers (CSV)"), download, "class.csv", "text/csv", on_click="ignore")
    trouble()


def _file(source: Learner, owner: str, names: dict[int, str]) -> str:
    from pruning.learning.files import as_csv

    return as_csv(source.records.learning().class_answers(owner), names)


def _counts(members: list[Member], first: list[Answer]) -> None:
    """How many there are."""
    now = here(members, datetime.now(UTC))
    with st.container(horizontal=True, key="class_counts"):
        st.metric(tr("Joined"), f"{len(members):,}", width="content")
        st.metric(tr("Here now"), f"{now:,}", width="content")
        st.metric(tr("Lessons answered"), f"{len(first):,}", width="content")


# One lesson ------------------------------------------------------------------------------------------------------


def _lesson(first: list[Answer], names: dict[int, str], theme: Theme) -> None:
    """The guesses of one lesson, and the truth when the teacher says so."""
    slug = _pick(first)
    asked = questions(first, slug)
    question = asked[0] if len(asked) == 1 else _question(asked, slug)
    shown: frozenset[str] = st.session_state.get("class_revealed", frozenset())
    revealed = slug in shown
    for lesson in available():
        if lesson.slug == slug:
            st.markdown(f"**{lesson.question}**")
    figure = guesses(question, names, theme, revealed)
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=finding(question, revealed), key="class_guesses")
    with st.container(horizontal=True, vertical_alignment="center"):
        label = tr("Hide the truth") if revealed else tr("Reveal the truth")
        kind: Any = "secondary" if revealed else "primary"
        st.button(label, type=kind, on_click=_turn, args=(slug,), width="content")
        if revealed:
            st.markdown(_sentence(question), width="content")
    done = sorted({one.member for one in first if one.lesson == slug})
    waiting = [name for number, name in names.items() if number not in done]
    everybody = listing(names[number] for number in done if number in names)
    st.markdown(plain(tr("Done: {names}", names=everybody)))
    if waiting:
        st.caption(plain(tr("Not yet: {names}", names=listing(waiting))))
    with st.expander(tr("As a table")):
        st.dataframe(_table(question, names, revealed), hide_index=True, key="class_table")


def _pick(first: list[Answer]) -> str:
    """The lesson on the screen: by default the first that was answered; the teacher's choice stays."""
    titles = {lesson.slug: f"{lesson.number}. {lesson.title}" for lesson in available()}
    slugs = [slug for slug in titles if any(one.lesson == slug for one in first)]
    slugs += sorted({one.lesson for one in first} - titles.keys())
    kept = st.session_state.get("class_shown")
    kept = kept if kept in slugs else slugs[0]
    key = mirror_key("class_pick", (kept, tuple(slugs)))

    def note(slug: Any) -> tuple[str, tuple[str, ...]]:
        st.session_state["class_shown"] = slug
        return slug, tuple(slugs)

    st.selectbox(
        tr("Lesson"),
        slugs,
        index=slugs.index(kept),
        key=key,
        format_func=lambda slug: titles.get(slug, slug),
        on_change=on_move("class_pick", key, note),
        help=tr("The lessons that somebody has answered."),
    )
    return kept


def _question(asked: list[Question], slug: str) -> Question:
    """Students who chose other settings were asked for another number: one question at a time is shown."""
    subjects = [one.answers[0].subject for one in asked]
    kept = st.session_state.get("class_question", {}).get(slug)
    place = subjects.index(kept) if kept in subjects else 0
    key = mirror_key("class_which", (slug, place, len(asked)))

    def note(chosen: Any) -> tuple[str, int, int]:
        st.session_state["class_question"] = {**st.session_state.get("class_question", {}), slug: subjects[chosen]}
        return slug, chosen, len(asked)

    st.selectbox(
        tr("Settings"),
        range(len(asked)),
        index=place,
        key=key,
        format_func=lambda i: settings_text(asked[i]),
        on_change=on_move("class_which", key, note),
        help=tr("Answers with other settings, another model or other data have a truth of their own."),
    )
    return asked[place]


def settings_text(question: Question) -> str:
    """What was asked, by its settings, and how many have answered."""
    one = question.answers[0]
    parts = [trn("{n} answer", "{n} answers", len(question.answers))]  # first: a telephone cuts the rest off
    for name, value in one.settings.items():
        parts.append(f"{tr(SETTINGS[name]) if name in SETTINGS else name}: {_told(one.lesson, name, value)}")
    return " · ".join([*parts, state.model_label(one.model), state.data_label(one.data)])


def _told(slug: str, name: str, value: Any) -> str:
    """A setting's value in the lesson's words; as it was recorded where an older version knew other values."""
    try:
        return get_experiment(slug).told.get(name, str)(value)
    except (KeyError, PruningError, TypeError, ValueError):
        return str(value)


def _turn(slug: str) -> None:
    shown: frozenset[str] = st.session_state.get("class_revealed", frozenset())
    st.session_state["class_revealed"] = shown ^ {slug}


def _sentence(question: Question) -> str:
    one = question.answers[0]
    middle = amount(median(answer.guess for answer in question.answers), one.scale)
    error = amount(question.median_error, one.scale)
    truth = told(one.truth, one.scale)
    return tr("Truth {truth}; median guess {guess}, median error {error}.", truth=truth, guess=middle, error=error)


def _table(question: Question, names: dict[int, str], revealed: bool) -> pd.DataFrame:
    """The twin of the picture; scores would tell the truth before its time."""
    scale = question.answers[0].scale
    rows = [
        {tr("Name"): names.get(one.member, ""), tr("Guess"): amount(one.guess, scale)}
        | ({tr("Off by"): amount(one.missed_by, scale), tr("Score of 100"): one.score} if revealed else {})
        for one in question.answers
    ]
    return pd.DataFrame(rows)


# All lessons -----------------------------------------------------------------------------------------------------


def _overview(first: list[Answer], revealed: frozenset[str]) -> None:
    """A row for each lesson; how good the guesses are is told after the truth."""
    st.header(tr("All lessons"), anchor=False)
    rows = []
    for lesson in available():
        mine = [one for one in first if one.lesson == lesson.slug]
        if mine:
            known = lesson.slug in revealed
            found = f"{100 * median_share(mine):.1f}", f"{mean_score(mine):.0f}"
            error, score = found if known else ("–", "–")
            row = {tr("Lesson"): f"{lesson.number}\\. {lesson.title}", tr("Answered"): f"{len(mine):,}"}
            rows.append(row | {tr("Median error, % of the slider"): error, tr("Mean score"): score})
    if rows:  # a table that breaks its lines: no column is out of sight on a telephone
        st.table(pd.DataFrame(rows).set_index(tr("Lesson")))
