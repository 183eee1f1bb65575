"""The model check: every order of moves of a small world, played with the product's own decisions and use cases.

`world` is what the world is made of, `replay` lets the product's use cases run in it step by step, `moves` is the table
of what can happen, `properties` what must hold, `search` walks through all of it.
"""
