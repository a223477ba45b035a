"""Helpers of all tests: servers, processes and accounts, each started in one place."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
