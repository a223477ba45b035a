"""Messages that are not for the event loop to make, as it would stand still for them: a helper's thread makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mailer.delivery.outcome import Outcome
from mailer.ses.transport import Sender

_BATCH = 64


class Job(NamedTuple):
    """One message to make and send: Celery's request dict, and what to call with the outcome."""

    request: Mapping[str, Any]
    finished: Callable[[Outcome], None]


class Preparation:
    """One batch at a time; what comes meanwhile is the next. So one round trip to Redis serves all that wait for it,
    and the loop has to win the GIL back from one thread at most. Used by the loop's thread.

    ``prepare`` is called in the helper's, and yields what the loop's thread is to call. It must not raise.
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

    def _next(self, _: object = None) -> None:
        jobs, self._jobs = self._jobs[:_BATCH], self._jobs[_BATCH:]
        self._is_busy = bool(jobs)
        if jobs:
            self._sender.help(lambda: self._work(jobs), self._next)

    def _work(self, jobs: Sequence[Job]) -> None:
        for then in self._prepare(jobs):
            self._sender.call_soon(then)
