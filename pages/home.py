"""Home: what this is in one picture, what is in use, and the doors."""

import streamlit as st

from pruning.importance import ImportanceMap, get_criterion
from pruning.language import mark, tr
from ui import charts, state
from ui.browser import first_visit, forget_first_visit
from ui.importance import known_importance, loaded_model, part_names, scoring_state
from ui.naming import finding
from ui.page import Page, begin
from ui.removed import shown_mask, summary
from ui.theme import as_sentence, parameters, plain

DOORS = (
    (
        mark("Explore"),
        "pages/explore.py",
        mark("See which heads the task needs, under more than twenty published criteria."),
    ),
    (
        mark("Learn"),
        "pages/learn.py",
        mark("Twelve short lessons: guess first, then see what the loaded model really does."),
    ),
    (
        mark("Present"),
        "pages/present.py",
        mark("Show a room what a smaller model saves and costs, on one screen and in one file."),
    ),
)
HINTS = (
    mark("**Point** at a cell to read its value. On Explore a click opens the head, on Prune it removes it."),
    mark("**Undo** with Ctrl+Z, as far back as you like. Each control explains itself behind its question mark."),
    mark("**Copy link** in the sidebar: whoever opens it sees the same model, data and mask."),
)


def main() -> None:
    page = begin(
        "Home",
        tr(
            "Headroom finds the attention heads that a transformer can do without, takes them away while you watch "
            "the task answer, and gives you the smaller model to keep."
        ),
    )
    if first_visit():
        hints()
    left, right = st.columns([3, 2], gap="large")
    with right:
        in_use()
        for title, path, sentence in DOORS:
            door(title, path, sentence)
    with left:
        picture(page)
    st.caption(
        tr(
            "Nothing leaves this computer, and nothing can break: every edit can be undone, and the address of the "
            "page holds all that you see."
        )
    )


def hints() -> None:
    """What helps a newcomer most; shown until it has been read, on the first visit alone."""
    with st.container(border=True, key="hints"):
        for column, hint in zip(st.columns(len(HINTS)), HINTS, strict=True):
            column.markdown(tr(hint))
        st.button(tr("Got it"), on_click=forget_first_visit)


def in_use() -> None:
    """The model and the data, in two lines."""
    session, model = state.current(), loaded_model()
    size = f" · {parameters(model.anatomy.parameters)}" if model is not None else ""
    st.markdown(
        f"**{tr('Model')}** {plain(state.model_label(session.model))}{size}  \n"
        f"**{tr('Data')}** {plain(state.data_label(session.data))}"
    )


def door(title: str, path: str, sentence: str) -> None:
    with st.container(border=True, gap="small"):
        st.page_link(path, label=f"**{tr(title)}**", icon=":material/arrow_forward:")
        st.markdown(tr(sentence))


def picture(page: Page) -> None:
    """Every head of the model, by what the task loses with it."""
    importance = known_importance()
    if importance is None:
        with st.container(height=420, border=False):
            scoring_state()
        return
    names, model, mask = part_names(importance), loaded_model(), state.current().mask
    criterion, heads = get_criterion(importance.criterion), len(importance.keep_values)
    mask = shown_mask(mask, model.anatomy if model else None)
    figure = charts.heatmap(
        importance.values,
        mask=mask,
        site_names=names,
        title=finding(importance, names),
        subtitle=tr("Each cell is one of {n:,} attention heads; {colour}", n=heads, colour=shade(importance)),
        unit=tr(criterion.unit),
        signed=criterion.signed,
        reverse=criterion.direction == "low",
        theme=page.theme,
    )
    alt = charts.describe_heatmap(importance.values, mask=mask, site_names=names, unit=tr(criterion.unit))
    st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key="home_heatmap")
    if mask:
        st.caption(as_sentence(summary(mask, tuple(map(len, importance.values)), model.anatomy if model else None)))


def shade(importance: ImportanceMap) -> str:
    """What the colour says, in words."""
    criterion = get_criterion(importance.criterion)
    stronger = mark("colour: {criterion}, stronger where it matters more")
    return tr(mark("colour: {criterion}") if criterion.signed else stronger, criterion=tr(criterion.label).lower())


main()
