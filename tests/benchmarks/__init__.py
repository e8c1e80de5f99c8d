"""Benchmarks: `make bench ONLY=name`. Each writes build/bench/NAME.json, a table, and where it helps a plot."""
