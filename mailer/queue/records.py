"""The records of an account's messages: what happened to each, for as long as they are kept."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from mailer.queue.keys import Keys
from mailer.queue.number import number_or
from mailer.queue.record import Line, digest_of, shard_of
from mailer.queue.scan import Progress, scan

SEGMENTS_EVER = 100
"""No more segments than that are looked at: the same as in records.lua."""
_SHARDS = "0123456789abcdef"


class Records:
    """Reads what ``records.lua`` wrote. Changes nothing; raises redis-py's errors.

    The oldest lines go first, once they are older than ``MAILER_RECORD_HOURS`` or all of them take more than
    ``MAILER_RECORD_MEGABYTES``: of an old message the beginning may be missing.
    """

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def of(self, message_id: str) -> list[Line]:
        """What happened to a message, oldest first. Reads a sixteenth of the records."""
        lines = self._lines(shard_of(message_id), message_id, None)
        return [line for line in lines if line.id == message_id]

    def to(self, address: str, progress: Progress | None = None) -> Iterator[Line]:
        """What happened to the messages to an address, of each message oldest first. Reads all of the records.

        Lines about a message whose worker was lost or that could not be read name no recipient: they are not among
        them. ``progress`` is called with the number of lines looked at.
        """
        digest = digest_of(address)
        for shard in _SHARDS:
            yield from (line for line in self._lines(shard, digest, progress) if line.recipient == digest)

    def __len__(self) -> int:
        """How many lines there are."""
        with self._client.pipeline(transaction=False) as pipe:
            for segment in self._segments():
                for shard in _SHARDS:
                    pipe.llen(self._keys.records_in(segment, shard))
            return sum(pipe.execute())

    def _segments(self) -> range:
        first, last = (number_or(None, text) for text in self._client.hmget(self._keys.records, ["first", "segment"]))
        if last is None:
            return range(0)
        oldest = max(last if first is None else first, last - SEGMENTS_EVER)
        return range(int(oldest), int(last) + 1)

    def _lines(self, shard: str, text: str, progress: Progress | None) -> Iterator[Line]:
        seen: set[tuple[object, ...]] = set()
        for segment in self._segments():
            for _, raw in scan(self._client, self._keys.records_in(segment, shard), "list", [text], progress):
                try:
                    line = Line.read(raw)
                except ValueError:  # whoever wrote it there: the others are as good as ever
                    continue
                # A settlement whose answer was lost is repeated; of `sent` the script cannot tell that from news.
                told = (line.verb, line.id, line.taken, line.answer, line.at if line.verb != "sent" else 0)
                if told not in seen:
                    seen.add(told)
                    yield line
