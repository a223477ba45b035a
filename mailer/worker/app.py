"""The Celery application, configured for the gated transport."""

from __future__ import annotations

import logging
import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from mailer.broker import transport  # noqa: F401 - registers the transport with kombu
from mailer.queue.connection import redis_url
from mailer.queue.keys import Keys
from mailer.queue.sentinels import Place
from mailer.ses.transports import check_host
from mailer.settings import Settings
from mailer.worker import alive, control, lifecycle, limits, masking
from mailer.worker.door import Door

DEFAULT_THREADS = 32


class Application(Celery):
    """Celery, sure of where mail is, and of its time zone.

    Celery lets its own variables and ``celery -b`` outrank what an application is given, which our producers read
    nothing of. The time zone it asks for at every message, through several layers of settings.
    """

    amqp_cls = "mailer.worker.amqp:AMQP"
    events_cls = "mailer.worker.events:Events"
    registry_cls = "mailer.worker.registry:Registry"
    # Results are the records. Celery would open the one of CELERY_RESULT_BACKEND.
    backend_cls = "disabled"

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(url or self.conf["broker_url"], **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(url or self.conf["broker_url"], **options)

    def connection(self, hostname: str | None = None, *rest: Any, **options: Any) -> Any:
        return super().connection(hostname or self.conf["broker_url"], *rest, **options)

    def uses_utc_timezone(self) -> bool:
        return True


def open_app(settings: Settings) -> Celery:
    """A Celery application over the account's lanes, with no task: to ask workers, and to command them.

    Raises SettingsError when Redis is not configured. Opens no connection.
    """
    # Neither the loader that CELERY_LOADER names nor what Celery does where it meets a DJANGO_SETTINGS_MODULE.
    app = Application("mailer", set_as_current=False, loader="celery.loaders.app:AppLoader", fixups=())
    app.conf.update(configuration(settings))
    return app


def create_app(settings: Settings) -> Celery:
    """The same with the task ``mailer.send``, and with what a worker does beside it: this connects to Celery's signals
    and to the log, so a process makes one.

    Raises SettingsError also when the way to SES cannot be used.
    """
    app = open_app(settings)
    door = app.register_task(Door(settings))
    lifecycle.start_only_if(lambda: check_host(door.transport))
    lifecycle.serve_only(settings.lanes)
    lifecycle.tell_strangers(os.environ)
    lifecycle.prepare_before_the_first_message(door.prepare)
    masking.install()
    control.install()
    # Each minute's GetAccount would have it say twice where it found credentials.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    limits.keep_fresh(settings, door.transport.credentials)
    lifecycle.settle_to_the_last(settings)
    alive.show(settings.alive_dir)
    return app


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's settings. All of it can be printed: ``celery inspect`` does."""
    url, name, ssl = broker(settings)
    return {
        "broker_url": url,
        "broker_transport": name,
        "broker_use_ssl": ssl,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A Redis that refuses to write (a replica after a failover, a full disk) is one to come back to, not to die of.
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            "global_keyprefix": Keys.of(settings).prefix,
            "lanes": list(settings.lanes),
            "unknown": {lane: settings.unknown_policy(lane) for lane in settings.lanes},
            "lease_seconds": settings.lease_seconds,
            "answer_seconds": settings.answer_seconds,
            "record_hours": settings.record_hours,
            "record_megabytes": settings.record_megabytes,
            "replicas": settings.redis_replicas,
            "socket_timeout": settings.redis_timeout_seconds,
            "socket_connect_timeout": settings.redis_timeout_seconds,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "client_name": "mailer-worker",
            **_sentinels(settings),
        },
        "task_queues": [Queue(lane, Exchange(lane), routing_key=lane) for lane in settings.lanes],
        "task_default_queue": settings.lanes[0],
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_ignore_result": True,
        "worker_concurrency": DEFAULT_THREADS,
        # As many as there are free threads, never more: a message that waits in a worker wastes its permit.
        "worker_prefetch_multiplier": 1,
        "worker_disable_rate_limits": True,
        "worker_consumer": "mailer.worker.consumer:Consumer",
        # Leases count what is still being sent after a reconnect.
        "worker_enable_prefetch_count_reduction": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def broker(settings: Settings) -> tuple[str, str, dict[str, Any] | None]:
    """Celery's ``broker_url``, ``broker_transport`` and ``broker_use_ssl``."""
    url = redis_url(settings)
    if url.startswith("unix://"):
        return "gated+socket://" + url.removeprefix("unix://"), "gated", None
    if url.startswith("sentinel://"):
        # One URL, whatever the number of sentinels: kombu goes on to the next by the transport of that one's scheme.
        return Place.of(url).url, "gated-sentinel", None
    if url.startswith("rediss://") and "ssl_cert_reqs" not in url:
        return url, "gated", {"ssl_cert_reqs": "required"}
    return url, "gated", None


def _sentinels(settings: Settings) -> dict[str, Any]:
    url = redis_url(settings)
    if not url.startswith("sentinel://"):
        return {}
    return {"master_name": settings.redis_sentinel_master, "sentinels": [list(at) for at in Place.of(url).sentinels]}
