"""`send` and `send_many`, over a real Valkey."""

from __future__ import annotations

import os
import re
import resource
import tempfile
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from markupsafe import Markup

import mailer
from mailer.errors import InvalidMessage, MailerError, QueueUnavailable, Unwritable
from mailer.mail.attachment import Attachment
from mailer.mail.recipient import Recipient
from mailer.producer.producer import Producer
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings, load
from tests.support.content import structured
from tests.unit.producer.conftest import Account

LETTER: dict[str, Any] = {"sender": "News <news@example.com>", "subject": "Hello", "text": "Hi"}
NEWS: dict[str, Any] = {"sender": "news@example.com", "subject": "Hello {{ name }}", "html": "<p>{{ name }}</p>"}
NOW = datetime.now(UTC)


def people(number: int, bad: tuple[int, ...] = ()) -> Iterator[Recipient]:
    for row in range(number):
        yield Recipient("nobody" if row in bad else f"user{row}@example.com", {"name": f"User {row}"})


# send


def test_one_recipient_gives_one_id(producer: Producer, account: Account) -> None:
    message_id = producer.send(to="Jäne <jane@example.com>", **LETTER)
    [message] = account.messages("transactional")
    assert isinstance(message_id, str)
    assert message.id == message_id
    assert (message.recipient.header, structured(message).subject, structured(message).text) == (
        "=?utf-8?b?SsOkbmU=?= <jane@example.com>",
        "Hello",
        "Hi",
    )


def test_several_recipients_become_one_message_each(producer: Producer, account: Account) -> None:
    ids = producer.send(to=["a@example.com", "b@example.com"], **LETTER)
    messages = account.messages("transactional")
    assert [message.id for message in messages] == ids
    assert [message.recipient.header for message in messages] == ["a@example.com", "b@example.com"]


def test_every_field_arrives(producer: Producer, account: Account) -> None:
    producer.send(
        to="jane@example.com",
        **LETTER,
        html="<p>Hi</p>",
        reply_to="help@example.com",
        headers={"X-A": "1"},
        attachments=[Attachment("a.bin", os.urandom(100))],
        configuration_set="main",
        tags={"campaign": "spring"},
        lane="bulk",
        list_unsubscribe="https://example.com/u",
    )
    content = structured(*account.messages("bulk"))
    assert content.reply_to == ("help@example.com",)
    assert [name for name, _ in content.headers] == ["X-A", "List-Unsubscribe", "List-Unsubscribe-Post"]
    assert content.attachments[0].filename == "a.bin"
    assert (content.configuration_set, content.tags) == ("main", (("campaign", "spring"),))


def test_without_variables_braces_are_just_text(producer: Producer, account: Account) -> None:
    producer.send(to="jane@example.com", **LETTER | {"subject": "{{ name }}"})
    assert structured(*account.messages("transactional")).subject == "{{ name }}"


def test_with_variables_templates_are_rendered_before_the_queue(producer: Producer, account: Account) -> None:
    producer.send(
        to="jane@example.com",
        **NEWS,
        variables={"name": "J & J"},
        list_unsubscribe="https://e.com/{{ name | urlencode }}",
    )
    content = structured(*account.messages("transactional"))
    assert (content.subject, content.html) == ("Hello J & J", "<p>J &amp; J</p>")
    assert content.headers[0] == ("List-Unsubscribe", "<https://e.com/J%20%26%20J>")
    assert "name" not in account.envelopes("transactional")[0]["body"]


def test_a_large_message_is_stored_once_for_all_its_recipients(producer: Producer, account: Account) -> None:
    producer.send(to=["a@example.com", "b@example.com"], **LETTER | {"text": "x" * 5000})
    envelopes = account.envelopes("transactional")
    digest = envelopes[0]["headers"]["mailer_content"]
    assert account.client.hgetall(account.keys.references) == {digest.encode(): b"2"}
    assert all(len(envelope["body"]) < 300 for envelope in envelopes)
    assert structured(account.messages("transactional")[1]).text == "x" * 5000


