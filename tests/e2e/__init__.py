"""Chromium drives a dashboard that runs for real."""
