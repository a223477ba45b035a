"""Malformed input by the thousand, at the producer and in the queue: an error that helps, a dead letter or good mail.

The suite tries the same twelve hundred each time. A hundred times as many, and others each time, are tried by
``pytest tests/unit/producer/test_fuzz.py --hypothesis-profile=long``.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mailer.delivery.outcome import Kind
from mailer.errors import InvalidMessage
from mailer.mail.address import parse
from mailer.mail.attachment import Attachment
from mailer.mail.content import Structured, hash_of
from mailer.mail.message import Message
from mailer.mail.raw import Raw
from mailer.mail.recipient import Recipient, variables_json
from mailer.mail.template.bounds import MAX_CHARS, Heavy
from mailer.mail.template.syntax import has_tags
from mailer.producer.producer import Producer
from mailer.queue.payload import decode
from mailer.settings import Settings
from mailer.worker.app import create_app
from mailer.worker.door import Door
from tests.support.malformed import INLINE, RAW, REFERENCE, TEMPLATES, arguments, as_json
from tests.support.strategies import JSON, edited, mostly, tries
from tests.unit.producer.conftest import Account
from tests.unit.producer.grammar import OTHERWISE, SECRET, mails
from tests.unit.producer.inspection import inspect

MESSAGE_ID = "0b6c2bb4-7d0b-4b2a-9d4c-1f7f3f5f8a10"
TO = parse("jane@example.com")
LONGEST_SECONDS = 3.0

CONTENTS = [
    Structured.of(templates=True, **TEMPLATES).encoded,
    Raw.of(RAW, tags={"a": "b"}).encoded,
    Raw.of(RAW.replace(b"\r\n", b"\n"), sender="b@example.com").encoded,
]
NOW = datetime.now(UTC)
SEND = INLINE | {
    "attachments": [Attachment("a.txt", b"hello", "text/plain"), Attachment("ü.png", b"\x89PNG", "image/png", "l")],
    "lane": "transactional",
    "send_at": NOW + timedelta(hours=1),
    "expires_at": NOW + timedelta(days=1),
    "idempotency_key": "key-1",
    "variables": None,
}
SENDS = [
    SEND,
    SEND | {"to": ["jane@example.com", "joe@example.com"], "lane": "bulk", "send_at": NOW - timedelta(seconds=5)},
    SEND | TEMPLATES | {"variables": REFERENCE["vars"], "reply_to": (), "attachments": ()},
]
RECIPIENTS = [
    {"to": "jane@example.com", "variables": REFERENCE["vars"], "idempotency_key": "key-1"},
    Recipient("Ann <ann@example.com>", REFERENCE["vars"]),
]
SENDS_TO_MANY = [
    {"recipients": ["joe@example.com"], "sender": "shop@example.com", "subject": "Hi", "text": "Hello"},
    {"recipients": RECIPIENTS, **TEMPLATES},
]


BYTES = st.one_of(st.sampled_from([b"\0", b"\r\n", b'"', b"}", b"null", b"\xff", b"1e999"]), st.binary(max_size=2))
STORED = st.one_of([st.one_of(st.just(content), edited(content, BYTES, 3)) for content in CONTENTS])
HASHES = mostly(st.just(hash_of), JSON.map(lambda other: lambda _: other), one_in=20)
PAYLOADS = st.one_of(
    st.tuples(arguments(INLINE).map(as_json), st.just(b""), st.none()),
    st.builds(
        lambda made, content, digest: (as_json(made), content, digest(content)), arguments(REFERENCE), STORED, HASHES
    ),
)
"""Arguments, the content that lies beside the queue, and the hash by which it is found."""
LOST = st.sets(st.sampled_from(sorted(set(SEND) - {"to", "sender", "subject", "text"})))
CALLS = st.one_of(
    *[st.builds(lambda made, lost: ("send", without(made, lost)), arguments(each), LOST) for each in SENDS],
    *[st.tuples(st.just("send_many"), arguments(each)) for each in SENDS_TO_MANY],
)


def test_a_spoilt_payload_is_refused_with_words_that_help_or_is_good_mail() -> None:
    outcomes: Counter[str] = Counter()

    @tries(360)
    @given(PAYLOADS)
    def attempt(payload: tuple[dict[str, Any], bytes, object]) -> None:
        kwargs, content, digest = payload
        try:
            message = decode(kwargs, lambda _: content, message_id=MESSAGE_ID, content_hash=digest)
        except InvalidMessage as error:
            helps(error)
            outcomes["refused"] += 1
        else:
            inspect(message)
            outcomes["accepted"] += 1

    attempt()
    assert set(outcomes) == {"accepted", "refused"}


def test_a_spoilt_request_to_the_task_is_a_dead_letter_with_words_or_good_mail(settings: Settings) -> None:
    door: Door = create_app(settings).tasks["mailer.send"]
    request: dict[str, Any] = {"args": [], "kwargs": INLINE, "mailer_content": None}
    outcomes: Counter[str] = Counter()

    @tries(120)
    @given(arguments(request).map(as_json))
    def attempt(headers: dict[str, Any]) -> None:
        found = door._message({"id": MESSAGE_ID, "args": None, "kwargs": {}} | headers, door.contents.content)
        if isinstance(found, Message):
            inspect(found)
            outcomes["accepted"] += 1
        else:
            assert found.kind is Kind.REJECTED
            assert found.code
            assert found.detail
            outcomes["dead letter"] += 1

    attempt()
    assert set(outcomes) == {"accepted", "dead letter"}


def test_what_the_producer_takes_the_worker_sends_and_what_it_refuses_is_not_enqueued(
    account: Account, producer: Producer
) -> None:
    outcomes: Counter[str] = Counter()

    @tries(360)
    @given(CALLS)
    def attempt(call: tuple[str, dict[str, Any]]) -> None:
        for key in account.client.scan_iter(match=account.keys.pattern, count=1000):
            account.client.delete(key)
        method, spoilt = call
        try:
            getattr(producer, method)(**spoilt)
        except InvalidMessage as error:
            helps(error)
            assert enqueued(account) == []
            outcomes["refused"] += 1
            return
        for envelope in enqueued(account):
            headers = envelope["headers"]
            inspect(
                decode(
                    json.loads(envelope["body"])[1],
                    account.queue.content,
                    message_id=headers["id"],
                    content_hash=headers.get("mailer_content"),
                )
            )
        outcomes["accepted"] += 1

    attempt()
    assert set(outcomes) == {"accepted", "refused"}


def without(made: dict[str, Any], lost: set[str]) -> dict[str, Any]:
    return {name: each for name, each in made.items() if name not in lost}


def enqueued(account: Account) -> list[dict[str, Any]]:
    scheduled: list[bytes] = account.client.zrange(account.keys.schedule, 0, -1)  # type: ignore[assignment]
    return [
        *(account.envelopes("transactional") + account.envelopes("bulk")),
        *(json.loads(each.rsplit(b"\n", 1)[-1]) for each in scheduled),
    ]


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # Jinja2 makes Python of a template
def test_of_any_template_producer_and_worker_say_the_same_and_jinja2_does_too() -> None:
    outcomes: Counter[str] = Counter()

    @tries(450)
    @given(mails)
    def attempt(mail: tuple[dict[str, str], dict[str, Any]]) -> None:
        outcomes[outcome_of(*mail)] += 1

    attempt()
    assert set(outcomes) == {"accepted", "refused", "refused at rendering", "as Jinja2 does"}


def outcome_of(fields: dict[str, str], given: dict[str, Any]) -> str:
    began = time.thread_time()
    try:
        content = Structured.of(templates=True, sender="n@example.com", **{"subject": "Hello", **fields})
        encoded = variables_json(given)
    except InvalidMessage as error:
        helps(error)
        return "refused"
    at_producer = refusal(lambda: content.check(given, encoded))
    at_worker = made(content, json.loads(encoded), patient=True)
    at_once = made(content, json.loads(encoded), patient=False)
    assert time.thread_time() - began < LONGEST_SECONDS
    assert at_once in (None, at_worker), "the loop and a helper differ"
    if isinstance(at_worker, str) or at_producer is not None:
        assert isinstance(at_worker, str), "the producer refuses what the worker makes"
        assert at_producer is not None, "the worker refuses what the producer takes"
        return "refused at rendering"
    assert at_worker is not None
    inspect(at_worker)
    for field in ("subject", *fields):
        text = getattr(at_worker.content, field)
        assert type(text) is str
        assert len(text) <= MAX_CHARS + 100_000
        assert not re.search(" object at 0x|<built-in|<bound|<function|Undefined", text), "Python shows"
    return "as Jinja2 does" if is_compared(at_worker, fields, given) else "accepted"


def made(content: Structured, given: dict[str, object], *, patient: bool) -> Message | str | None:
    """The message, the error's words, or None where it takes too long to do at once."""
    kwargs = {"to": TO.header, "vars": given}
    try:
        return decode(kwargs, lambda _: content.encoded, message_id="id", content_hash=content.hash, patient=patient)
    except Heavy:
        return None
    except InvalidMessage as error:
        helps(error)
        return str(error)


def refusal(act: Callable[[], object]) -> str | None:
    try:
        act()
    except InvalidMessage as error:
        helps(error)
        return str(error)
    return None


def helps(error: InvalidMessage) -> None:
    assert error.field
    assert error.problem
    assert error.remedy
    assert len(str(error)) <= 2000
    assert SECRET not in f"{error} {error.__cause__!r}", "an error with a value"


JINJA = {
    field: ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=field == "html", keep_trailing_newline=True
    )
    for field in ("subject", "text", "html")
}
for environment in JINJA.values():
    environment.filters["split"] = lambda value, *args: value.split(*args)


def is_compared(message: Message, fields: dict[str, str], given: dict[str, Any]) -> bool:
    """Whether Jinja2 makes the same, where it is to: not of null, of what is empty, of what it has no bound for."""
    if OTHERWISE.search(" ".join(fields.values())) or "null" in json.dumps(list(given.values())):
        return False
    for field, source in fields.items():
        if not has_tags(source):
            continue
        try:
            expected = JINJA[field].from_string(source).render(given)
        except Exception:  # noqa: BLE001 - what Jinja2 refuses is no comparison
            return False
        assert getattr(message.content, field) == expected
    return True