def test_a_small_message_needs_no_stored_content(producer: Producer, account: Account) -> None:
    producer.send(to="jane@example.com", **LETTER)
    assert "mailer_content" not in account.envelopes("transactional")[0]["headers"]
    assert not account.client.exists(account.keys.content)


def test_a_send_is_one_round_trip(producer: Producer, account: Account) -> None:
    producer.send(to="warm@example.com", **LETTER)
    before = int(account.client.info("commandstats")["cmdstat_evalsha"]["calls"])
    producer.send(to=[f"u{i}@example.com" for i in range(100)], **LETTER | {"text": "x" * 5000})
    assert int(account.client.info("commandstats")["cmdstat_evalsha"]["calls"]) == before + 1


def test_the_same_key_gives_the_first_id_and_enqueues_nothing(producer: Producer, account: Account) -> None:
    first = producer.send(to=["a@example.com", "b@example.com"], **LETTER, idempotency_key="order-7")
    again = producer.send(to=["b@example.com", "c@example.com"], **LETTER, idempotency_key="order-7")
    assert again[0] == first[1]
    assert again[1] not in first
    assert len(account.messages("transactional")) == 3
    assert producer.send(to="b@EXAMPLE.com", **LETTER, idempotency_key="order-7") == first[1]


def test_send_at_goes_to_the_schedule(producer: Producer, account: Account) -> None:
    when = NOW + timedelta(hours=2, microseconds=7)
    producer.send(to="jane@example.com", **LETTER, send_at=when, expires_at=when + timedelta(hours=1))
    assert account.envelopes("transactional") == []
    scheduled: Any = account.client.zrange(account.keys.schedule, 0, -1, withscores=True)
    [(member, score)] = scheduled
    assert score == (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert when.isoformat().encode() in member


def test_send_at_in_the_past_is_at_once(producer: Producer, account: Account) -> None:
    producer.send(to="jane@example.com", **LETTER, send_at=NOW - timedelta(days=1))
    [envelope] = account.envelopes("transactional")
    assert envelope["headers"]["eta"] is None


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("to", {"to": ""}),
        ("to", {"to": []}),
        ("to", {"to": {"a@example.com"}}),
        ("to", {"to": [f"u{i}@example.com" for i in range(1001)]}),
        ("to", {"to": "a@example.com, b@example.com"}),
        ("to[1]", {"to": ["a@example.com", "b"]}),
        ("to[1]", {"to": ["a@example.com", "A <a@EXAMPLE.com>"]}),
        ("text", {"text": None}),
        ("lane", {"lane": "urgent"}),
        ("send_at", {"send_at": datetime(2030, 1, 1)}),  # noqa: DTZ001 - naive is the point
        ("send_at", {"send_at": "tomorrow"}),
        ("send_at", {"send_at": NOW + timedelta(days=4000)}),
        ("expires_at", {"expires_at": datetime(2030, 1, 1)}),  # noqa: DTZ001
        ("expires_at", {"expires_at": NOW - timedelta(hours=1)}),
        ("expires_at", {"expires_at": NOW + timedelta(hours=1), "send_at": NOW + timedelta(hours=2)}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": 7}),
        ("variables", {"variables": {}, "subject": "{{ name }}"}),
        ("variables[when]", {"variables": {"when": NOW}}),
        ("subject", {"variables": {"name": "a\nb"}, "subject": "{{ name }}"}),
        ("subject", {"subject": "{{", "variables": {}}),
        ("headers[X-A]", {"headers": {"X-A": "a\nb"}}),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_enqueued(
    producer: Producer, account: Account, field: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        producer.send(**{"to": "jane@example.com", **LETTER, **arguments})
    assert caught.value.field == field
    assert account.is_untouched()


# send_many


def test_each_recipient_gets_their_own_variables(producer: Producer, account: Account) -> None:
    rows: list[Any] = [
        Recipient("a@example.com", {"name": "A & Co"}),
        {"to": "B <b@example.com>", "variables": {"name": "B"}},
    ]
    result = producer.send_many(rows, **NEWS)
    messages = account.messages("bulk")
    assert [message.id for message in messages] == list(result.ids)
    assert [(each.recipient.header, structured(each).subject, structured(each).html) for each in messages] == [
        ("a@example.com", "Hello A & Co", "<p>A &amp; Co</p>"),
        ("B <b@example.com>", "Hello B", "<p>B</p>"),
    ]
    assert (result.accepted, result.duplicates, result.invalid) == (2, 0, 0)


def test_variables_that_kombu_would_read_as_something_else_are_refused(producer: Producer, account: Account) -> None:
    with pytest.raises(InvalidMessage, match="which kombu reserves"):
        producer.send_many([Recipient("a@example.com", {"__type__": "bytes", "__value__": "x"})], **LETTER)
    assert account.is_untouched()


class Colour(str, Enum):  # noqa: UP042 - its text is not its value, unlike a StrEnum's
    RED = "red"


@pytest.mark.parametrize(
    ("name", "template"),
    [
        (defaultdict(str, first="Jane"), "{{ name.first }} {{ name.last }}"),
        (Colour.RED, "{{ name.value }}"),
    ],
)
def test_what_only_python_has_is_missing_at_the_producer_already(
    producer: Producer, account: Account, name: Any, template: str
) -> None:
    letter: Any = {"sender": "me@example.com", "subject": "Hello", "text": template}
    with pytest.raises(InvalidMessage, match="lack what text asks for"):
        producer.send_many([Recipient("a@example.com", {"name": name})], **letter)
    with pytest.raises(InvalidMessage, match="lack what text asks for"):
        producer.send(to="a@example.com", variables={"name": name}, **letter)
    assert account.is_untouched()


@pytest.mark.parametrize(("name", "shown"), [(Colour.RED, "red"), (Markup("<b>"), "&lt;b&gt;"), (2**70, str(2**70))])
def test_send_and_send_many_render_alike(producer: Producer, account: Account, name: Any, shown: str) -> None:
    letter: Any = {"sender": "me@example.com", "subject": "Hello", "html": "<p>{{ name }}</p>"}
    producer.send_many([Recipient("a@example.com", {"name": name})], lane="bulk", **letter)
    producer.send(to="a@example.com", variables={"name": name}, lane="bulk", **letter)
    assert [structured(message).html for message in account.messages("bulk")] == [f"<p>{shown}</p>"] * 2


def test_plain_addresses_do_where_there_are_no_variables(producer: Producer, account: Account) -> None:
    assert producer.send_many(["a@example.com", "b@example.com"], **LETTER).accepted == 2
    assert len(account.messages("bulk")) == 2


def test_no_recipients_enqueue_nothing(producer: Producer, account: Account) -> None:
    assert len(producer.send_many([], **NEWS).ids) == 0
    assert account.is_untouched()


def test_content_is_stored_once_and_counted(producer: Producer, account: Account) -> None:
    producer.send_many(people(1000), **NEWS)
    [(digest, count)] = account.client.hgetall(account.keys.references).items()
    assert int(count) == 1000
    assert account.client.hkeys(account.keys.content) == [digest]


@pytest.mark.parametrize("bad_row", [0, 700, 999])
def test_one_bad_row_and_nothing_is_enqueued(producer: Producer, account: Account, bad_row: int) -> None:
    with pytest.raises(InvalidMessage) as caught:
        producer.send_many(people(1000, (bad_row,)), **NEWS)
    assert (caught.value.row, caught.value.field) == (bad_row, "to")
    assert account.is_untouched()


@pytest.mark.parametrize(
    ("field", "row"),
    [
        ("to", 5),
        ("to", {"variables": {"name": "x"}}),
        ("to", {"to": None, "variables": {"name": "x"}}),
        ("name", {"to": "a@example.com", "name": "x"}),
        ("variables", "a@example.com"),
        ("variables", Recipient("a@example.com", {"other": "x"})),
        ("variables[name]", Recipient("a@example.com", {"name": float("nan")})),
        ("variables", Recipient("a@example.com", {"name": "\ud800"})),
        ("variables", Recipient("a@example.com", {"name": "x", "more": "x" * 300_000})),
        ("variables", Recipient("a@example.com", {"name": "x", 1: "x"})),  # type: ignore[dict-item]
        ("variables[name]", Recipient("a@example.com", {"name": NOW})),
        ("variables[name]", Recipient("a@example.com", {"name": {"__type__": "bytes", "__value__": "x"}})),
        ("variables[name]", Recipient("a@example.com", {"name": {1: "x"}})),
        ("subject", Recipient("a@example.com", {"name": "a\r\nBcc: eve@example.com"})),
        ("idempotency_key", Recipient("a@example.com", {"name": "x"}, "")),
        ("idempotency_key", Recipient("a@example.com", {"name": "x"}, "\ud800")),
    ],
)
def test_a_bad_row_is_refused_by_name(producer: Producer, account: Account, field: str, row: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        producer.send_many([row], **NEWS)
    assert (caught.value.field, caught.value.row) == (field, 0)
    assert account.is_untouched()


def test_bad_rows_can_be_skipped_and_reported(producer: Producer, account: Account) -> None:
    reported: list[InvalidMessage] = []
    result = producer.send_many(people(600, (3, 599)), **NEWS, on_invalid="skip", on_invalid_row=reported.append)
    assert (result.accepted, result.invalid) == (598, 2)
    assert [error.row for error in reported] == [error.row for error in result.errors] == [3, 599]
    assert [message.id for message in account.messages("bulk")] == list(result.ids)


def test_rows_that_break_off_say_how_many_were_enqueued_before(producer: Producer, account: Account) -> None:
    def torn() -> Iterator[Recipient]:
        yield from people(600)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone") as broken:
        producer.send_many(torn(), **NEWS, on_invalid="skip")
    enqueued = len(account.messages("bulk"))
    assert 0 < enqueued < 600
    assert broken.value.__notes__[0].startswith(f"{enqueued} messages of this call were enqueued before.")


def test_only_the_first_errors_are_kept(producer: Producer) -> None:
    result = producer.send_many(["nobody"] * 250, **LETTER, on_invalid="skip")
    assert (result.invalid, len(result.errors)) == (250, 100)


def test_a_repeated_send_many_returns_the_first_ids(producer: Producer, account: Account) -> None:
    rows = [Recipient(f"user{row}@example.com", {"name": "x"}, f"spring-{row}") for row in range(600)]
    first = producer.send_many(rows[:500], **NEWS)
    again = producer.send_many(rows, **NEWS)
    assert (again.accepted, again.duplicates) == (100, 500)
    assert again.ids[:500] == list(first.ids)
    assert account.client.llen(account.keys.lane("bulk")) == 600
    assert account.client.hvals(account.keys.references) == [b"600"]


def test_progress_is_told_and_ends_with_all(producer: Producer) -> None:
    for on_invalid in ("raise", "skip"):
        told: list[tuple[int, int]] = []
        producer.send_many(
            people(1000),
            **NEWS,
            on_invalid=on_invalid,
            progress=lambda *at, told=told: told.append(at),
        )
        assert told[-1] == (1000, 1000)
        assert told == sorted(told)
        assert len(told) >= 4


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("html", {"html": "{{"}),
        ("lane", {"lane": "urgent"}),
        ("on_invalid", {"on_invalid": "ignore"}),
        ("list_unsubscribe", {"list_unsubscribe": "ftp://{{ name }}"}),
        ("list_unsubscribe", {"list_unsubscribe": "ftp://example.com", "subject": "Hi", "recipients": []}),
        ("headers[X-A]", {"headers": {"X-A": "a" * 1000}, "subject": "Hi", "recipients": []}),
        ("subject", {"subject": "a\nb", "recipients": []}),
        ("recipients", {"recipients": "a@example.com"}),
        ("recipients", {"recipients": None}),
        ("recipients", {"recipients": {"a@example.com": {}}}),
    ],
)
def test_bad_arguments_are_refused_whatever_on_invalid_says(
    producer: Producer, account: Account, field: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        producer.send_many(**{"recipients": people(3), **NEWS, **arguments})
    assert caught.value.field == field
    assert account.is_untouched()


def test_an_exception_from_the_callers_rows_enqueues_nothing(producer: Producer, account: Account) -> None:
    def rows() -> Iterator[Recipient]:
        yield from people(600)
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError):
        producer.send_many(rows(), **NEWS)
    assert account.is_untouched()


def test_a_long_stream_takes_constant_memory(producer: Producer) -> None:
    def peak(number: int) -> int:
        tracemalloc.reset_peak()
        producer.send_many(people(number), **NEWS, on_invalid="skip")
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak(300)
        assert peak(6000) < peak(600) * 1.3
    finally:
        tracemalloc.stop()


def test_a_queued_bulk_message_takes_at_most_one_kilobyte(producer: Producer, account: Account) -> None:
    number = 5000
    rows = (
        Recipient(f"jane.doe.{row}@example.com", {"name": "Jane Doe", "token": f"{row:012x}"}) for row in range(number)
    )
    producer.send_many(rows, **NEWS | {"html": "{{ name }} {{ token }}" + "x" * 50_000})
    used = sum(
        account.client.memory_usage(key, samples=0) or 0 for key in account.client.scan_iter(account.keys.pattern)
    )
    assert used / number <= 1024


def test_a_queue_that_is_away_is_an_error_that_says_so() -> None:
    away = Producer(Queue(connect(load(redis_url="redis://127.0.0.1:1/0")), Keys("x{y}:")))
    with pytest.raises(QueueUnavailable):
        away.send(to="jane@example.com", **LETTER)
    with pytest.raises(QueueUnavailable) as caught:
        away.send_many(people(3), **NEWS)
    assert (caught.value.enqueued, getattr(caught.value, "__notes__", [])) == (False, [])


# the default producer


def test_the_functions_use_the_settings_they_are_configured_with(account: Account, settings: Settings) -> None:
    with mailer.configure(**settings.model_dump()):
        mailer.send(to="jane@example.com", **LETTER)
        mailer.send_many(people(2), **NEWS)
    assert len(account.messages("transactional")) == 1
    assert len(account.messages("bulk")) == 2


def test_a_temporary_folder_without_room_is_named_and_nothing_enqueued(producer: Producer, account: Account) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    rows = [Recipient(f"{row}@example.com", {"name": "x" * 50_000}) for row in range(400)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(Unwritable, match=re.escape(tempfile.gettempdir())) as caught:
            producer.send_many(rows, **LETTER | {"text": "{{ name }}"})
        assert isinstance(caught.value, MailerError)
        assert "TMPDIR" in str(caught.value)
        assert account.is_untouched()
        assert producer.send_many(rows, **LETTER | {"text": "{{ name }}"}, on_invalid="skip").accepted == 400
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_error_of_whoever_gives_the_rows_stays_theirs(producer: Producer, account: Account) -> None:
    def rows() -> Iterator[str]:
        yield "a@example.com"
        raise FileNotFoundError("their own")

    with pytest.raises(FileNotFoundError, match="their own"):
        producer.send_many(rows(), **LETTER)
    assert account.is_untouched()


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"cc": "b@example.com"}, "to=[...]"),
        ({"from_email": "a@example.com"}, "sender="),
        ({"body": "Hi"}, "text="),
        ({"templates": True}, "variables="),
        ({"tag": {}}, "configuration_set"),
    ],
)
def test_an_argument_that_there_is_not_is_named_with_what_to_write(
    producer: Producer, account: Account, given: dict[str, Any], remedy: str
) -> None:
    for call in (
        lambda: producer.send(to="a@example.com", **LETTER, **given),
        lambda: producer.send_many(["a@example.com"], **LETTER, **given),
    ):
        with pytest.raises(InvalidMessage) as caught:
            call()
        assert caught.value.field == next(iter(given))
        assert remedy in caught.value.remedy
    assert account.messages("transactional") == account.messages("bulk") == []


def test_a_content_of_too_many_values_is_refused_here_as_by_workers(producer: Producer, account: Account) -> None:
    for call in (
        lambda: producer.send(to="a@example.com", **{**LETTER, "text": "," * 300_000}),
        lambda: producer.send_many(["a@example.com"], **{**LETTER, "text": "," * 300_000}),
    ):
        with pytest.raises(InvalidMessage, match="more than 200,000 values"):
            call()
    assert account.messages("transactional") == account.messages("bulk") == []
