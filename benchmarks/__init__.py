"""Performance, as ratios of things that were run in turn: see docs/benchmarks.md."""
