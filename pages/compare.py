"""Compare: any two kept masks, plans or recovered models side by side."""

from ui.compare.panels import compare_view
from ui.page import begin, fitting_model


def main() -> None:
    page = begin("Compare", "Two versions of one model, measured on the same examples: which is better, and where?")
    model = fitting_model("to compare", "The comparison begins when it is there.")
    if model is not None:
        compare_view(model, page.theme)


main()
