"""What talks to kombu is tried over the same account as the scripts."""

from __future__ import annotations

from tests.queue.conftest import account, still, worker

__all__ = ["account", "still", "worker"]
