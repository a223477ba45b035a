"""Malformed requests by the thousand: nothing may crash, answer 500, or grow without bound.

The short form runs in the suite; the long one is ``python -m tests.unit.simulator.fuzz --count 100000``.
"""
