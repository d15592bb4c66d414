"""The settings of a training as a form that is made from the fields of `Training`, with their documentation as help."""

from __future__ import annotations

import inspect
import re
from dataclasses import Field, fields, replace
from functools import lru_cache
from typing import Any

import streamlit as st

from pruning.language import tr
from pruning.recovery.methods import RecoveryMethod
from pruning.recovery.settings import Training

CHOSEN_ABOVE = ("method", "loss", "minutes")  # by the method's name and by the slider
STEPS = {"learning_rate": 1e-4, "weight_decay": 0.01, "noise": 0.01, "temperature": 0.5}


@lru_cache(maxsize=1)
def field_help() -> dict[str, str]:
    """What the documentation of `Training` says of each field, units included."""
    text = inspect.getdoc(Training) or ""
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", text, re.MULTILINE)
    return {name: " ".join(about.split()).replace("``", "`") for name, about in found}


def field_label(name: str) -> str:
    """
    >>> field_label("learning_rate")
    'Learning rate'
    """
    return name.replace("_", " ").capitalize()


def advanced_fields(settings: Training) -> list[Field[Any]]:
    """The fields that mean something for these settings and are not chosen elsewhere."""
    idle = {
        "rank": settings.method != "lora",
        "distill_weight": settings.loss != "both",
        "temperature": settings.loss == "labels",
    }
    return [field for field in fields(Training) if field.name not in CHOSEN_ABOVE and not idle.get(field.name)]


def advanced_form(method: RecoveryMethod, minutes: float) -> Training:
    """Draw a field for each setting and return what is set.

    Raises:
        PruningError: A value is out of its range; the message says which is allowed.
    """
    base = replace(method.settings or Training(), minutes=minutes)
    columns = st.columns(3)
    changes: dict[str, Any] = {}
    for number, field in enumerate(advanced_fields(base)):
        with columns[number % 3]:
            changes[field.name] = _field(method.name, field, base)
    return replace(base, **changes)


def _field(method: str, field: Field[Any], base: Training) -> int | float | None:
    """A number; one that may be left out shows what it is then."""
    default, optional = getattr(base, field.name), "None" in str(field.type)
    whole = str(field.type).startswith("int")
    return st.number_input(
        tr(field_label(field.name)), value=default, key=f"train_{method}_{field.name}",
        step=1 if whole else STEPS.get(field.name, 0.05), format=None if whole else "%g",
        placeholder=f"{base.rate:g}" if optional else None, help=tr(field_help().get(field.name, "")) or None,
        persist_state="session",
    )  # fmt: skip
