"""Importance criteria: one file each. A new file in this folder is in every menu, help text and law at once."""

from importlib import import_module
from pkgutil import iter_modules

from pruning.importance.base import (
    Criterion,
    ImportanceMap,
    Sampled,
    criteria,
    describe_criterion,
    get_criterion,
    register,
)

_FIRST = ("gradient", "ablation")  # the order of menus; the others follow by name
for _name in sorted(
    (m.name for m in iter_modules(__path__)), key=lambda n: (n not in _FIRST, _FIRST.index(n) if n in _FIRST else 0, n)
):
    import_module(f"{__name__}.{_name}")

__all__ = ["Criterion", "ImportanceMap", "Sampled", "criteria", "describe_criterion", "get_criterion", "register"]
