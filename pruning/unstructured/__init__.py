"""Unstructured pruning: single weights set to zero. One file for each weight score; a new one is in every menu at once.

Zeros alone make nothing smaller or faster: `pruning.unstructured.measuring` says by how much other storage would.
"""

from importlib import import_module

from pruning.unstructured.base import COMPARISONS, PATTERNS, Sparsity, WeightScore, get_weight_score, weight_scores

for _name in ("magnitude", "gradient_weight", "wanda"):  # the order of menus
    import_module(f"{__name__}.{_name}")

__all__ = ["COMPARISONS", "PATTERNS", "Sparsity", "WeightScore", "get_weight_score", "weight_scores"]
