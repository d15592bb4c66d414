"""Compare: any two kept masks, plans or recovered models side by side."""

from pruning.language import tr
from ui.compare.panels import compare_view
from ui.page import begin, fitting_model


def main() -> None:
    lead = tr("Two versions of one model, measured on the same examples: which is better, and where?")
    page = begin("Compare", lead)
    model = fitting_model(tr("to compare"), tr("The comparison begins when it is there."))
    if model is not None:
        compare_view(model, page.theme)


main()
