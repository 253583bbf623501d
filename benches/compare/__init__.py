"""Viaduct beside the brokers that people have: the figures of `docs/benchmarks.md`, with the rule for when they count."""
