"""A worker's start, before any message, and its end, when the event loop has stopped and sends still run."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import redis
from celery import bootsteps
from celery.utils.log import get_logger
from kombu.asynchronous import set_event_loop

from mailer.errors import SettingsError
from mailer.queue.connection import connect
from mailer.queue.headers import TASK
from mailer.queue.keys import Keys
from mailer.queue.leases import Leases
from mailer.queue.take import Take
from mailer.ses.transports import check_host
from mailer.settings import Settings, strangers
from mailer.worker import alive
from mailer.worker.limits import Keeper

logger = get_logger(__name__)

_EVERY_SECONDS = 0.05
_PATIENCE_SECONDS = 5.0
_LONGER_THAN_A_STOP_SECONDS = 86_400.0


class Lifecycle(bootsteps.StartStopStep):
    """One worker's work beside taking and sending. Celery makes one step for each worker of its application."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_: Any) -> None:
        """Runs before the pool exists. Ends the process where this worker could send nothing, or would send past the
        account's rate."""
        # At level DEBUG it logs the arguments of each task, and so the bodies.
        logging.getLogger("celery.pool").setLevel(logging.INFO)
        # It would log the source of the credentials twice at each minute's GetAccount.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        app = worker.app
        door, settings = app.tasks[TASK], app.settings
        others = sorted(set(app.amqp.queues.consume_from).difference(settings.lanes))
        if others:
            served = ", ".join(settings.lanes)
            sys.exit(f"mailer: {', '.join(others)}: no lane of MAILER_LANES. Serve {served}, or add it there")
        try:
            check_host(door.transport)
        except SettingsError as error:
            sys.exit(f"mailer: {error}")
        for name in strangers(os.environ):
            logger.warning("%s is not a setting, so nothing reads it: correct its name, or remove it", name)
        # Celery runs a worker on the loop that exists, even if it is another worker's.
        set_event_loop(None)
        # Only the pool of forked children uses a semaphore. There each child prepares for itself.
        if not worker.pool_cls.uses_semaphore:
            door.prepare()
        self._flush = LastFlush(settings, app.leases)
        self._keeper = Keeper(settings, door.transport.credentials, app.leases)

    def start(self, worker: Any) -> None:
        # Where Celery gets no application it uses the current one of the thread.
        worker.app.set_current()
        # The previous worker of this application may have left its leases at rest.
        worker.app.leases.fitness.rest(0)
        self._keeper.begin(worker.hostname)

    def register_with_event_loop(self, worker: Any, loop: Any) -> None:
        """Celery calls this at each connection, with the loop."""
        if folder := worker.app.settings.alive_dir:
            alive.show(alive.file_of(folder, worker.hostname), loop)

    def close(self, worker: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Celery calls this when the worker stops and its event loop has ended."""
        self._flush.start()

    def ended(self, hostname: str) -> None:
        """`Consumer` calls this when the pool and the connection to the broker have ended, after either shutdown."""
        self._flush.stop(hostname)
        self._keeper.end()


class LastFlush:
    """Settles each send of a stopping worker as the send ends. At last it hands back the messages that were not begun.
    It has its own connection, as no event loop runs any more.

    Without it the settlements of a warm shutdown would wait for the slowest send, and a SIGKILL would lose them.
    """

    def __init__(self, settings: Settings, leases: Leases) -> None:
        keys = Keys.of(settings)
        # Connect now: an embedded server that stops together with this worker removes its address first.
        self._client = connect(settings)
        self._hosts_key = keys.hosts
        self._take = Take(keys, settings)
        self.leases = leases
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._until_stopped, name="last-flush", daemon=True)
        self._failing = False

    def start(self) -> None:
        # A reply of Redis that is still on its way must not begin another send.
        self.leases.fitness.rest(_LONGER_THAN_A_STOP_SECONDS)
        self._thread.start()

    def stop(self, worker: str) -> None:
        self._stopped.set()
        self.leases.hand_back_unstarted()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        if self._thread.is_alive():
            # While its call runs, its settlements count as sent. They return only when the call fails.
            self._thread.join(_PATIENCE_SECONDS)
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(_EVERY_SECONDS)
        if not self._is_done or self._thread.is_alive():
            logger.error("Stopped with settlements unsent: those leases run out by themselves")
        elif self.leases.fitness.is_doubted:
            # No worker of this name will send again and clear the host's entry.
            with suppress(redis.exceptions.RedisError):
                self._client.hdel(self._hosts_key, worker)
        self._client.close()

    def _until_stopped(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            self._flush()

    def _flush(self) -> bool:
        try:
            self.leases.settle_all(self._client, self._take)
        except redis.exceptions.RedisError as error:
            if not self._failing:
                logger.warning("Settlements wait for Redis: %s", error)
            self._failing = True
            return False
        self._failing = False
        return self._is_done

    @property
    def _is_done(self) -> bool:
        return not self.leases.unsettled and self.leases.repeats_in == math.inf
