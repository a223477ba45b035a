"""The cold shutdown of our pools."""

from __future__ import annotations

from typing import Any

from celery.concurrency.base import BasePool
from celery.worker import state


class EndsAfterTheLoop(BasePool):
    """SIGQUIT's handler may interrupt the event loop anywhere, and calls ``stop`` there. Then this pool only refuses
    new work. It finishes the work in flight after the loop has ended."""

    def stop(self) -> None:
        if state.should_terminate:
            self._state = self.TERMINATE
        else:
            super().stop()

    def on_terminate(self) -> None:
        self.on_stop()

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        # `LastFlush` hands back the refused work.
        return None if self._state == self.TERMINATE else super().apply_async(*args, **kwargs)
