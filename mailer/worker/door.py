"""The task. It decodes a message, delivers it and reports the outcome."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from celery import Task
from celery.utils.log import get_logger

from mailer.delivery.outcome import Kind, Outcome, deliver, outcome_of
from mailer.errors import QueueUnavailable, SendError
from mailer.mail.message import Message
from mailer.mail.template.bounds import Heavy
from mailer.queue import payload
from mailer.queue.headers import CONTENT_HEADER, LEASE_ENDS, PERMIT_ENDS, SIZE, TASK
from mailer.queue.queue import Queue
from mailer.ses.curl.loop import CurlLoop
from mailer.ses.transports import configured
from mailer.settings import Settings
from mailer.worker.preparation import Ended, Job, Preparation
from mailer.worker.report import LONGEST_REPR, Report

logger = get_logger(__name__)

_FIRST_CONNECTIONS = 4
_STANDSTILLS_APART_SECONDS = 1.0
_STANDSTILL_SECONDS = 0.02
_LONG_SECONDS = 0.05
_SAMPLE = {"to": "a@example.com", "sender": "a@example.com", "subject": "-", "text": "-", "html": "-"}


class Door(Task):
    """``mailer.send``. `mailer.queue.payload` defines its arguments. It returns a `Report`."""

    name = TASK
    Request = "mailer.worker.request:Request"
    typing = False
    acks_late = True
    ignore_result = True
    resultrepr_maxsize = LONGEST_REPR
    # The outcome decides about retries. Celery's own are not used.
    max_retries = 0

    def __init__(self, settings: Settings) -> None:
        """Raises `SettingsError` for a transport that cannot be opened."""
        self.settings = settings
        self.transport = configured(settings)
        self._stood_still_at = self._stood_still_until = -math.inf

    def attach(self, sender: CurlLoop) -> None:
        """Have `begin` send by this sender from now on."""
        self._sender = sender
        self._prompt = Preparation(sender, self._prepared)
        # For heavy messages, so that no light message waits behind one.
        self._patient = Preparation(sender, self._patiently)

    def prepare(self) -> None:
        """Prepare for the first message. A slow first send would use its permit late, together with the next permit,
        and SES would refuse one of the two."""
        try:
            self.transport.prepare(_FIRST_CONNECTIONS)
        except SendError as error:
            logger.warning("SES cannot be reached yet: %s", error)
        try:
            payload.decode(_SAMPLE, self.contents.content, message_id="")
            self.contents.content("")
        except QueueUnavailable as error:
            logger.warning("Redis cannot be reached yet: %s", error)

    @cached_property
    def contents(self) -> Queue:
        """The queue, for reading stored contents. A task's attribute ``queue`` has another meaning in Celery."""
        return Queue.of(self.settings)

    def run(self, *_: Any, **__: Any) -> Report:
        """Send and wait for the answer. Celery's pools call this."""
        request = vars(self.request)
        found = self._too_late(request) or self._message(request, self.contents.content)
        if isinstance(found, Message):
            found = self._lease_ending(request) or deliver(found, self.transport)
        return Report(found)

    def begin(self, request: Mapping[str, Any], finished: Ended) -> None:
        """Begin to send, and call ``finished`` when the answer arrives. ``request`` is Celery's request dict with the
        decoded arguments. `TaskPool` calls this."""
        job = Job(request, finished)
        if (late := self._too_late(request)) is not None:
            finished(late)
        elif _is_light(request):
            self._begin(job, self.contents.content)
        else:
            self._prompt.add(job)

    def _begin(self, job: Job, fetch: Callable[[str], bytes | None]) -> None:
        try:
            made = self._message(job.request, fetch, patient=False)
        except Heavy:
            self._patient.add(job)
        else:
            self._send(made, job)

    def _send(self, made: Message | bytes | Outcome, job: Job, *, after_permit: bool = False) -> None:
        """Send the message, but not after its lease, and after its permit only if ``after_permit``."""
        if not isinstance(made, Outcome):
            made = (self._lease_ending if after_permit else self._too_late)(job.request) or made
        if isinstance(made, Outcome):
            job.finished(made)
            return
        latest = job.request.get(LEASE_ENDS, math.inf) - self.settings.read_timeout_seconds
        self._sender.begin(made, lambda result: job.finished(outcome_of(result)), latest)

    def _prepared(self, jobs: Sequence[Job]) -> Iterator[Callable[[], None]]:
        """Yield each job's next step for the loop's thread. Runs in a helper's thread."""
        fetch = self._fetched([job.request.get(CONTENT_HEADER) for job in jobs])
        for job in jobs:
            if _is_light(job.request):
                yield partial(self._begin, job, fetch)
                continue
            try:
                made = self._request(job, fetch, patient=False)
            except Heavy:
                yield partial(self._patient.add, job)
            else:
                yield partial(self._send, made, job)

    def _patiently(self, jobs: Sequence[Job]) -> Iterator[Callable[[], None]]:
        """The same for heavy messages.

        A message that took long itself, or waited for no other, is sent even after its permit has run out: it would be
        as late at every other try. Such messages leave one by one. A message that waited for others goes back to its
        lane. Otherwise all that waited for one would leave in a burst.
        """
        for job in jobs:
            began = time.monotonic()
            made = self._request(job, self.contents.content, patient=True)
            is_its_own = job is jobs[0] or time.monotonic() - began > _LONG_SECONDS
            yield partial(self._send, made, job, after_permit=is_its_own)

    def _fetched(self, hashes: Iterable[object]) -> Callable[[str], bytes | None]:
        """A function that returns contents by their hash. One round trip has fetched these ``hashes``."""
        missing = list(dict.fromkeys(each for each in hashes if payload.is_missing(each)))
        try:
            stored = self.contents.contents(missing)
        except QueueUnavailable as error:
            return partial(_refuse, error)
        return lambda digest: stored[digest] if digest in stored else self.contents.content(digest)

    def _request(self, job: Job, fetch: Callable[[str], bytes | None], *, patient: bool) -> bytes | Outcome:
        """The request to SES for a `_message`."""
        made = self._message(job.request, fetch, patient=patient)
        try:
            return made if isinstance(made, Outcome) else self._sender.request_for(made)
        except Exception as error:  # noqa: BLE001 - as `deliver` does for the other pools
            return outcome_of(error)

    @staticmethod
    def _message(
        request: Mapping[str, Any], fetch: Callable[[str], bytes | None], *, patient: bool = True
    ) -> Message | Outcome:
        """The requested message, or the outcome where it cannot be made. Raises Heavy unless ``patient``."""
        if request["args"]:
            return Outcome(Kind.REJECTED, code="InvalidMessage", detail="args: are positional. Pass everything by name")
        kwargs, message_id, digest = request["kwargs"], request["id"], request.get(CONTENT_HEADER)
        try:
            return payload.decode(kwargs, fetch, message_id=message_id, content_hash=digest, patient=patient)
        except Heavy:
            raise
        except QueueUnavailable as error:
            return Outcome(Kind.UNFIT, code="QueueUnavailable", detail=str(error))
        except Exception as error:  # noqa: BLE001 - nothing was sent, and the message must not be lost
            return Outcome(Kind.REJECTED, code=type(error).__name__, detail=str(error))

    def _lease_ending(self, request: Mapping[str, Any]) -> Outcome | None:
        if time.monotonic() + self.settings.send_seconds > request.get(LEASE_ENDS, math.inf):
            # Another worker may receive the message before SES answers here.
            return Outcome(Kind.LATE, code="LeaseEnding", detail="its lease would end before SES answers")
        return None

    def _too_late(self, request: Mapping[str, Any]) -> Outcome | None:
        if (ending := self._lease_ending(request)) is not None:
            return ending
        now = time.monotonic()
        if now > request.get(PERMIT_ENDS, math.inf):
            # This process stood still for a moment. If that happens all the time, the host is slow and must send late.
            if now > self._stood_still_at + _STANDSTILLS_APART_SECONDS:
                self._stood_still_at, self._stood_still_until = now, now + _STANDSTILL_SECONDS
            if now < self._stood_still_until:
                return Outcome(Kind.LATE, code="PermitEnded", detail="its permit had run out")
        return None


def _is_light(request: Mapping[str, Any]) -> bool:
    return payload.is_light(request["kwargs"], request.get(CONTENT_HEADER), request.get(SIZE, 0))


def _refuse(error: QueueUnavailable, _: str) -> bytes | None:
    raise error
