"""Class: what a class guesses, live, for its teacher."""

from pruning.language import tr
from ui.classroom.live import results
from ui.classroom.room import invitation, no_class
from ui.learn.progress import learner, me, trouble
from ui.page import begin


def main() -> None:
    page = begin("Class", tr("Open a class, share its link, and see what everybody guesses while they guess it."))
    mine = me()
    room = learner().records.attempt(lambda learning: learning.class_of(mine), None)
    if room is None:
        no_class()
        trouble()
    else:
        invitation(room)
        results(page.theme)


main()
