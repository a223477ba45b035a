"""What helpers make: every message ends once, whatever breaks off."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from kombu.asynchronous import Hub

from mailer.delivery.outcome import Outcome
from mailer.ses.curl.loop import CurlLoop
from mailer.ses.curl.transport import CurlTransport
from mailer.worker.preparation import Job, Preparation


def ended(prepare: Callable[[Sequence[Job]], Iterator[Callable[[], None]]]) -> list[tuple[str, str]]:
    """What becomes of four messages, of which the first is made alone."""
    ends: list[tuple[str, str]] = []
    with CurlTransport() as transport:
        sender, hub = CurlLoop(transport), Hub()
        sender.attach(hub)
        preparation = Preparation(sender, prepare)

        def job(name: str) -> Job:
            def finished(end: Outcome | Exception) -> None:
                ends.append((name, type(end).__name__))

            return Job({"id": name}, finished)

        for name in "abcd":
            preparation.add(job(name))
        deadline = time.monotonic() + 60
        while sender.in_flight and time.monotonic() < deadline:
            hub.run_once()
        hub.close()
    return ends


def test_a_helper_that_breaks_off_ends_the_messages_that_it_has_not_made() -> None:
    def prepare(jobs: Sequence[Job]) -> Iterator[Callable[[], None]]:
        for job in jobs:
            if job.request["id"] == "c":
                raise KeyError("a defect")
            yield lambda job=job: job.finished(OSError())  # type: ignore[misc]

    assert ended(prepare) == [("a", "OSError"), ("b", "OSError"), ("c", "KeyError"), ("d", "KeyError")]


def test_messages_that_no_helper_takes_end() -> None:
    ends: list[str] = []
    with CurlTransport() as transport:
        sender = CurlLoop(transport)
        sender.drain(1)
        preparation = Preparation(sender, lambda _: iter(()))
        for _ in range(2):
            preparation.add(Job({}, lambda end: ends.append(type(end).__name__)))
            sender.drain(60)
    assert ends == ["RuntimeError"] * 2


def test_a_step_that_breaks_off_ends_its_message_and_no_other() -> None:
    def prepare(jobs: Sequence[Job]) -> Iterator[Callable[[], None]]:
        for job in jobs:
            yield lambda job=job: {}[job.request["id"]] if job.request["id"] == "b" else job.finished(OSError())  # type: ignore[misc]

    assert ended(prepare) == [("a", "OSError"), ("b", "KeyError"), ("c", "OSError"), ("d", "OSError")]
