"""The numbers as tables: one row a value. Pure: values in, tables out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from pruning.anatomy import Anatomy
from pruning.importance import ImportanceMap
from pruning.masks import Mask
from pruning.scopes import units_of
from ui.export.subject import Measured

IMPORTANCE = ("criterion", "scope", "site", "path", "head", "value", "standard error", "removed")


def importance_table(maps: Iterable[ImportanceMap], mask: Mask, anatomy: Anatomy) -> pd.DataFrame:
    """Every value of every map, raw.

    Returns:
        The columns `IMPORTANCE`: ``site`` is the index of the site, block or layer, ``path`` its module, ``head`` the
        index of the head or neuron inside it (0 for a layer), and ``removed`` whether the mask takes it, with its
        layer where that goes as a whole.
    """
    rows: list[tuple[Any, ...]] = []
    for one in maps:
        removed, inside = units_of(mask, one.scope), _inside_layers(mask, anatomy, one.scope)
        for part, values in enumerate(one.values):
            errors = one.standard_errors[part] if one.standard_errors else [None] * len(values)
            for unit, (value, error) in enumerate(zip(values, errors, strict=True)):
                gone = part in inside or (part, unit) in removed
                rows.append((one.criterion, one.scope, part, one.sites[part], unit, value, error, gone))
    return pd.DataFrame(rows, columns=list(IMPORTANCE)).astype({"standard error": float})


def _inside_layers(mask: Mask, anatomy: Anatomy, scope: str) -> set[int]:
    """The sites or blocks that go with a removed layer."""
    layers = [anatomy.layers[layer] for layer in mask.layers]
    return {part for layer in layers for part in {"heads": layer.sites, "neurons": layer.blocks}.get(scope, ())}


def results_table(measured: Measured) -> pd.DataFrame:
    """Every metric of both models and their paired difference, with 95% intervals.

    Returns:
        Columns ``metric``, ``model`` (unpruned, pruned, difference), ``value``, ``low``, ``high`` and ``n``.
    """
    rows = []
    for name in measured.before.metrics:
        found = {"unpruned": (measured.before.metrics[name], measured.before.samples)}
        found["pruned"] = measured.after.metrics[name], measured.after.samples
        if name in measured.change.differences:
            found["difference"] = measured.change.differences[name], measured.change.samples
        rows += [(name, model, e.value, e.low, e.high, n) for model, (e, n) in found.items()]
    return pd.DataFrame(rows, columns=["metric", "model", "value", "low", "high", "n"])


def predictions_table(measured: Measured) -> pd.DataFrame:
    """What both models answered to each example."""
    before, after = (pd.DataFrame(one.predictions()).set_index("row") for one in (measured.before, measured.after))
    shared = [name for name in ("text", "label") if name in before]
    table = before[shared].join(before.drop(columns=shared).add_suffix(" before"))
    table = table.join(after.drop(columns=shared).add_suffix(" after"))
    if "predicted before" in table:
        table["flipped"] = table["predicted before"] != table["predicted after"]
    return table.reset_index()


# Files -----------------------------------------------------------------------------------------------------------


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _json(table: pd.DataFrame) -> bytes:
    return table.to_json(orient="records", indent=1, force_ascii=False, double_precision=15).encode()


FILES: dict[str, tuple[str, Callable[[pd.DataFrame], bytes]]] = {  # by their ending: media type, and how it is written
    "csv": ("text/csv", lambda table: table.to_csv(index=False).encode()),
    "parquet": ("application/vnd.apache.parquet", _parquet),
    "json": ("application/json", _json),
}
