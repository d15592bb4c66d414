"""Headroom's tests: ``laws`` holds what must be true of every model family, the rest mirrors ``pruning/``."""
