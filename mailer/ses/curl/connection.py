"""One connection to SES. libcurl opens it (name lookup, proxy, TLS); our own code speaks HTTP on it.

libcurl's own HTTP repeats requests. If a *reused* connection dies before the first byte of the response, libcurl opens
another connection and sends the request again, although SES may have accepted the first. (Seen with libcurl 8.23 and a
server that reads the second request of a kept-alive connection and then closes or resets the connection: that server
receives the request twice.)

In ``CONNECT_ONLY`` mode libcurl sends the given bytes, once. It also takes half the processor time, because every
callback into Python has to wait for the GIL. And we can see a closed connection before we use it: libcurl checks for
those once a second at most, and cannot see the end of a TLS stream whose socket is still open.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pycurl

from mailer.errors import Unreachable
from mailer.ses.curl.exchange import Exchange

if TYPE_CHECKING:
    from mailer.ses.access import Access, ClientConfig

# Firewalls and address translators silently drop idle connections, the strictest after about a minute.
_IDLE_SECONDS = 30.0
# Follow SES's DNS: do not use an address forever after SES has removed it.
_LIFETIME_SECONDS = 600.0

_FAILURES: dict[int, str] = {
    value: name.removeprefix("E_")
    for name, value in sorted(vars(pycurl).items(), reverse=True)
    if name.startswith("E_") and not name.startswith("E_MULTI") and isinstance(value, int)
}


def tls_sessions() -> pycurl.CurlShare:
    """A store of TLS sessions for connections to share. The next connection resumes the session of an earlier one: that
    takes a third less processor time and puts no certificates on the wire. Safe to share between threads.
    """
    sessions = pycurl.CurlShare()
    sessions.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_SSL_SESSION)
    return sessions


class CurlConnection:
    """Open from the start, for one exchange at a time. ``sessions`` is the result of `tls_sessions`. Raises
    `Unreachable`.
    """

    def __init__(self, access: Access, config: ClientConfig, sessions: pycurl.CurlShare) -> None:
        self._curl = curl = pycurl.Curl()
        setopt = curl.setopt
        url = urlsplit(access.endpoint_url)
        setopt(pycurl.URL, f"{url.scheme}://{url.netloc}")
        setopt(pycurl.CONNECT_ONLY, 1)
        # Keeps TLS from negotiating HTTP/2.
        setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        setopt(pycurl.NOSIGNAL, 1)
        setopt(pycurl.CONNECTTIMEOUT_MS, round(config.connect_timeout * 1000))
        setopt(pycurl.TCP_NODELAY, 1)
        setopt(pycurl.TCP_KEEPALIVE, 1)
        setopt(pycurl.TCP_KEEPIDLE, 15)
        setopt(pycurl.TCP_KEEPINTVL, 5)
        # Empty values keep libcurl from reading the environment by its own rules: botocore has already decided.
        setopt(pycurl.PROXY, access.proxy or "")
        setopt(pycurl.NOPROXY, "")
        setopt(pycurl.HTTPPROXYTUNNEL, 1)
        setopt(pycurl.SSL_VERIFYPEER, 1)
        setopt(pycurl.SSL_VERIFYHOST, 2)
        setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        setopt(pycurl.CAINFO, access.ca_bundle)
        setopt(pycurl.PROXY_CAINFO, access.ca_bundle)
        setopt(pycurl.SHARE, sessions)
        try:
            curl.perform()
        except pycurl.error as error:
            # No name, no route, no TLS, or a proxy that refuses.
            name, text = _words_of(error)
            raise Unreachable(name, access.without_logins(text)) from None
        self.socket: int = curl.getinfo(pycurl.ACTIVESOCKET)
        self.closed: Callable[[CurlConnection], None] | None = None
        """Called before the connection closes, for the loop that watches its socket."""
        self._opened = self._used = time.monotonic()

    def is_stale(self) -> bool:
        """Idle or open for too long, or the server has closed it or sent something unasked."""
        now = time.monotonic()
        if now - self._used > _IDLE_SECONDS or now - self._opened > _LIFETIME_SECONDS:
            return True
        try:
            self._curl.recv(1)
        except BlockingIOError:
            return False
        except pycurl.error:
            return True
        return True

    def carry(self, exchange: Exchange) -> None:
        """Send and receive for ``exchange`` as far as possible without waiting. Never raises: every error ends up in
        the exchange.
        """
        try:
            if exchange.state == "sending":
                self._send(exchange)
                # No response can be here yet.
            elif exchange.state == "waiting":
                self._receive(exchange)
        except BlockingIOError:
            pass
        except pycurl.error as error:
            exchange.broken(*_words_of(error), time.monotonic())
        except Exception as error:  # noqa: BLE001 - a defect of ours, in the middle of a send
            exchange.end(error)

    def _send(self, exchange: Exchange) -> None:
        while exchange.state == "sending":
            exchange.sent(self._curl.send(exchange.unsent))

    def _receive(self, exchange: Exchange) -> None:
        # Read until it would block: data that TLS has already decrypted does not make the socket readable.
        while exchange.state == "waiting":
            exchange.received(self._curl.recv(65536))
        self._used = time.monotonic()

    def finish(self, exchange: Exchange) -> None:
        """The same as `carry`, but wait: until the exchange is done or needs another connection."""
        self.carry(exchange)
        while exchange.state == "sending" or exchange.state == "waiting":
            poll = select.poll()
            poll.register(self.socket, select.POLLOUT if exchange.state == "sending" else select.POLLIN)
            if poll.poll(max(0.0, (exchange.deadline - time.monotonic()) * 1000)):
                self.carry(exchange)
            else:
                exchange.out_of_time()

    def close(self) -> None:
        if self.closed is not None:
            self.closed(self)
        self._curl.close()


def _words_of(error: pycurl.error) -> tuple[str, str]:
    """libcurl's name of a failure, and its text."""
    number, text = error.args
    return _FAILURES.get(number, str(number)), f"{text} (curl {number})"
