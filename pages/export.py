"""Export: take the smaller model away, the decision, the numbers, the figures, and a report."""

from pruning.language import tr
from ui.export.view import export_view
from ui.page import begin, fitting_model


def main() -> None:
    lead = tr("Take away what you have made: the model, the decision, the numbers, the figures, a report.")
    page = begin("Export", lead)
    model = fitting_model(tr("to export"))
    if model is not None:
        export_view(model, page.theme)


main()
