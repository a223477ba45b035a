"""Raw content: MIME bytes that go out as they came, but for the headers that are ours."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.errors import InvalidMessage, UnknownVersion
from mailer.mail.address import parse
from mailer.mail.fields import MAX_MESSAGE_BYTES
from mailer.mail.message import Message, content_of
from mailer.mail.raw import Raw
from mailer.producer.producer import Producer
from mailer.queue.payload import decode
from tests.unit.producer.conftest import Account

HEAD = b"From: News <news@example.com>\r\nTo: list@example.com\r\nSubject: Hi\r\n"
MAIL = HEAD + b"\r\nHello\r\n"
OURS = b"X-SES-MESSAGE-TAGS: mailer-id=m-1\r\n"


def with_header(header: bytes) -> bytes:
    return HEAD + header + b"\r\nHello\r\n"


def test_a_mail_gets_our_tag_before_its_headers_and_no_other_change() -> None:
    assert Raw.of(MAIL).mime("m-1") == OURS + MAIL


def test_lines_that_end_with_lf_stay_so_until_smtp_sends_them() -> None:
    mail = MAIL.replace(b"\r\n", b"\n")
    assert Raw.of(mail).mime("m-1") == (OURS + MAIL).replace(b"\r\n", b"\n")
    assert Raw.of(mail).mime_lines("m-1") == OURS + MAIL
    assert Raw.of(mail.rstrip()).mime_lines("m-1") == OURS + MAIL


@pytest.mark.parametrize("name", [b"Bcc", b"bcc", b"BCC", b"Resent-Bcc"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_bcc_is_removed_with_all_of_its_lines(name: bytes, end: bytes) -> None:
    header = name + b": eve@example.com,\r\n\tmallory@example.com\r\nX-Bcc: stays\r\n"
    mail = with_header(header).replace(b"\r\n", end)
    kept = with_header(b"X-Bcc: stays\r\n").replace(b"\r\n", end)
    assert Raw.of(mail).data == kept


def test_what_looks_like_a_header_in_the_body_stays() -> None:
    mail = MAIL + b"Bcc: eve@example.com\r\nX-SES-MESSAGE-TAGS: a=b\r\n"
    assert Raw.of(mail).mime("m-1") == OURS + mail


def test_the_tags_of_a_header_are_merged_with_ours() -> None:
    mail = with_header(b"x-ses-message-tags: a=b,\r\n  c.d=e@f\r\nX-A: 1\r\n")
    merged = b"X-SES-MESSAGE-TAGS: mailer-id=m-1,\r\n a=b,\r\n c.d=e@f\r\n"
    assert Raw.of(mail).mime("m-1") == merged + with_header(b"X-A: 1\r\n")


def test_what_is_given_replaces_the_headers_of_ses() -> None:
    mail = with_header(b"X-SES-MESSAGE-TAGS: a=b\r\nX-SES-CONFIGURATION-SET: theirs\r\nX-SES-SOURCE-ARN: arn\r\n")
    given = Raw.of(mail, tags={"c": "d"}, configuration_set="ours")
    ours = b"X-SES-MESSAGE-TAGS: mailer-id=m-1,\r\n c=d\r\nX-SES-CONFIGURATION-SET: ours\r\n"
    assert given.mime("m-1") == ours + with_header(b"X-SES-SOURCE-ARN: arn\r\n")
    assert Raw.of(mail, tags={}).mime("m-1") == OURS + mail.replace(b"X-SES-MESSAGE-TAGS: a=b\r\n", b"")


@pytest.mark.parametrize(
    ("header", "sender", "address"),
    [
        (b"", None, "news@example.com"),
        (b"Sender: robot@example.com\r\n", None, "robot@example.com"),
        (b"", "Bounces <bounces@example.com>", "bounces@example.com"),
    ],
)
def test_the_envelopes_sender_is_the_one_given_or_the_mails(header: bytes, sender: str | None, address: str) -> None:
    assert Raw.of(with_header(header), sender=sender).sender_address == address


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("raw", "text"),
        ("raw", None),
        ("raw", b""),
        ("raw", b"\r\n" + MAIL),
        ("raw", b"From news@example.com Tue Dec  1 13:00:00 2026\n" + MAIL),
        ("raw", b" folded: x\r\n" + MAIL),
        ("raw", with_header(b"no colon\r\n")),
        ("raw", with_header(b"Bcc : eve@example.com\r\n")),
        ("raw", with_header("Subject: Grüße\r\n".encode())),
        ("raw", with_header(b"X: a\0b\r\n")),
        ("raw", MAIL + b"\0"),
        ("raw", MAIL + b"bare\rreturn\r\n"),
        ("raw", MAIL + b"x" * 999 + b"\r\n"),
        ("raw", with_header(b"X: " + b"x" * 999 + b"\r\n")),
        ("raw", with_header(b"X-Y: 12345678\r\n" * 20_000)),
        ("raw", MAIL + b"x\r\n" * (MAX_MESSAGE_BYTES // 3)),
        ("raw: From", MAIL.replace(b"From:", b"X-From:")),
        ("raw: From", with_header(b"From: eve@example.com\r\n")),
        ("raw: From", MAIL.replace(b"news@example.com", b"nobody")),
        ("raw: From", MAIL.replace(b"news@example.com", b"(" * 900)),
        ("raw: X-SES-MESSAGE-TAGS", with_header(b"X-SES-MESSAGE-TAGS: mailer-id=mine\r\n")),
        ("raw: X-SES-MESSAGE-TAGS", with_header(b"X-SES-MESSAGE-TAGS: " + b"a=b," * 50 + b"\r\n")),
        ("raw: X-SES-MESSAGE-TAGS", with_header(b"X-SES-MESSAGE-TAGS: a=" + b"b" * 600 + b"\r\n")),
    ],
    ids=lambda value: repr(value)[-24:] if isinstance(value, bytes) else None,
)
def test_what_cannot_be_sent_as_it_is_is_refused_by_name(field: str, raw: Any) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Raw.of(raw)
    assert caught.value.field == field
    assert caught.value.remedy
    assert len(str(caught.value)) < 500


def test_an_error_names_the_line_and_not_what_is_in_it() -> None:
    with pytest.raises(InvalidMessage, match=r"^raw: has no header in line 4\.") as caught:
        Raw.of(with_header(b"secret words\r\n"))
    assert "secret" not in str(caught.value)


def test_lines_of_998_bytes_are_taken_whatever_ends_them() -> None:
    assert Raw.of(MAIL + b"x" * 998 + b"\r\n" + b"y" * 998 + b"\n" + b"z" * 998)


def test_content_comes_back_from_its_bytes() -> None:
    for content in (Raw.of(MAIL), Raw.of(MAIL, sender="b@example.com", tags={"a": "b"}, configuration_set="main")):
        assert content_of(content.encoded) == content


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"raw ?\n", InvalidMessage),
        (b"raw []\n", InvalidMessage),
        (b'raw {"v":2}\n', UnknownVersion),
        (b'raw {"v":true}\n', UnknownVersion),
        (b'raw {"v":1,"to":"a@example.com"}\n', InvalidMessage),
        (b'raw {"v":1,"sender":"a@example.com\\r\\nX: y"}\n', InvalidMessage),
    ],
)
def test_bytes_that_are_not_raw_content_are_refused(head: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        content_of(head + MAIL)


def test_a_message_refers_to_raw_content() -> None:
    content = Raw.of(MAIL)
    kwargs = {"to": "Jane <jane@example.com>", "vars": {}}
    found = decode(kwargs, lambda _: content.encoded, message_id="m-1", content_hash=content.hash)
    assert found == Message("m-1", parse("Jane <jane@example.com>"), content)


@given(st.lists(st.sampled_from([b"From: a@b.co", b"Bcc: x", b" y", b"\t", b"", b"X:", b"z", b"\r", b"\n", b":"])))
def test_whatever_bytes_come_they_are_refused_or_only_lose_bcc(lines: list[bytes]) -> None:
    raw = b"\r\n".join(lines)
    try:
        content = Raw.of(raw)
    except InvalidMessage:
        return
    assert b"Bcc" not in re.split(rb"\n\r?\n", content.data)[0]
    assert Raw.of(content.data) == content
    assert json.loads(content.encoded.partition(b"\n")[0][4:]) == {"v": 1}


# send_raw


def test_one_recipient_gives_one_id_and_several_give_theirs(producer: Producer, account: Account) -> None:
    one = producer.send_raw(MAIL, recipients="Jane <jane@example.com>")
    several = producer.send_raw(MAIL, recipients=["a@example.com", "b@example.com"], lane="bulk")

    [message] = account.messages("transactional")
    assert (message.id, message.recipient, message.content) == (one, parse("Jane <jane@example.com>"), Raw.of(MAIL))
    assert [(each.id, each.recipient.header) for each in account.messages("bulk")] == list(
        zip(several, ["a@example.com", "b@example.com"], strict=True)
    )


def test_a_thousand_recipients_share_one_stored_mail_in_one_put(producer: Producer, account: Account) -> None:
    mail = MAIL + b"x" * 900 + b"\r\n"
    producer.send_raw(mail, recipients=[f"user{number}@example.com" for number in range(1000)])

    content = Raw.of(mail)
    assert account.client.hgetall(account.keys.references) == {content.hash.encode(): b"1000"}
    assert account.client.hkeys(account.keys.content) == [content.hash.encode()]
    assert account.queue.content(content.hash) == content.encoded
    assert max(len(each) for each in account.client.lrange(account.keys.lane("transactional"), 0, -1)) < 1024


def test_times_keys_and_lanes_are_as_for_send(producer: Producer, account: Account) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    given: dict[str, Any] = {"recipients": "jane@example.com", "idempotency_key": "k", "send_at": later}
    assert producer.send_raw(MAIL, **given) == producer.send_raw(MAIL + b"other\r\n", **given)
    assert account.client.zcard(account.keys.schedule) == 1
    assert not account.envelopes("transactional")


def test_what_is_given_beside_the_bytes_arrives(producer: Producer, account: Account) -> None:
    producer.send_raw(MAIL, recipients="a@example.com", sender="N <n@example.com>", tags={}, configuration_set="main")
    [message] = account.messages("transactional")
    assert message.content == Raw(MAIL, "n@example.com", (), "main")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("raw", {"raw": "text"}),
        ("raw: From", {"raw": b"To: a@example.com\r\n\r\n"}),
        ("recipients", {"recipients": "nobody"}),
        ("recipients", {"recipients": []}),
        ("recipients", {"recipients": ["a@example.com"] * 1001}),
        ("recipients[1]", {"recipients": ["a@example.com", "a@example.com"]}),
        ("sender", {"sender": "nobody"}),
        ("tags['a b']", {"tags": {"a b": "c"}}),
        ("configuration_set", {"configuration_set": "a b"}),
        ("lane", {"lane": "no"}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("durable", {"durable": 1}),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_enqueued(
    producer: Producer, account: Account, field: str, changes: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"raw": MAIL, "recipients": "a@example.com", **changes}
    with pytest.raises(InvalidMessage) as caught:
        producer.send_raw(given.pop("raw"), **given)
    assert caught.value.field == field
    assert account.is_untouched()
