"""Limits for the size of messages in the queue. They are checked before a message is decoded."""

from __future__ import annotations

ENVELOPE_BYTES = 10 * 1024 * 1024
"""The largest envelope that is enqueued. bounds.lua allows a little more: an envelope grows when it is tried."""
IN_FLIGHT_BYTES = 16 * 1024 * 1024
"""A worker process holds at most so many bytes of large messages at once, unless one alone has more."""
LARGE_BYTES = 256 * 1024
"""A message with more bytes than this, its stored content included, is large. The same as in lane.lua."""

_VALUES = 200_000
_LONGEST_WORDS = 500


def has_too_many_values(text: bytes) -> bool:
    """Whether this JSON may hold more values than one mail needs.

    Each value costs an event loop time, and much more memory than it has bytes. Commas and brackets in texts count too:
    nobody reads a text with so many.
    """
    if len(text) <= _VALUES:
        return False
    return text.count(b",") + text.count(b"[") + text.count(b"{") > _VALUES


TOO_MANY_VALUES = f"has more than {_VALUES:,} values"


def shortened(words: str) -> str:
    """``words`` about a message, cut to a limit: an error may quote the whole message."""
    return words if len(words) <= _LONGEST_WORDS else f"{words[:_LONGEST_WORDS]}…"
