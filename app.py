"""Headroom: page set-up and navigation, nothing else."""

from ui.page import run_router

run_router()
