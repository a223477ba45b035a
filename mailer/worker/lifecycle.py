"""A worker's first moments, before any message, and its last: its event loop has stopped, its sends have not."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import redis
from celery import signals
from celery.utils.log import get_logger

from mailer.errors import SettingsError
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.queue.leases import Leases, leases_of
from mailer.queue.take import Take, lanes_of
from mailer.settings import Settings, strangers
from mailer.worker.consumer import consumer_ended

logger = get_logger(__name__)

_EVERY_SECONDS = 0.05
_PATIENCE_SECONDS = 5.0
_LONGER_THAN_A_STOP_SECONDS = 86_400.0


def start_only_if(fit: Callable[[], None]) -> None:
    """Have ``fit`` called when a worker starts; where it raises SettingsError the worker ends with its text."""

    def check(**_: Any) -> None:
        try:
            fit()
        except SettingsError as error:
            # Celery would only log an Exception out of a signal's receiver, and start.
            sys.exit(f"mailer: {error}")

    signals.celeryd_after_setup.connect(check, weak=False, dispatch_uid="mailer-fit")


def serve_only(lanes: Sequence[str]) -> None:
    """Have a worker end that was told to serve another queue (``-Q``): its mail would go past the account's rate."""

    def check(instance: Any, **_: Any) -> None:
        others = sorted(set(instance.app.amqp.queues.consume_from).difference(lanes))
        if others:
            sys.exit(f"mailer: {', '.join(others)}: no lane of MAILER_LANES. Serve {', '.join(lanes)}, or add it there")

    signals.celeryd_after_setup.connect(check, weak=False, dispatch_uid="mailer-lanes")


def tell_strangers(environment: Mapping[str, str]) -> None:
    """Have a worker log at its start which variables look like settings and are none."""

    def tell(**_: Any) -> None:
        for name in strangers(environment):
            logger.warning("%s is not a setting, so nothing reads it: correct its name, or remove it", name)

    signals.celeryd_after_setup.connect(tell, weak=False, dispatch_uid="mailer-strangers")


def prepare_before_the_first_message(prepare: Callable[[], None]) -> None:
    """Have ``prepare`` called where messages will be sent: in the worker's process, or in each child of prefork."""

    def in_worker(instance: Any, **_: Any) -> None:
        # Only the pool of forked children counts its places with a semaphore.
        if not instance.pool_cls.uses_semaphore:
            prepare()

    def in_child(**_: Any) -> None:
        prepare()

    signals.celeryd_after_setup.connect(in_worker, weak=False, dispatch_uid="mailer-prepare")
    signals.worker_process_init.connect(in_child, weak=False, dispatch_uid="mailer-prepare-child")


class LastFlush:
    """Settles on a connection of its own what no event loop settles any more."""

    def __init__(self, settings: Settings) -> None:
        keys = Keys.of(settings)
        unknown = {lane: settings.unknown_policy(lane) for lane in settings.lanes}
        # Made before the end: an embedded server that is stopped with us takes its address away first.
        self._client = connect(settings)
        self._prefix, self._hosts_key = keys.prefix, keys.hosts
        self._take = Take(
            keys,
            lanes_of(settings.lanes, unknown),
            settings.lease_seconds,
            record_hours=settings.record_hours,
            record_megabytes=settings.record_megabytes,
            replicas=settings.redis_replicas,
        )
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False

    @property
    def leases(self) -> Leases:
        return leases_of(self._prefix)

    def start(self, **_: Any) -> None:
        # An answer of Redis's that is still on its way brings nothing to begin.
        self.leases.fitness.rest(_LONGER_THAN_A_STOP_SECONDS)
        if self._thread is None:  # a second signal may follow the first
            self._thread = threading.Thread(target=self._until_stopped, name="last-flush", daemon=True)
            self._thread.start()

    def stop(self, sender: Any, **_: Any) -> None:
        """``sender`` is the worker's consumer."""
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
                self._client.hdel(self._hosts_key, sender.hostname)

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


def settle_to_the_last(settings: Settings) -> None:
    """From the moment a worker is told to stop, settle each send as it ends; at the end give back what never began.

    Without this the settlements of a warm shutdown would wait for the slowest send, and be lost to a SIGKILL.
    """
    flush = LastFlush(settings)
    signals.worker_shutting_down.connect(flush.start, weak=False, dispatch_uid="mailer-stopping")
    consumer_ended.connect(flush.stop, weak=False, dispatch_uid="mailer-stopped")
