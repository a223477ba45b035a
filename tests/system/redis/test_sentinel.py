"""Sentinels: no way from the gated transport into kombu's own, which takes mail from its lanes past the account."""

from __future__ import annotations

from typing import Any

import kombu
import pytest
from celery import Celery

from mailer.broker.transport import Channel, SentinelChannel, Transport
from mailer.errors import SettingsError
from mailer.queue.connection import redis_url
from mailer.queue.sentinels import SentinelUrl
from mailer.settings import load
from mailer.worker.app import configuration, create_app

SENTINELS = "sentinel://one:26379;sentinel://us%40er:pass%2Fword@two:26380/3;sentinel://three"


def application(url: str) -> Celery:
    return create_app(load(redis_url=url, redis_sentinel_master="post"))


def connections(app: Celery) -> list[kombu.Connection]:
    return [app.connection_for_read(), app.connection_for_write(), app.connection_for_read().clone()]


@pytest.mark.parametrize(
    ("url", "channel"),
    [
        ("redis://h:1/0", Channel),
        ("rediss://h:1/0", Channel),
        ("unix:///run/valkey.sock", Channel),
        ("sentinel://h:1/0", SentinelChannel),
        (SENTINELS, SentinelChannel),
    ],
)
def test_whatever_connection_is_lost_the_next_one_is_gated(url: str, channel: type) -> None:
    for connection in connections(application(url)):
        for _ in range(4):
            transport = connection.transport
            assert isinstance(transport, Transport)
            assert transport.Channel is channel
            # What kombu does when a connection is lost, or cannot be made.
            connection.maybe_switch_next()
            connection.collect()


@pytest.mark.parametrize(
    "url", [["redis://a", "redis://b"], "redis://a;redis://b", "sentinel://a;sentinel://b", "gated://a;redis://b"]
)
def test_celery_is_given_no_url_to_go_on_to(url: Any) -> None:
    app = application("redis://h:1/0")
    with pytest.raises(SettingsError, match="more than one broker URL"):
        app.connection_for_read(url)


@pytest.mark.parametrize("url", ["redis+socket:///run/valkey.sock", "redis://h:2/0", "sentinel://h:2/0", "memory://"])
def test_a_broker_over_another_transport_is_refused_by_its_name(url: str) -> None:
    app = application("redis://h:1/0")
    app.conf.broker_transport = None
    connection = app.connection_for_read(url)
    with pytest.raises(SettingsError, match="past the account's rate"):
        connection.channel()


def test_a_switch_that_is_told_by_hand_is_refused_too() -> None:
    connection = application("redis://h:1/0").connection_for_read()
    connection.switch("redis://h:2/0")
    with pytest.raises(SettingsError, match="transport redis"):
        connection.channel()


@pytest.mark.parametrize("url", ["gated://127.0.0.1:1/0", "gated-sentinel://127.0.0.1:1/0"])
def test_the_gated_transport_without_the_option_lanes_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="lanes"):
        kombu.Connection(url, transport_options={"master_name": "post"}).channel()


def test_more_than_one_redis_is_refused_by_name() -> None:
    for url in ("redis://a:6379/0;redis://b:6379/0", "sentinel://a;redis://b", "redis://a;sentinel://b"):
        with pytest.raises(SettingsError, match="for sentinels only"):
            redis_url(load(redis_url=url))


def test_all_sentinels_are_asked_and_the_login_and_the_database_are_those_of_any_of_them() -> None:
    named = SentinelUrl.of(SENTINELS)
    assert named.sentinels == (("one", 26379), ("two", 26380), ("three", 26379))
    assert (named.username, named.password, named.database) == ("us@er", "pass/word", 3)
    app = application(SENTINELS)
    assert app.conf.broker_transport_options["sentinels"] == [["one", 26379], ["two", 26380], ["three", 26379]]
    connection = app.connection_for_read()
    assert (connection.hostname, connection.port, connection.virtual_host) == ("one", 26379, "3")
    assert (connection.userid, connection.password) == ("us@er", "pass/word")


def test_an_operators_application_has_no_other_url_either() -> None:
    with Celery("operator", set_as_current=False) as app:
        app.conf.update(configuration(load(redis_url=SENTINELS, redis_sentinel_master="post")))
        connection = app.connection_for_read()
        connection.maybe_switch_next()
        assert issubclass(connection.get_transport_cls(), Transport)
