"""Mistakes planted one at a time into a copy of the product, to see that the simulation would find them.

Each `NN-name.patch` here is one; `python -m tests.simulation.mutants` plays them all. docs/guides/mutants.md explains.
"""
