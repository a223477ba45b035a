"""The shutdown of our pools, warm or cold."""

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
        # `LastFlush` hands back the refused work. The loop sees a warm shutdown at its next turn only, and Redis may
        # answer before.
        is_told = state.should_stop is not None and state.should_stop is not False  # it is an exit code, 0 for one
        return None if is_told or self._state == self.TERMINATE else super().apply_async(*args, **kwargs)
