"""A worker's first moments, before any message, and its last: its event loop has stopped, its sends have not."""

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
    """What one worker does beside taking and sending. Celery makes one for each worker of its application."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_: Any) -> None:
        """Before there is a pool. Ends the process where this worker could send nothing, or would send something past
        the account's rate."""
        # At the level debug it writes the arguments of each task, so bodies.
        logging.getLogger("celery.pool").setLevel(logging.INFO)
        # Each minute's GetAccount would have it say twice where it found credentials.
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
        # Celery has a worker run on the loop that is there, be it another worker's.
        set_event_loop(None)
        # Only the pool of forked children counts its places with a semaphore. Each child prepares for itself.
        if not worker.pool_cls.uses_semaphore:
            door.prepare()
        self._flush = LastFlush(settings, app.leases)
        self._keeper = Keeper(settings, door.transport.credentials, app.leases)

    def start(self, worker: Any) -> None:
        # Celery finds an application by the thread, where it is not told which one.
        worker.app.set_current()
        # The application's worker before this one may have left its leases at rest.
        worker.app.leases.fitness.rest(0)
        self._keeper.begin(worker.hostname)

    def register_with_event_loop(self, worker: Any, loop: Any) -> None:
        """With each connection the loop begins anew."""
        if folder := worker.app.settings.alive_dir:
            alive.show(alive.file_of(folder, worker.hostname), loop)

    def close(self, worker: Any) -> None:  # noqa: ARG002 - Celery's signature
        """The worker stops, and its event loop has ended."""
        self._flush.start()

    def ended(self, hostname: str) -> None:
        """The pool and the connection to the broker have ended, after a warm shutdown or a cold one."""
        self._flush.stop(hostname)
        self._keeper.end()


class LastFlush:
    """From the moment a worker stops it settles each send as it ends; at the end it gives back what never began. It
    does so on a connection of its own, as no event loop runs any more.

    Without this the settlements of a warm shutdown would wait for the slowest send, and be lost to a SIGKILL.
    """

    def __init__(self, settings: Settings, leases: Leases) -> None:
        keys = Keys.of(settings)
        # Made before the end: an embedded server that is stopped with us takes its address away first.
        self._client = connect(settings)
        self._hosts_key = keys.hosts
        self._take = Take(keys, settings)
        self.leases = leases
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    def start(self) -> None:
        # An answer of Redis's that is still on its way brings nothing to begin.
        self.leases.fitness.rest(_LONGER_THAN_A_STOP_SECONDS)
        self._thread = threading.Thread(target=self._until_stopped, name="last-flush", daemon=True)
        self._thread.start()

    def stop(self, hostname: str) -> None:
        """``hostname`` is the worker's name."""
        self._stopped.set()
        self.leases.hand_back_unstarted()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        if self._thread is not None:
            # What it is about to send seems to be sent until that has failed.
            self._thread.join(_PATIENCE_SECONDS)
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(_EVERY_SECONDS)
        if not self._is_done or (self._thread is not None and self._thread.is_alive()):
            logger.error("Stopped with settlements unsent: those leases run out by themselves")
        elif self.leases.fitness.is_doubted:
            # Nobody of this name will send, and so end what is said of it.
            with suppress(redis.exceptions.RedisError):
                self._client.hdel(self._hosts_key, hostname)
        self._client.close()

    def _until_stopped(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            self._flush()

    def _flush(self) -> bool:
        try:
            while self.leases.unsettled:
                self._take.run(self._client, self.leases, 0, ())
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
