"""How our pools take a cold shutdown."""

from __future__ import annotations

from typing import Any

from celery.concurrency.base import BasePool
from celery.worker import state


class EndsAfterTheLoop(BasePool):
    """SIGQUIT's handler runs in the middle of whatever the event loop does, and tells the pool to stop there: for this
    one that only means to begin nothing more. What it has begun is finished once the loop has ended."""

    def stop(self) -> None:
        if state.should_terminate:
            self._state = self.TERMINATE
        else:
            super().stop()

    def on_terminate(self) -> None:
        self.on_stop()

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        # What is not begun is handed back at the end.
        return None if self._state == self.TERMINATE else super().apply_async(*args, **kwargs)
