"""Cause faults under load, and count lost and doubled messages: ``python -m ops.soak``."""
