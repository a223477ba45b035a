"""The tests of the broker use the same account fixtures as those of the queue."""

from __future__ import annotations

from tests.support.account import account, still, worker

__all__ = ["account", "still", "worker"]
