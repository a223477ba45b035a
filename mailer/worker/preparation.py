"""A helper's thread makes the messages that would block the event loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from mailer.delivery.outcome import Outcome
from mailer.ses.curl.loop import CurlLoop

_BATCH = 64
Ended = Callable[[Outcome | Exception], None]
"""A function that takes a message's outcome, or the defect that prevented an outcome."""


class Job(NamedTuple):
    """One message to make and send: Celery's request dict, and the function to call once with its outcome."""

    request: Mapping[str, Any]
    finished: Ended

    def go_on(self, step: Callable[[], None]) -> None:
        """Run a step of this job. An exception of the step ends the job."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - `finished` reports it
            self.finished(error)


class Preparation:
    """Makes one batch of jobs at a time. Jobs that arrive during a batch form the next one. So one round trip to Redis
    serves a whole batch, and at most one thread competes with the loop for the GIL. Only the loop's thread calls it.

    ``prepare`` runs in the helper's thread. It yields, for each job, the step that the loop's thread calls.
    """

    def __init__(self, sender: CurlLoop, prepare: Callable[[Sequence[Job]], Iterable[Callable[[], None]]]) -> None:
        self._sender = sender
        self._prepare = prepare
        self._jobs: list[Job] = []
        self._is_busy = False

    def add(self, job: Job) -> None:
        """Have a helper make this message. The step of ``prepare`` sends it."""
        self._jobs.append(job)
        if not self._is_busy:
            self._next()

    def _next(self) -> None:
        jobs, self._jobs = self._jobs[:_BATCH], self._jobs[_BATCH:]
        self._is_busy = bool(jobs)
        if jobs:
            left = deque(jobs)
            self._sender.help(partial(self._work, jobs, left), partial(self._done, left))

    def _work(self, jobs: Sequence[Job], left: deque[Job]) -> None:
        for step in self._prepare(jobs):
            self._sender.call_soon(partial(left.popleft().go_on, step))

    def _done(self, left: Iterable[Job], failure: Exception | None) -> None:
        if failure is not None:  # no helper took the jobs, or it broke off before these
            for job in left:
                self._sender.call_soon(partial(job.finished, failure))
        self._next()
