"""The tests of the queue see one account as its workers do."""

from __future__ import annotations

from tests.support.account import account, still, worker

__all__ = ["account", "still", "worker"]
