"""Search strategies: one file each. A new file in this folder is in every menu, help text and law at once.

A strategy turns importance into a `Search`, which answers any budget with a mask; `pruning.search.planning.plan` makes
a plan of it.
"""

from importlib import import_module
from pkgutil import iter_modules

from pruning.search.base import (
    RemovalOrder,
    Search,
    Strategy,
    Unit,
    describe_strategy,
    get_strategy,
    make_strategy,
    register,
    strategies,
)
from pruning.search.budget import KINDS, Budget, BudgetError, Gauge, PlanError

DEFAULT_CRITERION = "gradient"
DEFAULT_NORMALISE = "none"
DEFAULT_STRATEGY = "iterative"

_FIRST = ("one_shot", "iterative")  # the order of menus; the others follow by name
_NO_STRATEGIES = ("guarantee", "planning")  # these need the registry
_names = {module.name for module in iter_modules(__path__)} - set(_NO_STRATEGIES)
for _name in [*_FIRST, *sorted(_names - set(_FIRST))]:
    import_module(f"{__name__}.{_name}")

__all__ = [
    "DEFAULT_CRITERION",
    "DEFAULT_NORMALISE",
    "DEFAULT_STRATEGY",
    "KINDS",
    "Budget",
    "BudgetError",
    "Gauge",
    "PlanError",
    "RemovalOrder",
    "Search",
    "Strategy",
    "Unit",
    "describe_strategy",
    "get_strategy",
    "make_strategy",
    "register",
    "strategies",
]
