"""The upper part of Compare: what is compared, what each side removes, metrics, and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruning.importance import get_criterion
from pruning.language import listing, mark, tr, trn
from ui import charts, state
from ui import theme as look
from ui.compare import words
from ui.compare.cost import draw_cost
from ui.compare.distributions import draw_calibration, draw_confidence, draw_flips
from ui.compare.domains import draw_domains
from ui.compare.lots_view import draw_lots, draws_picker, which_draw
from ui.compare.maps import KINDS, Grid, difference_map, side_map, swatch
from ui.compare.measured import measured
from ui.compare.pairs import Pair, Side, couples
from ui.compare.picks import LOT
from ui.compare.sides import Chosen, chosen, elsewhere, label, options, out_of_step, removal, shown_draw, unequal
from ui.controls import mirror_key, on_move
from ui.details import NAMES, difference_html, figures_table, mcnemar_words, value_html
from ui.figures import metric_card, no_figure
from ui.heatmap import value_range
from ui.history.words import in_line
from ui.importance import known_importance
from ui.naming import names_of
from ui.theme import Theme, plain

if TYPE_CHECKING:
    from pruning.models import LoadedModel

SIDE_HELP = mark(
    "The unpruned model, what is removed now, what this session has kept (scenarios, plans, a recovered model), or as "
    "much as the other side removes: by lot several times, which shows whether a choice beats chance, or the lowest "
    "heads under a criterion whose map is known."
)


def compare_view(model: LoadedModel, theme: Theme) -> None:
    """Draw the whole page for a model that is there."""
    both = chosen(model)
    if changes := out_of_step(both, model):
        state.update(**changes)
        st.rerun()
    pickers(both, model)
    a, b = both.sides["a"], both.sides["b"]
    several = couples(a, b) if a.draws or b.draws else []
    draw_maps(model, a.one, b.one, theme)
    if all(one.identity == other.identity for one, other in several or [(a, b)]):
        same_on_both_sides(model)
        return
    pair = draw_lots(model, a, b, theme) if several else draw_metrics(model, both)
    if several:
        _from_here_on(a, b)
    a, b = a.one, b.one
    draw_cost(model, a, b)
    if pair is None or not pair.complete:
        st.caption(tr("Answers that changed, confidence, calibration and other data sets follow when all is measured."))
        return
    draw_flips(pair)
    draw_confidence(pair, theme)
    draw_calibration(pair, theme)
    draw_domains(model, a, b, theme)


def _from_here_on(a: Side, b: Side) -> None:
    """What the rest of the page is of."""
    drawn = listing(name for name, side in (("A", a), ("B", b)) if side.draws)
    text = mark("From here on, {side} is draw {n} alone; another one is picked above.")
    st.caption(tr(text, side=drawn, n=shown_draw(len(a.draws or b.draws)) + 1))
    if a.one.identity == b.one.identity:
        st.caption(tr("The draw that is shown happens to be the very mask of the other side."))


# What is compared ------------------------------------------------------------------------------------------------


def pickers(both: Chosen, model: LoadedModel) -> None:
    """A, B and the button between them, and what cannot be compared."""
    left, middle, right = st.columns([10, 3, 10], vertical_alignment="bottom")
    with left:
        _picker("a", both, model)
    middle.button(
        tr("Swap"), icon=":material/swap_horiz:", on_click=_swap, width="stretch", help=tr("Make A of B, and B of A.")
    )
    with right:
        _picker("b", both, model)
    left, _, right = st.columns([10, 3, 10])
    for column, name in ((left, "a"), (right, "b")):
        column.caption(plain(tr("{side}: {removed}", side=name.upper(), removed=removal(both.sides[name]))))
        if both.picks[name].kind == LOT:
            with column, st.container(horizontal=True):
                draws_picker(name, both.picks[name])
                which_draw(name, len(both.sides[name].draws))
    for sentence in unequal(both):
        st.caption(sentence)
    for problem in both.problems:
        st.warning(plain(problem))
    if count := elsewhere(model):
        st.caption(
            trn(
                "{n} scenario is of another model: two models have no heads in common. Pick that model in the sidebar "
                "to compare it.",
                "{n} scenarios are of other models: two models have no heads in common. Pick that model in the sidebar "
                "to compare it.",
                count,
            )
        )
    if any(len(pick.code) > state.LONGEST_CODE for pick in both.picks.values()):
        st.caption(tr("One of these masks is too long for a link."))
    elif any(side.trained for side in both.sides.values()):
        st.caption(tr("A recovered model does not travel with a link: elsewhere its mask opens without training."))


def _picker(name: str, both: Chosen, model: LoadedModel) -> None:
    offered = options(name, both, model)
    shown, labels = both.picks[name].option, {option: label(pick, model, both.kept) for option, pick in offered.items()}
    every = tuple(labels.values())
    key = mirror_key(f"compare_{name}", (shown, every))

    def choose(option: Any) -> object:
        state.update(**{name: offered[option].code})
        return option, every

    st.selectbox(
        name.upper(), list(offered), index=list(offered).index(shown), key=key, format_func=labels.__getitem__,
        on_change=on_move(f"compare_{name}", key, choose), help=tr(SIDE_HELP),
    )  # fmt: skip


def _swap() -> None:
    session = state.current()
    state.update(a=session.b, b=session.a)


def same_on_both_sides(model: LoadedModel) -> None:
    """There is nothing to compare: why, and what to do."""
    if not state.current().mask:
        st.info(
            tr(
                "A and B are the same model, because nothing is removed yet. Remove heads on Prune, or pick something "
                "that was kept."
            )
        )
        if st.button(tr("Open Prune"), type="primary"):
            st.switch_page("pages/prune.py")
        return
    st.info(tr("A and B are the same model. Pick another one on either side."))


# Maps ------------------------------------------------------------------------------------------------------------


def draw_maps(model: LoadedModel, a: Side, b: Side, theme: Theme) -> None:
    """A, B and what differs, in one row and on one scale; neurons and layers in words."""
    st.header(tr("What is removed"))
    grid, anatomy = grid_of(model), model.anatomy
    heads = [frozenset(words.removed_heads(side.mask, anatomy)) for side in (a, b)]
    counts = words.shares(a.mask, b.mask, "heads", anatomy)
    columns = st.columns(3, gap="medium")
    for column, name, side, gone in zip(columns, "AB", (a, b), heads, strict=False):
        some, total = len(gone), anatomy.total_heads
        title = tr("{side}: {some:,} of {total:,} heads", side=name, some=some, total=total)
        figure = side_map(grid, gone, title=title, theme=theme)
        found = tr("{side}: {some:,} of {total:,} heads removed", side=name, some=some, total=total)
        alt = in_line([words.said(found, side.label), words.by_site(gone, grid.names)])
        column.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key=f"map_{name}")
    title = words.difference_title(counts)
    figure = difference_map(grid, *heads, title=title, theme=theme)
    alt = words.said(title, listing(_how_many(counts).values()))
    with columns[2]:
        st.plotly_chart(figure, theme=None, config=charts.CONFIG, alt=alt, key="map_difference")
    _legend(counts, theme)
    for sentence in [*words.other_parts(a.mask, b.mask, anatomy), *_shade_words(grid)]:
        st.caption(sentence)
    with st.expander(tr("As a table")):
        table = words.table(heads[0], heads[1], grid.names, grid.heads_per_site)
        st.dataframe(table.rename(columns=tr), hide_index=True)


def _how_many(counts: dict[str, int]) -> dict[str, str]:
    """Of each kind of cell, what it means and how many there are."""
    return {kind: tr("{what}: {n:,}", what=tr(text), n=counts[kind]) for kind, text in KINDS.items()}


def _legend(counts: dict[str, int], theme: Theme) -> None:
    """What each kind of cell means, and how many there are."""
    parts = "".join(
        f"<span style='white-space:nowrap;margin-right:1.2em'><img src='{swatch(kind, theme)}' alt='' "
        f"style='vertical-align:-3px'> {text}</span> "
        for kind, text in _how_many(counts).items()
    )
    st.html(f"<div class='headroom-figures' style='font-size:.875rem;line-height:1.8'>{parts}</div>")


def grid_of(model: LoadedModel) -> Grid:
    """The model's heads, shaded by the criterion on the screen where its map is known."""
    anatomy, criterion = model.anatomy, get_criterion(state.current().criterion)
    names = names_of(anatomy, len(anatomy.sites))
    found = known_importance() if "heads" in criterion.scopes else None
    if found is None or tuple(map(len, found.values)) != anatomy.heads_per_site:
        return Grid(anatomy.heads_per_site, names)
    ends = value_range(found.values, criterion.signed)
    return Grid(anatomy.heads_per_site, names, found.values, ends, criterion.direction == "low", criterion.signed)


