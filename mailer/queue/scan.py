"""Search a large list, hash or sorted set in Redis, page by page. Redis returns only entries that may match."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import redis

from mailer.queue.script import script

Kind = Literal["list", "hash", "zset"]

Progress = Callable[[int], None]
"""Called after each page with the number of entries read in it."""

_AT_ONCE = 250


def scan(
    client: redis.Redis, key: str, kind: Kind, texts: Sequence[str], progress: Progress | None = None
) -> Iterator[tuple[bytes, bytes]]:
    """The entries that contain one of ``texts`` in any case: name (in a hash) or score (in a sorted set), and value.

    Each page keeps Redis busy for about a millisecond; in the middle of a list of millions, about ten. An entry that
    moves meanwhile may be missed or come twice. Raises redis-py's errors.
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
