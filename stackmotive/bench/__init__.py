"""Timing of imports and valuations beside the limit of the machine, measured in the same run (docs/benchmarks.md)."""