def _shade_words(grid: Grid) -> list[str]:
    if not grid.values:
        return []
    low, high = (look.number(end) for end in grid.ends)
    name = tr(get_criterion(state.current().criterion).label)
    return [
        tr(
            "Shades of A and B: importance of each head, {criterion}, from {low} to {high} on one scale.",
            criterion=name,
            low=low,
            high=high,
        )
    ]


# Metrics ---------------------------------------------------------------------------------------------------------


def draw_metrics(model: LoadedModel, both: Chosen) -> Pair | None:
    """The headline and every metric; while they are measured, on growing samples."""
    a, b = both.sides["a"].one, both.sides["b"].one
    st.header(tr("What that does"))
    pair = measured(model, a, b)
    columns = st.columns(2)
    if pair is None:
        for column, name, side in zip(columns, "AB", (a, b), strict=True):
            no_figure(column, f"{name} · {plain(side.label)}", look.as_sentence(removal(side)))
        return None
    metric_card(columns[0], f"A · {plain(a.label)}", pair.a)
    metric_card(columns[1], f"B · {plain(b.label)}", pair.b, pair.comparison)
    first = "" if pair.complete else tr("A first estimate.")
    st.markdown(f"**{look.as_sentence(words.headline(pair.comparison))}** {first}".rstrip())
    p = pair.comparison.p_value
    test = "" if p is None else mcnemar_words(p)
    paired = tr(
        "Differences are B − A, paired on the same {n:,} examples. Every interval is for its own metric alone: of "
        "twenty metrics without a difference, about one would look clear by chance.",
        n=pair.comparison.samples,
    )
    st.caption(in_line([test, paired]))
    if any(pick.kind == LOT for pick in both.picks.values()):
        st.caption(tr("A single draw by lot may be a lucky or an unlucky one: several say how much that is."))
    _metrics_table(pair)
    return pair


def _metrics_table(pair: Pair) -> None:
    rows = []
    for name, estimate in pair.a.metrics.items():
        found = words.trusted(name, pair.comparison.differences.get(name), pair.comparison.samples)
        shown = difference_html(name, found)
        if name == "perplexity":  # its logarithm is the loss, so the difference of that is a ratio of these
            found = pair.comparison.differences["loss"]
            shown = f"× {look.measured(words.perplexity_ratio(found))}"
        last = [f"<span style='white-space:nowrap'>{cell}</span>" for cell in (shown, words.verdict(name, found))]
        rows.append(
            [tr(NAMES.get(name, name)), value_html(name, estimate), value_html(name, pair.b.metrics[name]), *last]
        )
    counts = [tr("{side}, n = {n:,}", side=side, n=one.samples) for side, one in (("A", pair.a), ("B", pair.b))]
    figures_table(tr("All metrics of A and B"), [*counts, tr("B − A (95% interval)"), tr("In words")], rows)
