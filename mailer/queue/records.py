"""The records of an account: the events of each message, with their times, for as long as records are kept.

One line is one event. The head of ``records.lua`` defines the format.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b, sha1

import redis

from mailer.errors import InvalidMessage
from mailer.mail.address import parse
from mailer.queue.keys import Keys
from mailer.queue.number import number_or
from mailer.queue.scan import Progress, scan

SEGMENTS_EVER = 100
"""At most so many segments are read. The same as in records.lua."""
_SHARDS = "0123456789abcdef"
_LONGEST = 300  # characters of SES's words
_DIGITS = 14  # of a moment in milliseconds: enough for 3,000 years, and no more than a datetime holds


@dataclass(frozen=True, slots=True)
class Line:
    """One event of a message.

    ``verb`` is a verb of ``take.lua``, ``lost`` (its worker was lost), or the action of a person. ``at`` is the time of
    the event, ``accepted`` when the producer wrote the message, ``taken`` when a worker took it for this attempt. These
    are epoch seconds, None if not known; ``at`` and ``taken`` are on Redis's clock. ``attempt`` counts from 1; 0 means
    not known. An attempt that SES refused for the rate or the quota is repeated under the same number. ``recipient`` is
    a digest (`digest_of`). ``answer`` is SES's MessageId if the message was sent, else a code; ``words`` explain it.
    """

    at: float
    verb: str
    id: str
    lane: str
    accepted: float | None
    taken: float | None
    attempt: int
    recipient: str
    answer: str
    words: str

    @classmethod
    def read(cls, raw: bytes) -> Line:
        """Parse a line. Raises ValueError if ``raw`` is not one."""
        fields = raw.decode(errors="replace").split("\t")
        at, verb, message_id, lane, accepted, taken, attempt, recipient, answer, words = (*fields, *[""] * 10)[:10]
        if not message_id or len(at) > _DIGITS:
            raise ValueError("a record without an id, or of no moment")
        return cls(
            *(int(at) / 1000, verb, message_id, lane, _seconds(accepted), _seconds(taken)),
            *(int(attempt or 0), recipient, answer, words),
        )

    @property
    def ses_id(self) -> str | None:
        """SES's MessageId; None unless the message was sent."""
        return self.answer if self.verb == "sent" else None

    @property
    def code(self) -> str:
        """The code that says why it was not sent; empty if it was."""
        return "" if self.verb == "sent" else self.answer


@dataclass(frozen=True, slots=True)
class Records:
    """Reads the lines that ``records.lua`` wrote. Changes nothing; raises redis-py's errors.

    Lines are deleted, the oldest first, when they are older than ``MAILER_RECORD_HOURS`` or when all lines take more
    than ``MAILER_RECORD_MEGABYTES``. So the first lines of an old message may be missing.
    """

    client: redis.Redis
    keys: Keys

    def of(self, message_id: str) -> list[Line]:
        """The events of a message, oldest first. Reads a sixteenth of the records."""
        lines = self._lines(shard_of(message_id), message_id, None)
        return [line for line in lines if line.id == message_id]

    def to(self, address: str, progress: Progress | None = None) -> Iterator[Line]:
        """The events of all messages to an address, of each message oldest first. Reads all records.

        A line has no recipient if the message's worker was lost or the message could not be read: such lines are left
        out. ``progress`` is called with the number of lines read.
        """
        digest = digest_of(address)
        for shard in _SHARDS:
            yield from (line for line in self._lines(shard, digest, progress) if line.recipient == digest)

    def __len__(self) -> int:
        with self.client.pipeline(transaction=False) as pipe:
            for segment in self._segments():
                for shard in _SHARDS:
                    pipe.llen(self.keys.records_in(segment, shard))
            return sum(pipe.execute())

    def _segments(self) -> range:
        first, last = (number_or(None, text) for text in self.client.hmget(self.keys.records, ["first", "segment"]))
        if last is None:
            return range(0)
        oldest = max(last if first is None else first, last - SEGMENTS_EVER)
        return range(int(oldest), int(last) + 1)

    def _lines(self, shard: str, text: str, progress: Progress | None) -> Iterator[Line]:
        seen: set[tuple[object, ...]] = set()
        for segment in self._segments():
            for _, raw in scan(self.client, self.keys.records_in(segment, shard), "list", [text], progress):
                try:
                    line = Line.read(raw)
                except ValueError:  # not a line of ours; the others are still good
                    continue
                # A settlement whose answer was lost is repeated. For `sent` the script cannot detect the repetition.
                event = (line.verb, line.id, line.taken, line.answer, line.at if line.verb != "sent" else 0)
                if event not in seen:
                    seen.add(event)
                    yield line


def note(
    message_id: str, lane: str, accepted: object, taken_us: int, attempt: int, to: object, answer: str, words: str = ""
) -> str:
    """The note of a settlement: a line of the records without its time and verb.

    ``accepted`` is the envelope's header (epoch milliseconds) and ``to`` the task's argument: both may be of any type.
    ``taken_us`` and ``attempt`` are 0 if no worker had the message. Addresses in ``words`` must be masked.
    """
    known = accepted_ms(accepted)
    digest = digest_of(to) if type(to) is str else ""
    if words or not answer.isprintable():
        answer, words = _plain(answer), _plain(words)[:_LONGEST]
    when = f"{'' if known is None else known}\t{taken_us // 1000 or ''}\t{attempt or ''}"
    return f"{message_id}\t{lane}\t{when}\t{digest}\t{answer}\t{words}"


def accepted_ms(header: object) -> int | None:
    """The envelope's header ``mailer_accepted``; None if it is not a plausible number of epoch milliseconds."""
    return header if type(header) is int and 0 <= header < 10**_DIGITS else None


def digest_of(to: str) -> str:
    """A digest of an address, eight characters. Neither capitals nor a name before the address change it.

    It has 48 bits of a hash. It keeps the address out of the records. It cannot hide it from a person who tries many.
    """
    return b2a_base64(blake2b(normalised(to).encode(), digest_size=6).digest(), newline=False).decode()


def normalised(to: str) -> str:
    """The address in ``to`` alone, in small letters and ASCII."""
    address = to[to.rfind("<") + 1 :].strip(" >").lower()
    if address.isascii():
        return address
    try:
        return parse(address).address.lower()
    except InvalidMessage:
        return ascii(address)


def shard_of(message_id: str) -> str:
    """The shard of a message: the last part of the names of the lists with its lines."""
    return sha1(message_id.encode(errors="replace"), usedforsecurity=False).hexdigest()[0]


def _plain(text: str) -> str:
    """``text`` without control characters."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _seconds(milliseconds: str) -> float | None:
    return int(milliseconds) / 1000 if 0 < len(milliseconds) <= _DIGITS else None
