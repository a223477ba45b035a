"""One line of the record: what happened to a message, and when. The format is at the top of ``records.lua``."""

from __future__ import annotations

from binascii import b2a_base64
from dataclasses import dataclass
from hashlib import blake2b, sha1

from mailer.address import parse
from mailer.errors import InvalidMessage

_LONGEST = 300  # characters of SES's words
_DIGITS = 14  # of a moment in milliseconds: enough for 3,000 years, and no more than a datetime holds


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened to a message.

    ``verb`` is what was done with it: a verb of ``take.lua``, ``lost`` where its worker was, or what a person did.
    ``at``, ``accepted`` (when its producer wrote it) and ``taken`` (when a worker was handed it for this attempt) are
    epoch seconds, None where not known; ``at`` and ``taken`` by Redis's clock. ``attempt`` counts from 1, 0 where not
    known; an attempt that SES refused for the rate or the quota is made again under its number. ``recipient`` is a
    digest (`digest_of`). ``answer`` is SES's MessageId where it was sent, else a code, which ``words`` explain.
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
        """Raises ValueError for what is no line."""
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
        """SES's MessageId."""
        return self.answer if self.verb == "sent" else None

    @property
    def code(self) -> str:
        """Why it was not sent."""
        return "" if self.verb == "sent" else self.answer


def note(
    message_id: str, lane: str, accepted: object, taken_us: int, attempt: int, to: object, answer: str, words: str = ""
) -> str:
    """What a settlement carries for the record: a line without its time and verb.

    ``accepted`` is the envelope's header (epoch milliseconds) and ``to`` the task's argument, whatever they are.
    ``taken_us`` and ``attempt`` are 0 where no worker had it. Addresses in ``words`` must be masked.
    """
    known = accepted_ms(accepted)
    digest = digest_of(to) if type(to) is str else ""
    if words or not answer.isprintable():
        answer, words = _plain(answer), _plain(words)[:_LONGEST]
    when = f"{'' if known is None else known}\t{taken_us // 1000 or ''}\t{attempt or ''}"
    return f"{message_id}\t{lane}\t{when}\t{digest}\t{answer}\t{words}"


def accepted_ms(header: object) -> int | None:
    """The envelope's header ``mailer_accepted``, whatever it is; None where that is no moment since the epoch."""
    return header if type(header) is int and 0 <= header < 10**_DIGITS else None


def digest_of(to: str) -> str:
    """Eight characters that stand for an address, however it is written: in capitals or not, with a name or without.

    48 bits of a hash. They keep the address out of the record, not from someone who tries addresses.
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
    """The last part of the names of the lists in which the lines of a message are."""
    return sha1(message_id.encode(errors="replace"), usedforsecurity=False).hexdigest()[0]


def _plain(text: str) -> str:
    """``text`` without control characters."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def _seconds(milliseconds: str) -> float | None:
    return int(milliseconds) / 1000 if 0 < len(milliseconds) <= _DIGITS else None
