"""What a debugger, a log line or an error tracker shows of a value: no address, no body, no secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from botocore.credentials import ReadOnlyCredentials

from mailer import Attachment, Filter, InvalidMessage, Recipient
from mailer.delivery.outcome import Kind, Outcome
from mailer.errors import MailerError, Rejected, Unreachable
from mailer.mail.address import parse
from mailer.mail.content import Structured
from mailer.mail.message import Message
from mailer.mail.message_id import MessageIds
from mailer.mail.raw import Raw
from mailer.producer.send_many import SendManyResult
from mailer.queue.queue import Entry
from mailer.queue.search import Found as Place
from mailer.queue.shelved import Reason, Shelved
from mailer.queue.stored_message import StoredMessage
from mailer.ses.access import Access, ClientConfig
from mailer.ses.credentials import Found as Credentials
from mailer.ses.smtp_connection import parse_url
from mailer.settings import load

ADDRESS = "jane.doe@example.com"
WORDS = f"Email address is not verified: {ADDRESS}"
BODY = "It is s3cret."
SHOWN = ("jane.doe", "s3cret", "4711")
ARGUMENTS = {"to": f"Jane <{ADDRESS}>", "sender": "shop@example.com", "text": BODY}
ENVELOPE = json.dumps({"body": json.dumps([[], ARGUMENTS, {}]), "headers": {"id": "m-1"}}).encode()
REASON = json.dumps({"code": "MessageRejected", "detail": WORDS, "lane": "bulk", "at_us": 1}).encode()
URL = "https://user:s3cret@ses.internal"
SHELVED = Shelved.on_shelf("dead", b"m-1", b"1", REASON + b"\n" + ENVELOPE)

VALUES = (
    *(parse(f"Jane <{ADDRESS}>"), Attachment("4711.pdf", b"s3cret"), Recipient(ADDRESS, {"code": "s3cret"}, "4711")),
    Message("m-1", parse(ADDRESS), Structured(ADDRESS, "s3cret", BODY, BODY, False, (ADDRESS,), (("X", "s3cret"),))),
    Structured(ADDRESS, "s3cret", BODY, BODY),
    Raw(BODY.encode(), ADDRESS, (("a", "4711"),)),
    *(StoredMessage(ENVELOPE), SHELVED, Place(ENVELOPE, "dead", "bulk", None, "m-1", "MessageRejected", WORDS)),
    Reason("dead", datetime.now(UTC), "MessageRejected", WORDS, 3),
    *(Filter(to=ADDRESS, text=WORDS), Entry("m-1", ENVELOPE), Outcome(Kind.REJECTED, None, "MessageRejected", WORDS)),
    SendManyResult(MessageIds(), 0, 0, 1, (InvalidMessage("to", f"is {ADDRESS}", "Mend it"),)),
    *(MailerError(WORDS), Rejected("MessageRejected", WORDS), Unreachable("PROXY", f"Unsupported proxy {URL}")),
    *(
        ClientConfig(URL, "smtps://user:s3cret@h"),
        Access(URL, "us-east-1", URL, "/ca.pem"),
        parse_url("smtps://user:s3cret@h"),
    ),
    Credentials(ReadOnlyCredentials("AKIDEXAMPLE", "s3cret", "4711")),
    load(redis_url="redis://:s3cret@h/0", smtp_url="smtps://user:s3cret@h"),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_shows_neither_address_nor_body_nor_secret(value: object) -> None:
    shown = repr([value])
    assert type(value).__name__ in shown
    assert [each for each in SHOWN if each in shown] == []


def test_what_it_is_can_be_told_from_it() -> None:
    assert repr(SHELVED) == "Shelved(dead, 'm-1', to j***@example.com, 'MessageRejected')"
    assert repr(Rejected("MessageRejected", WORDS)) == (
        "Rejected('MessageRejected: Email address is not verified: j***@example.com')"
    )


def test_the_words_of_an_error_have_no_login_in_them() -> None:
    error = Unreachable("PROXY", f"Unsupported proxy {URL}")
    assert (error.detail, str(error)) == (
        "Unsupported proxy https://***@ses.internal",
        "PROXY: Unsupported proxy https://***@ses.internal",
    )
