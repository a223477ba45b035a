"""Breaks things under load and counts what was lost and what came twice: ``python -m ops.soak``."""
