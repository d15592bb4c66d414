"""Headroom's engine: find, gate, score and evaluate the attention heads of a transformer.

Importing this package imports no torch: its names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Anatomy": "anatomy",
    "Budget": "search",
    "Cancelled": "errors",
    "Comparison": "evaluation",
    "CostModel": "cost",
    "DataError": "errors",
    "DataSpec": "data",
    "Dataset": "data",
    "Evaluation": "evaluation",
    "HeadId": "masks",
    "ImportanceMap": "importance",
    "LoadedModel": "models",
    "Mask": "masks",
    "MaskError": "errors",
    "Means": "means",
    "ModelError": "errors",
    "ModelSpec": "models",
    "Plan": "plan",
    "PruningError": "errors",
    "Sparsity": "unstructured",
    "Training": "recovery.settings",
    "UnsupportedError": "errors",
    "answer": "answering",
    "compare": "evaluation",
    "count_cost": "cost",
    "criteria": "importance",
    "describe": "anatomy",
    "evaluate": "evaluation",
    "evaluate_ensemble": "ensemble",
    "export_checkpoint": "export",
    "export_onnx": "onnx_export",
    "gated": "gating",
    "PrunedModel": "surgery",
    "load_data": "data",
    "load_model": "models",
    "measure_latency_table": "latency",
    "measure_means": "means",
    "prune": "surgery",
    "recover": "recovery.training",
    "score": "importance.scoring",
    "sparsify": "unstructured.sparsifying",
    "task_of": "tasks",
    "wrap_model": "models",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
