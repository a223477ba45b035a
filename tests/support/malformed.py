"""Good mail in the form of each door, and strategies that spoil its arguments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.support.strategies import JSON, nested, spoilt_fields

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

# fmt: off
NASTY = st.sampled_from([
    "\r\nBcc: victim@example.com", "\nX-Injected: 1", "\r", "\0", "\r\n\r\n<p>body</p>", "\x85", "\u2028", "\x0b",
    "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "\u200b", "é", "𝒳", "ａ", "İ", "ß", "\N{COMBINING ACUTE ACCENT}" * 40,
    "=?utf-8?q?=0D=0ABcc:_x?=", "=?utf-8?b?DQpCY2M6IHg=?=", "%0d%0aBcc: x", "\\r\\n", "&#13;&#10;", "\t", "  ",
    '"', "<", ">", ",", ";", ":", "@", "()", "\\", "[127.0.0.1]", ".", "..", "'", "{{", "{% for", "{{ name }}", "{#",
    "{{ ''.__class__ }}", "{{ name * 100000000 }}", "{% include 'x' %}", "x" * 1000, "ü" * 500, "x " * 700,
])
# fmt: on
"""What breaks headers, addresses and templates."""

ANYTHING: SearchStrategy[Any] = st.one_of(
    JSON,
    NASTY.map(lambda nasty: nasty + "@example.com"),
    NASTY.map(lambda nasty: f"jane@{nasty}.com"),
    NASTY.map(lambda nasty: f"Jane {nasty} <jane@example.com>"),
    NASTY.map(lambda nasty: [nasty, None, 1]),
    st.dictionaries(NASTY, NASTY, min_size=1, max_size=2),
    st.sampled_from([b"bytes", (), {"a"}, float("nan"), Decimal("1.5"), 1j, range(3), ValueError, {1: 2, None: 3}]),
    st.sampled_from(
        [
            datetime(2026, 1, 1),  # noqa: DTZ001 - naive on purpose
            datetime.max.replace(tzinfo=UTC),
            datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        ]
    ),
    st.builds(object),
    st.builds(lambda: iter("ab")),
    st.builds(lambda: nested(3000)),
)
"""Of any Python type."""


def arguments(value: dict[str, Any]) -> SearchStrategy[dict[str, Any]]:
    """The arguments with up to three of them spoilt."""
    return spoilt_fields(value, ANYTHING, NASTY)


def as_json(made: dict[str, Any]) -> dict[str, Any]:
    """The arguments as they come out of the queue: what JSON cannot say becomes text."""
    return {name: _as_json(each) for name, each in made.items()}


def _as_json(value: object) -> Any:
    try:
        return json.loads(json.dumps(value, default=repr, skipkeys=True))
    except (ValueError, RecursionError):
        # Nested too deep for JSON, and for repr.
        return type(value).__name__
