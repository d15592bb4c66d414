"""Export: take the smaller model away, the decision, the numbers, the figures, and a report."""

from ui.export.view import export_view
from ui.page import begin, fitting_model


def main() -> None:
    page = begin("Export", "Take away what you have made: the model, the decision, the numbers, the figures, a report.")
    model = fitting_model("to export")
    if model is not None:
        export_view(model, page.theme)


main()
