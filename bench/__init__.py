"""Benchmarks: measured by hand, results in docs/ with the command."""
