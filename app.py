"""Headroom: page set-up and navigation, nothing else."""

from ui.router import run_router

run_router()
