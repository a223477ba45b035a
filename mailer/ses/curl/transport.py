"""SES API v2 over libcurl connections, with a request built and signed by hand.

boto3 takes about 1 ms of processor time for a send, this less than a tenth of it.
"""

from __future__ import annotations

import time

from mailer.address import Address
from mailer.content import Structured
from mailer.message import Message
from mailer.ses.credentials import PATIENCE_SECONDS
from mailer.ses.curl.exchange import Exchange
from mailer.ses.curl.loop import CurlLoop
from mailer.ses.curl.parts import Parts

_SAMPLE = Message("", Address("", "a", "example.com"), Structured(sender="a@example.com", subject="-", text="-"))


class CurlTransport(Parts):
    """Sends over connections that are kept open; as many as there are concurrent sends.

    The GIL is released while it waits. A send takes at most ``connect_timeout + read_timeout``; the first one also as
    long as it takes to find the way, which is then kept, and the credentials. An HTTP proxy is always asked for a
    tunnel, for plain ``http://`` endpoints as well. Raises what `mailer.ses.transport.Transport` says.
    """

    def prepare(self, connections: int = 0) -> None:
        """Find the way to SES and the credentials now rather than at the first send, and open so many connections for
        the first sends.

        Raises `HostUnfit` or `Unreachable`.
        """
        self.leave_parents_behind()
        self.request_for(_SAMPLE, PATIENCE_SECONDS)
        for _ in range(connections):
            self.idle.keep(self.connect())

    def send(self, message: Message) -> str:
        self.leave_parents_behind()
        request = self.request_for(message, PATIENCE_SECONDS)
        exchange = Exchange(request, time.monotonic() + self._way.connect_timeout, self.read_timeout)
        while exchange.state == "connecting":
            kept = self.idle.warm() if exchange.takes_kept else None
            connection = kept or self.connect()
            try:
                exchange.connected(time.monotonic(), kept=kept is not None)
                connection.finish(exchange)
            finally:
                self.idle.release(connection, exchange.reusable)
        return self.ses_id_of(exchange)

    def sender(self) -> CurlLoop:
        return CurlLoop(self)

    def close(self) -> None:
        self.idle.close()
        self.credentials.close()
