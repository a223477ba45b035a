"""One SMTP connection: aiosmtpd's protocol with SES's replies and with memory bounds."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, AnyStr, Protocol

from aiosmtpd.smtp import SMTP

from mailer.simulator.service import MAX_MESSAGE_BYTES
from mailer.simulator.wire.http import reset
from mailer.simulator.wire.trickle import Trickle

if TYPE_CHECKING:
    from mailer.simulator.service import Service
    from mailer.simulator.wire.crowd import Crowd
    from mailer.simulator.wire.reading import Budget
    from mailer.simulator.wire.strangers import Strangers

_LONGEST_MESSAGE_SECONDS = 600.0
_MOST_LINES = 1_000_000
_BYTES_OF_A_LINE = 70  # the cost of keeping one line separately, besides its content
_SMALL = 64 * 1024
_TIMEOUT = b"451 4.4.2 Timeout waiting for data from client.\r\n"
_STRANGER = b"554 %s\r\n"
_TOO_MANY = b"421 Too many concurrent SMTP connections\r\n"
_TOO_LONG = b"552 Message is too long.\r\n"
_NO_ROOM = b"452 4.3.1 Insufficient system storage\r\n"
_IN_SES_WORDS = {
    "250 OK": "250 Ok",
    "235 2.7.0 Authentication successful": "235 Authentication successful.",
    "535 5.7.8 Authentication credentials invalid": "535 Authentication Credentials Invalid",
    "552 Error: Too much mail data": "552 Message is too long.",
    "552 Error: message size exceeds fixed maximum message size": "552 Message is too long.",
}
_MALFORMED = "553 5.1.3 Error: malformed address"
_AN_ADDRESS = re.compile(r"<[^>]*>|\S+")
_NOT_IN_A_REPLY = re.compile(r"[^\x20-\x7e]")
_NO_TIMEOUT = 1e6


def _in_ses_words(reply: str, address: str) -> str:
    if reply == _MALFORMED:
        reply = f"553 {address} Invalid email address"
    # aiosmtpd repeats an unknown command, and a bare CR in it would begin a new line. A reply may name parts of a
    # message in any script, but it must be ASCII.
    return _IN_SES_WORDS.get(reply, _NOT_IN_A_REPLY.sub("?", reply))


class Handler(Protocol):
    """The door of the connection: whom it admits, and how much all its connections together may hold."""

    strangers: Strangers
    crowd: Crowd
    budget: Budget


class SmtpProtocol(SMTP):  # type: ignore[misc]  # aiosmtpd's types are not read, see pyproject.toml
    """One SMTP connection, with SES's replies."""

    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def __init__(self, handler: Handler, *, service: Service, **options: Any) -> None:
        super().__init__(handler, **options)
        self._door = handler
        self._service = service
        self._served_at = self._data_began_at = self.loop.time()
        self._held = 0
        self._data_bytes = self._data_lines = 0
        self._counted = False
        self._is_dropped = False
        self._slow_read: Trickle | None = None
        self._in_data = False
        self._is_answering = False
        self._pace: float | None = None
        self._address = ""
        """The last address in MAIL or RCPT, as written."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # STARTTLS calls this a second time.
        stranger = None
        if not self._counted:
            self._counted = True
            stranger = self._door.strangers.refusal(transport)
            self._service.connections_opened["smtp"] += 1
            self._service.connections_open["smtp"] += 1
        super().connection_made(transport)
        if self._is_dropped:
            self.end()
        elif stranger is not None:
            self._turn_away(_STRANGER % stranger.encode("ascii", "replace"))
        elif not self._door.crowd.admit(self):
            self._turn_away(_TOO_MANY)

    def _turn_away(self, reply: bytes) -> None:
        self.transport.write(reply)
        self.end()

    def connection_lost(self, error: Exception | None) -> None:
        if self._counted:
            self._counted = False
            self._service.connections_open["smtp"] -= 1
        self._door.crowd.gone(self)
        self._release()
        self._service.slow_readers.discard(self)
        if self._slow_read is not None:
            self._slow_read.stop()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._slow_read is not None and self.transport is not None:
            self.transport.pause_reading()
            self._slow_read.feed(data)
        else:
            if self._in_data:
                # A client is idle if it sends nothing. A client that sends a large message is not.
                self._reset_timeout()
                if (refusal := self._more_than_there_is_room_for(data)) is not None:
                    self._writer.write(refusal)
                    self.end()
                    return
            super().data_received(data)

    def _more_than_there_is_room_for(self, data: bytes) -> bytes | None:
        """The refusal of a message that need not be read to its end. None if there is room.

        aiosmtpd reads every message to its end before it refuses it. It keeps each line separately, and
        also a line that never ends.
        """
        lines = data.count(b"\n")
        self._data_bytes += len(data)
        self._data_lines += lines
        cost = len(data) + lines * _BYTES_OF_A_LINE
        self._held += cost
        if not self._door.budget.take(cost) and self._held > _SMALL:
            return _NO_ROOM
        too_long = self.loop.time() - self._data_began_at > _LONGEST_MESSAGE_SECONDS
        too_much = self._data_bytes > 2 * MAX_MESSAGE_BYTES or self._data_lines > _MOST_LINES
        return _TOO_LONG if too_long or too_much else None

    def _release(self) -> None:
        self._door.budget.give_back(self._held)
        self._held = 0

    @property
    def waiting_since(self) -> float | None:
        return None if self._in_data or self._is_answering else self._served_at

    def is_overdue(self, now: float) -> bool:  # noqa: ARG002 - the idle timeout does this
        return False

    def leave(self) -> None:
        self.end(abruptly=True)

    def _read_slowly(self) -> None:
        """Begin a message, and read it slowly if a fault says so."""
        self._in_data = True
        self._data_began_at = self.loop.time()
        self._data_bytes = self._data_lines = 0
        pace = self._service.faults.slow_read("send", "smtp")
        if pace is not None:
            self.hold_timeout()
            self._service.slow_readers.add(self)
            self._slow_read = Trickle(super().data_received, pace, self._read_on)

    def _read_on(self) -> None:
        if not self._in_data:
            self._slow_read = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def answer_slowly(self, bytes_per_second: float) -> None:
        """Slow down the next reply only."""
        self._pace = bytes_per_second

    def _getaddr(self, argument: str) -> tuple[str | None, str | None]:
        written = _AN_ADDRESS.match(argument.strip())
        self._address = written.group() if written else ""
        try:
            address: tuple[str | None, str | None] = super()._getaddr(argument)
        except IndexError:  # the standard library's parser raises it for an address that ends too soon
            return None, None
        return address

    async def push(self, status: AnyStr) -> None:
        pace, self._pace = self._pace, None
        reply = _in_ses_words(status, self._address) if isinstance(status, str) else status.decode()
        if reply.startswith("354 "):
            self._read_slowly()
        else:
            self._end_of_data()  # also for a message refused for its form, which no handler sees
        if pace is not None:
            done = asyncio.Event()
            Trickle(self._writer.write, pace, done.set).feed(reply.encode() + b"\r\n")
            await done.wait()
        else:
            await super().push(reply)
        self._is_answering = False

    def give_up(self) -> None:
        """Stop reading a slow message, and close the connection."""
        if self._slow_read is not None:
            self._slow_read.stop()
        self.end(abruptly=True)

    def drop(self) -> None:
        """Close the connection unless it takes or answers a message. If it is not made yet, close it once it is."""
        if not (self._in_data or self._is_answering):
            self._is_dropped = True
            self.end()

    def taken(self) -> None:
        """Called when the whole message has arrived. Its answer comes next."""
        self._is_answering = True
        self._served_at = self.loop.time()
        self._end_of_data()
        self.hold_timeout()

    def _end_of_data(self) -> None:
        self._in_data = False
        self._release()
        self._service.slow_readers.discard(self)
        if self._slow_read is not None and not self._slow_read.is_busy:
            self._slow_read = None

    def hold_timeout(self) -> None:
        """Suspend the idle timeout while the answer is in progress. The next command starts it again."""
        self._reset_timeout(_NO_TIMEOUT)

    def end(self, *, abruptly: bool = False) -> None:
        """Close the connection: with FIN, or with RST."""
        transport = self._original_transport or self.transport
        if transport is None:
            return
        if abruptly:
            reset(transport)
        else:
            transport.close()
        if self._is_agreeing_on_tls:
            # asyncio takes a close during a TLS handshake for the handshake's end, and does not call connection_lost.
            self.connection_lost(None)

    @property
    def _is_agreeing_on_tls(self) -> bool:
        return self._original_transport is not None and self.session is not None and self.session.ssl is None

    def _timeout_cb(self) -> None:
        if self._is_agreeing_on_tls:
            self.end()
            return
        if self.transport is not None:
            self._writer.write(_TIMEOUT)
        super()._timeout_cb()
