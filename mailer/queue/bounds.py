"""How large what lies in the queue may be. It is looked at before anything of it is decoded."""

from __future__ import annotations

ENVELOPE_BYTES = 10 * 1024 * 1024
"""The most that an envelope has: the same as in bounds.lua."""
IN_FLIGHT_BYTES = 16 * 1024 * 1024
"""The most that a worker process holds of large messages at once, unless one alone has more."""
LARGE_BYTES = 256 * 1024
"""What has more, its stored content included, is large: the same as in bounds.lua."""

_VALUES = 200_000
_LONGEST_WORDS = 500


def has_too_many_values(text: bytes) -> bool:
    """Whether this JSON may stand for more values than one mail needs: each takes an event loop time, and much more
    memory than it has bytes. What stands in texts counts too: a text with so many commas is none that is read."""
    if len(text) <= _VALUES:
        return False
    return text.count(b",") + text.count(b"[") + text.count(b"{") > _VALUES


TOO_MANY_VALUES = f"has more than {_VALUES:,} values"


def shortened(words: str) -> str:
    """What is said of a message, though it may quote all of it."""
    return words if len(words) <= _LONGEST_WORDS else f"{words[:_LONGEST_WORDS]}…"
