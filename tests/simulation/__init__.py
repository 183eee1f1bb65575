"""The deterministic simulation: the whole of the product in one process, on a virtual clock, under faults.

`python -m tests.simulation --seeds 100` runs it; docs/guides/simulation.md explains it and shows how to add to it.
"""
