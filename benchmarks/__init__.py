"""Benchmarks: scripts that print what Headroom reaches, beside another program in the same run. See README.md."""
