"""The Celery application, configured for the gated transport, and with one task."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.app.registry import TaskRegistry
from celery.loaders.app import AppLoader
from kombu import Exchange, Queue

from mailer.broker import transport  # noqa: F401 - registers the transport with kombu
from mailer.queue.connection import redis_url
from mailer.queue.headers import TASK
from mailer.queue.keys import Keys
from mailer.queue.leases import Leases
from mailer.queue.sentinels import SentinelUrl
from mailer.settings import Settings
from mailer.worker.door import Door
from mailer.worker.lifecycle import Lifecycle


class Loader(AppLoader):
    """Celery's loader. It has each forked child prepare to send."""

    def on_worker_process_init(self) -> None:
        self.app.tasks[TASK].prepare()


class Registry(TaskRegistry):
    """Keeps ``mailer.send`` and ignores every other task. Celery's own are ignored, as ``celery.map`` and its like run
    any task that a producer names. So are the tasks that other libraries share with all applications."""

    def __setitem__(self, name: str, task: Any) -> None:
        if name == TASK:
            super().__setitem__(name, task)


class Application(Celery):
    """Celery over one account's lanes, without a task. It inspects workers and sends them commands. Making one opens
    no connection.

    The broker and the time zone are fixed here. Celery lets its own variables and ``celery -b`` override an
    application's broker, but our producers do not read those. Celery asks for the time zone at every message, through
    several layers of settings.

    Raises SettingsError when Redis is not configured.
    """

    amqp_cls = "mailer.worker.amqp:AMQP"
    events_cls = "mailer.worker.amqp:Events"
    log_cls = "mailer.worker.masking:Logging"
    registry_cls = Registry
    # The queue's records are the results. Without this Celery would open CELERY_RESULT_BACKEND.
    backend_cls = "disabled"

    def __init__(self, settings: Settings) -> None:
        # Not the loader that CELERY_LOADER names, and not the fixup that Celery applies for DJANGO_SETTINGS_MODULE.
        super().__init__("mailer", set_as_current=False, loader=Loader, fixups=())
        self.settings = settings
        self._leases = (os.getpid(), Leases())
        self.conf.update(configuration(settings))

    @property
    def leases(self) -> Leases:
        """The messages that this process has taken with this application. A forked child starts without any."""
        if self._leases[0] != os.getpid():
            self._leases = (os.getpid(), Leases())
        return self._leases[1]

    def connection_for_read(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_read(url or self.conf["broker_url"], **options)

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        return super().connection_for_write(url or self.conf["broker_url"], **options)

    def connection(self, hostname: str | None = None, *rest: Any, **options: Any) -> Any:
        return super().connection(hostname or self.conf["broker_url"], *rest, **options)

    def uses_utc_timezone(self) -> bool:
        return True


def create_app(settings: Settings) -> Application:
    """An `Application` with the task ``mailer.send`` and the step `Lifecycle`. A process may have several.

    Raises SettingsError when Redis is not configured, or when the transport to SES cannot be used.
    """
    app = Application(settings)
    app.register_task(Door(settings))
    app.steps["worker"].add(Lifecycle)
    return app


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's settings. They hold no secret in plain sight, as ``celery inspect`` prints them all."""
    url, name, ssl, sentinels = _broker(settings)
    return {
        "broker_url": url,
        "broker_transport": name,
        "broker_use_ssl": ssl,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # Redis may refuse writes for a while (a replica after a failover, a full disk). The worker must survive that.
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            "global_keyprefix": Keys.of(settings).prefix,
            "rules": settings.as_json(),
            "socket_timeout": settings.redis_timeout_seconds,
            "socket_connect_timeout": settings.redis_timeout_seconds,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "client_name": "mailer-worker",
            **sentinels,
        },
        "task_queues": [Queue(lane, Exchange(lane), routing_key=lane) for lane in settings.lanes],
        "task_default_queue": settings.lanes.most_urgent,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_ignore_result": True,
        "worker_concurrency": 32,
        # As many as there are free threads. A message that waits in a worker wastes its permit.
        "worker_prefetch_multiplier": 1,
        "worker_disable_rate_limits": True,
        "worker_consumer": "mailer.worker.consumer:Consumer",
        # After a reconnect the leases count the sends that are still running.
        "worker_enable_prefetch_count_reduction": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _broker(settings: Settings) -> tuple[str, str, dict[str, Any] | None, dict[str, Any]]:
    """Celery's ``broker_url``, ``broker_transport`` and ``broker_use_ssl``, and the transport options for sentinels."""
    url = redis_url(settings)
    if url.startswith("unix://"):
        return "gated+socket://" + url.removeprefix("unix://"), "gated", None, {}
    if url.startswith("sentinel://"):
        # One URL for all sentinels. With several, kombu would try the next with the transport of that URL's scheme.
        place = SentinelUrl.of(url)
        options = {"master_name": settings.redis_sentinel_master, "sentinels": list(map(list, place.sentinels))}
        return place.url, "gated-sentinel", None, options
    ssl = {"ssl_cert_reqs": "required"} if url.startswith("rediss://") and "ssl_cert_reqs" not in url else None
    return url, "gated", ssl, {}
