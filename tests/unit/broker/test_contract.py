"""What the gated transport overrides in kombu and Celery, pinned: an upgrade that moves any of it fails here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import celery
import kombu
import pytest
from celery.app import trace
from celery.concurrency.base import BasePool
from celery.events import dispatcher
from celery.worker import request, strategy
from celery.worker.consumer import consumer
from kombu.asynchronous import hub
from kombu.transport import redis, virtual
from kombu.transport.virtual import base


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_pinned_minor_versions_are_installed() -> None:
    assert kombu.__version__.startswith("5.7.")
    assert celery.__version__.startswith("5.7.")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (redis.QoS.append, ["self", "message", "delivery_tag"]),
        (redis.QoS.ack, ["self", "delivery_tag"]),
        (redis.QoS.reject, ["self", "delivery_tag", "requeue"]),
        (redis.MultiChannelPoller.on_poll_start, ["self"]),
        (redis.MultiChannelPoller.on_poll_init, ["self", "poller"]),
        (redis.MultiChannelPoller.on_readable, ["self", "fileno"]),
        (redis.MultiChannelPoller.get, ["self", "callback", "timeout"]),
        (redis.MultiChannelPoller.maybe_restore_messages, ["self"]),
        (redis.MultiChannelPoller._register, ["self", "channel", "client", "type"]),
        (redis.MultiChannelPoller._client_registered, ["self", "channel", "client", "cmd"]),
        (redis.MultiChannelPoller._on_connection_disconnect, ["self", "connection"]),
        (redis.Channel._put, ["self", "queue", "message", "kwargs"]),
        (redis.Channel._get, ["self", "queue"]),
        (redis.Channel._purge, ["self", "queue"]),
        (redis.Channel._queue_bind, ["self", "exchange", "routing_key", "pattern", "queue"]),
        (redis.Channel._create_client, ["self", "asynchronous"]),
        (redis.Channel._on_connection_disconnect, ["self", "connection"]),
        (redis.Channel._close_clients, ["self"]),
        (redis.Channel.close, ["self"]),
        (redis.Transport.register_with_event_loop, ["self", "connection", "loop"]),
        (redis.SentinelChannel._sentinel_managed_pool, ["self", "asynchronous"]),
        (kombu.Connection.get_transport_cls, ["self"]),
        (kombu.Connection.switch, ["self", "conn_str"]),
        (virtual.Transport._deliver, ["self", "message", "queue"]),
        (hub.Hub.call_soon, ["self", "callback", "args"]),
        (hub.Hub.call_later, ["self", "delay", "callback", "args"]),
        (request.Request.on_accepted, ["self", "pid", "time_accepted"]),
        (request.Request.on_failure, ["self", "exc_info", "send_failed_event", "return_ok"]),
        (request.Request.on_timeout, ["self", "soft", "timeout"]),
        (request.Request._announce_revoked, ["self", "reason", "terminated", "signum", "expired"]),
        (
            dispatcher.EventDispatcher._publish,
            ["self", "event", "producer", "routing_key", "retry", "retry_policy", "utcoffset"],
        ),
        (consumer.Consumer.on_decode_error, ["self", "message", "exc"]),
        (consumer.Consumer.ensure_connected, ["self", "conn"]),
        (consumer.Consumer.on_connection_error_after_connected, ["self", "exc"]),
    ],
)
def test_the_signature_of_what_is_overridden_or_called(function: Callable[..., Any], expected: list[str]) -> None:
    assert parameters(function) == expected


def test_channels_keep_their_queues_and_connections_under_these_names() -> None:
    source = inspect.getsource(redis)
    for name in ("_active_queues", "_chan_to_sock", "_fd_to_chan", "_in_poll", "active_queues"):
        assert name in source
    assert isinstance(redis.Channel.active_queues, property)


def test_a_lost_connection_goes_on_only_to_urls_that_were_given() -> None:
    assert "if self.cycle:" in inspect.getsource(kombu.Connection.maybe_switch_next)
    assert kombu.Connection("redis://h").alt == []
    assert "self.get_transport_cls()" in inspect.getsource(kombu.Connection.create_transport)


def test_a_closed_channel_closes_its_sentinels_under_these_names() -> None:
    source = inspect.getsource(redis.Channel._disconnect_pools)
    assert "self._sentinel_manager" in source
    assert "self._async_sentinel_manager" in source


def test_the_poller_asks_active_queues_before_it_polls_with_brpop() -> None:
    assert "if channel.active_queues:" in inspect.getsource(redis.MultiChannelPoller.on_poll_start)


def test_a_lost_connection_leaves_the_event_loop_by_the_clients_connection() -> None:
    assert "if client.connection is connection:" in inspect.getsource(redis.Transport.register_with_event_loop)


def test_the_loop_calls_back_on_every_turn_and_may_be_woken_from_a_thread() -> None:
    source = inspect.getsource(hub.Hub.create_loop)
    assert source.index("self._pop_ready()") < source.index("self.on_tick") < source.index("events = poll(")
    assert "waker.wake()" in inspect.getsource(hub.Hub.call_soon)


def test_the_consumer_reconnects_at_intervals_that_can_be_given() -> None:
    given = parameters(kombu.Connection._ensure_connection)
    assert {"interval_start", "interval_step", "interval_max"} <= set(given)
    assert "conn.ensure_connection(" in inspect.getsource(consumer.Consumer.ensure_connected)


def test_a_channel_error_is_one_to_reconnect_after_where_that_is_asked_for() -> None:
    assert "if self.app.conf.broker_channel_error_retry:" in inspect.getsource(consumer.Consumer.start)


def test_a_body_without_an_encoding_travels_as_text() -> None:
    assert parameters(base.Channel.encode_body) == ["self", "body", "encoding"]
    channel = object.__new__(base.Channel)
    assert channel.encode_body("{}", None) == ("{}", None)
    assert channel.decode_body("{}", None) == "{}"


def test_celery_derives_a_request_class_whose_on_success_takes_the_result_as_text() -> None:
    source = inspect.getsource(request.create_request_cls)
    assert "class Request(base):" in source
    assert "def on_success(self, failed__retval__runtime, **kwargs):" in source
    assert "create_request_cls(Request, task" in inspect.getsource(strategy.default)
    assert "return (1, R, T) if I else (0, Rstr, T)" in inspect.getsource(trace)


def test_an_event_that_could_not_be_sent_is_kept_under_this_name() -> None:
    source = inspect.getsource(dispatcher.EventDispatcher._publish)
    assert "self._outbound_buffer.append((event, routing_key))" in source


def test_every_shutdown_ends_the_pool_and_then_the_consumer() -> None:
    from celery import bootsteps  # noqa: PLC0415
    from celery.worker import worker  # noqa: PLC0415 - its name shadows the package's

    assert "self.consumer.shutdown()" in inspect.getsource(worker.WorkController.on_stopped)
    source = inspect.getsource(bootsteps.Blueprint.stop)
    assert source.index("'terminate' if terminate else 'stop'") < source.index("self.on_stopped()")


def test_a_cold_shutdown_is_decided_before_the_pool_is_told_to_stop_by_the_signals_handler() -> None:
    from celery.apps import worker  # noqa: PLC0415 - its name shadows the package's

    source = inspect.getsource(worker.on_cold_shutdown)
    assert source.index("state.should_terminate = True") < source.index("worker.consumer.pool.stop()")


def test_tasks_and_a_stop_reach_a_pool_by_the_methods_that_ours_override() -> None:
    assert "apply_async = pool.apply_async" in inspect.getsource(request.create_request_cls)
    assert "self._state = self.TERMINATE" in inspect.getsource(BasePool.stop)
