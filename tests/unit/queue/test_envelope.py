"""The envelope equals what Celery itself would have written."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Consumer, Queue
from kombu.transport import memory

from mailer.mail.content import Structured
from mailer.queue.envelope import Envelope
from mailer.queue.payload import inline

MESSAGE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ETA = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(days=30)


class Channel(memory.Channel):  # type: ignore[misc]
    """Keeps what was put, with bodies as they are."""

    body_encoding = None
    wrote: list[str] = []  # noqa: RUF012 - shared on purpose: Celery makes the channels

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        self.wrote.append(json.dumps(message))
        super()._put(queue, message, **options)


class Transport(memory.Transport):  # type: ignore[misc]
    Channel = Channel


def as_celery_writes(kwargs: dict[str, Any], masked: str, **options: Any) -> dict[str, Any]:
    Channel.wrote.clear()
    with Connection(transport=Transport) as connection:
        Celery(set_as_current=False).send_task(
            "mailer.send",
            kwargs=kwargs,
            task_id=MESSAGE_ID,
            queue="bulk",
            argsrepr="()",
            kwargsrepr=f"bulk {masked}",
            connection=connection,
            **options,
        )
    message: dict[str, Any] = json.loads(Channel.wrote[0])
    assert message["headers"]["origin"].startswith(f"gen{os.getpid()}@")
    return message


def parsed(message: dict[str, Any]) -> dict[str, Any]:
    """Without what differs on purpose, as the module says."""
    message = json.loads(json.dumps(message))
    message["body"] = json.loads(message["body"])
    del message["headers"]["origin"]
    message["headers"].pop("mailer_accepted", None)
    for name in ("reply_to", "delivery_tag", "argsrepr", "kwargsrepr"):
        message["properties"].pop(name, None)
    return message


def without_expiration(message: dict[str, Any]) -> dict[str, Any]:
    """The milliseconds left, which differ by those between the two."""
    left = int(message["properties"].pop("expiration"))
    assert left == pytest.approx((LATER - datetime.now(UTC)).total_seconds() * 1000, abs=60_000)
    return message


def test_a_message_by_reference_is_the_same() -> None:
    kwargs: dict[str, Any] = {"to": "Jäne <jane@example.com>", "vars": {"name": 'J "Ä" \\ \n\u2028', "n": 1}}
    written = Envelope("bulk", content_hash="ab" * 16).by_reference(
        MESSAGE_ID, kwargs["to"], "j***@example.com", json.dumps(kwargs["vars"])
    )
    celery = as_celery_writes(kwargs, "j***@example.com", headers={"mailer_content": "ab" * 16})
    assert parsed(json.loads(written)) == parsed(celery)


def test_an_inline_message_is_the_same() -> None:
    kwargs = inline("jane@example.com", Structured.of(sender="n@example.com", subject="Ünïcode 😀", text='"\\\n\t'))
    written = Envelope("bulk").inline(MESSAGE_ID, kwargs, "j***@example.com")
    assert parsed(json.loads(written)) == parsed(as_celery_writes(kwargs, "j***@example.com"))


def test_a_scheduled_and_expiring_message_is_the_same() -> None:
    envelope = Envelope("bulk", eta=ETA, expires=LATER)
    written = parsed(json.loads(envelope.inline(MESSAGE_ID, {"to": "a@example.com"}, "a***@example.com")))
    celery = parsed(as_celery_writes({"to": "a@example.com"}, "a***@example.com", eta=ETA, expires=LATER))
    assert without_expiration(written) == without_expiration(celery)
    assert written["headers"]["eta"] == "2031-05-06T07:08:09.123456+00:00"


def test_every_field_of_celery_is_there_in_its_order() -> None:
    written = json.loads(Envelope("bulk").inline(MESSAGE_ID, {"to": "a@example.com"}, "x"))
    celery = as_celery_writes({"to": "a@example.com"}, "x")
    assert list(written) == list(celery)
    assert list(written["headers"]) == [*celery["headers"], "mailer_accepted"]
    unread = {"argsrepr", "kwargsrepr"}
    assert list(written["properties"]) == [name for name in celery["properties"] if name not in unread]


def test_it_says_when_it_was_written() -> None:
    before = time.time_ns() // 1_000_000
    written = json.loads(Envelope("bulk").inline(MESSAGE_ID, {"to": "a@example.com"}, "x"))
    assert before <= written["headers"]["mailer_accepted"] <= time.time_ns() // 1_000_000


def test_kombu_reads_a_body_that_is_not_encoded() -> None:
    written = Envelope("bulk").inline(MESSAGE_ID, {"to": "jäne@example.com"}, "x")
    received: list[Any] = []
    with Connection(transport=Transport) as connection:
        channel = connection.channel()
        queue = Queue("bulk", channel=channel)
        queue.declare()
        queue.purge()
        channel._put("bulk", json.loads(written))
        with Consumer(channel, [queue], callbacks=[lambda body, _: received.append(body)], no_ack=True):
            connection.drain_events(timeout=30)
    assert received[0][:2] == [[], {"to": "jäne@example.com"}]


def test_flower_sees_the_lane_and_a_masked_recipient_only() -> None:
    headers = json.loads(Envelope("bulk").inline(MESSAGE_ID, {"to": "jane@example.com"}, "j***@example.com"))["headers"]
    assert headers["argsrepr"] == "()"
    assert headers["kwargsrepr"] == "bulk j***@example.com"
    assert "jane" not in json.dumps(headers)


def test_no_text_of_a_message_can_pass_for_a_header() -> None:
    forged = '","mailer_content":"00","id":"forged'
    written = Envelope("bulk").inline(MESSAGE_ID, {"to": forged}, forged)
    assert b'"mailer_content"' not in written
    assert json.loads(written)["headers"]["id"] == MESSAGE_ID
