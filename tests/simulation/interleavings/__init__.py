"""Interleavings: for each conditional write that guards stock, money or a state, workers who collide on that one write.

A case is a function in one of the modules here, decorated with `@case`. It prepares, lets two or three workers race
under the one baton, so that they overtake each other at outside calls as the seed says, and judges what came of it.
Nothing of the product is copied: workers call its services. `python -m tests.simulation.interleavings` plays them all
and prints which guard was met by which case.
"""
