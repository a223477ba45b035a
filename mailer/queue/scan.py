"""Search a place in Redis that may be large: page by page, and all that is returned is what may fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import redis

from mailer.queue.script import script

Kind = Literal["list", "hash", "zset"]

Progress = Callable[[int], None]
"""Called with how many entries were looked at, after each page."""

_AT_ONCE = 250


def scan(
    client: redis.Redis, key: str, kind: Kind, texts: Sequence[str], progress: Progress | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """What holds one of ``texts``, in small letters or capitals: its name in a hash or score in a sorted set, and it.

    Redis is busy for about a millisecond at a time; in the middle of a list of millions, for some ten. What is moved
    meanwhile may be missed or come twice. Raises redis-py's errors.
    """
    cursor = b"0"
    small = [text.lower() for text in texts]
    while True:
        cursor, looked_at, *found = script("scan").run(client, [key], [kind, cursor, _AT_ONCE, *small])
        yield from zip(found[::2], found[1::2], strict=True)
        if progress is not None:
            progress(looked_at)
        if cursor == b"0":
            return
