"""Present: one screen for a room, step by step."""

from pruning.language import tr
from ui.page import begin
from ui.present.view import present_view


def main() -> None:
    page = begin("Present", tr("How much smaller, and what that gives and costs: for a room, one step at a time."))
    present_view(page.theme)


main()
