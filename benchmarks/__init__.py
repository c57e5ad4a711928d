"""How fast the project is, as ratios measured in one run: ``python -m benchmarks``."""
