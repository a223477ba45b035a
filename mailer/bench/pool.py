"""The product's pool, timing each send: ``CELERY_CUSTOM_WORKER_POOL=mailer.bench.pool:MeasuringPool``."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from mailer.bench.reports import Reporter
from mailer.ses.curl.loop import CurlLoop
from mailer.worker.pool import TaskPool

if TYPE_CHECKING:
    from mailer.mail.message import Message
    from mailer.ses.curl.loop import Done, Loop
    from mailer.ses.curl.transport import CurlTransport

_EVERY_SECONDS = 0.1


class MeasuringLoop(CurlLoop):
    """Reports the duration of each send as the worker sees it: from making the request to the answer."""

    def __init__(self, transport: CurlTransport) -> None:
        super().__init__(transport)
        self._reporter = Reporter()

    def attach(self, loop: Loop) -> None:
        super().attach(loop)
        loop.call_repeatedly(_EVERY_SECONDS, self._reporter.write)

    def begin(self, message: Message | bytes, done: Done, latest: float = math.inf) -> None:
        began = time.perf_counter()

        def measured(result: str | Exception) -> None:
            failure = type(result).__name__ if isinstance(result, Exception) else None
            self._reporter.note(time.perf_counter() - began, failure)
            done(result)

        super().begin(message, measured, latest)


class MeasuringPool(TaskPool):
    """Sends as the product does, and reports."""

    Sender = MeasuringLoop
