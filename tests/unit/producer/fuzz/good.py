"""Good input, to be spoilt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from mailer.mail.attachment import Attachment
from mailer.mail.recipient import Recipient

INLINE: dict[str, Any] = {
    "to": "Jane <jane@example.com>",
    "sender": "Shop <shop@example.com>",
    "subject": "Your code",
    "text": "It is 4711.",
    "html": "<p>It is 4711.</p>",
    "reply_to": ["help@example.com"],
    "headers": {"X-Campaign": "spring", "X-Colour": "grün"},
    "attachments": [
        {"filename": "a.txt", "content": "aGVsbG8=", "content_type": "text/plain", "content_id": None},
        {"filename": "ü.png", "content": "iVBORw0KGgo=", "content_type": "image/png", "content_id": "l@x"},
    ],
    "configuration_set": "main",
    "tags": {"campaign": "spring"},
    "list_unsubscribe": ["https://example.com/u", "mailto:u@example.com"],
}
REFERENCE: dict[str, Any] = {"v": 1, "to": "jane@example.com", "vars": {"name": "Jane", "items": [1, "two", None]}}
TEMPLATES: dict[str, Any] = {
    "sender": "Shop <shop@example.com>",
    "subject": "{{ name }}, hello",
    "text": "{% for each in items %}{{ each }}{% endfor %}",
    "html": "<p>{{ name }}</p>",
    "headers": {"X-Name": "{{ name }}"},
    "list_unsubscribe": "https://example.com/u/{{ name }}",
}
RAW = (
    b"From: Shop <shop@example.com>\r\nTo: jane@example.com,\r\n joe@example.com\r\nBcc: eve@example.com\r\n"
    b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\nX-SES-MESSAGE-TAGS: a=b,\r\n c=d\r\nX-SES-CONFIGURATION-SET: main\r\n"
    b"MIME-Version: 1.0\r\n\r\n.\r\nHello\r\n"
)


def send_arguments(random: Random) -> dict[str, Any]:
    """Of a `Producer.send` that would be accepted."""
    now = datetime.now(UTC)
    arguments = {
        **INLINE,
        "attachments": [Attachment("a.txt", b"hello", "text/plain"), Attachment("ü.png", b"\x89PNG", "image/png", "l")],
        "lane": random.choice(["transactional", "bulk"]),
        "send_at": now + timedelta(seconds=random.choice([-5, 60])),
        "expires_at": now + timedelta(hours=1),
        "idempotency_key": f"key-{random.random()}",
        "variables": None,
    }
    if random.random() < 0.3:
        arguments |= TEMPLATES | {"variables": REFERENCE["vars"], "reply_to": (), "attachments": ()}
    if random.random() < 0.3:
        arguments["to"] = ["jane@example.com", "joe@example.com"]
    return {
        name: each for name, each in arguments.items() if name in ("to", "sender", "subject", "text") or keep(random)
    }


def send_many_arguments(random: Random) -> dict[str, Any]:
    """Of a `Producer.send_many` that would be accepted."""
    rows: list[Any] = [
        "joe@example.com",
        {"to": "jane@example.com", "variables": REFERENCE["vars"], "idempotency_key": f"key-{random.random()}"},
        Recipient("Ann <ann@example.com>", REFERENCE["vars"]),
    ]
    plain = {"recipients": rows[:1], "sender": "shop@example.com", "subject": "Hi", "text": "Hello"}
    return plain if random.random() < 0.3 else {"recipients": rows[1:], **TEMPLATES}


def keep(random: Random) -> bool:
    return random.random() < 0.7
