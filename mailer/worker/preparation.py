"""Messages that are not for the event loop to make, as it would stand still for them: a helper's thread makes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from mailer.delivery.outcome import Outcome
from mailer.ses.transport import Sender

_BATCH = 64
Ended = Callable[[Outcome | Exception], None]
"""Takes what became of a message, or the defect that kept it from an outcome."""


class Job(NamedTuple):
    """One message to make and send: Celery's request dict, and what to call once with its end."""

    request: Mapping[str, Any]
    finished: Ended

    def go_on(self, step: Callable[[], None]) -> None:
        """Take a step of it, whose defect is its end."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - told where it ends
            self.finished(error)


class Preparation:
    """One batch at a time; what comes meanwhile is the next. So one round trip to Redis serves all that wait for it,
    and the loop has to win the GIL back from one thread at most. Used by the loop's thread.

    ``prepare`` is called in the helper's, and yields for each job what the loop's thread is to call.
    """

    def __init__(self, sender: Sender, prepare: Callable[[Sequence[Job]], Iterable[Callable[[], None]]]) -> None:
        self._sender = sender
        self._prepare = prepare
        self._jobs: list[Job] = []
        self._is_busy = False

    def add(self, job: Job) -> None:
        """Have it made and sent."""
        self._jobs.append(job)
        if not self._is_busy:
            self._next()

    def _done(self, jobs: Sequence[Job], failure: Exception | None) -> None:
        if failure is not None:  # no helper took them
            for job in jobs:
                job.finished(failure)
        self._next()

    def _next(self) -> None:
        jobs, self._jobs = self._jobs[:_BATCH], self._jobs[_BATCH:]
        self._is_busy = bool(jobs)
        if jobs:
            self._sender.help(partial(self._work, jobs), partial(self._done, jobs))

    def _work(self, jobs: Sequence[Job]) -> None:
        left = deque(jobs)
        try:
            for step in self._prepare(jobs):
                self._sender.call_soon(partial(left.popleft().go_on, step))
        except Exception as error:  # noqa: BLE001 - told where they end
            for job in left:
                self._sender.call_soon(partial(job.finished, error))
