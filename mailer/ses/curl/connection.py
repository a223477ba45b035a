"""One connection to SES that libcurl makes (name lookup, proxy, TLS) and that we speak HTTP on ourselves.

libcurl's own HTTP repeats requests: when a *reused* connection dies before the first byte of the answer, it
opens another one and sends the request again, and SES may have taken the first. (Seen with libcurl 8.23 and a
server that reads the second request of a kept-alive connection and then closes or resets it: it receives that
request twice.) In ``CONNECT_ONLY`` mode libcurl sends what it is told, once. It also takes half the processor
time, as every callback into Python has to wait for the GIL, and it lets us see a closed connection before we
use it: libcurl looks for those once a second at most, and cannot see the end of a TLS stream whose socket is
still open.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pycurl

from mailer.ses.curl.exchange import Exchange
from mailer.ses.errors import connect_error

if TYPE_CHECKING:
    from mailer.ses.access import Access, Way

# Firewalls and address translators drop idle connections without a word, the strictest after about a minute.
_IDLE_SECONDS = 30.0
# Follow SES's DNS: an address that left it must not be used for ever.
_LIFETIME_SECONDS = 600.0

_FAILURES: dict[int, str] = {
    value: name.removeprefix("E_")
    for name, value in sorted(vars(pycurl).items(), reverse=True)
    if name.startswith("E_") and not name.startswith("E_MULTI") and isinstance(value, int)
}


def tls_sessions() -> pycurl.CurlShare:
    """What connections share so that the next one resumes the TLS session of an earlier one: a third less processor
    time for it, and no certificates on the wire. Safe to share between threads.
    """
    sessions = pycurl.CurlShare()
    sessions.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_SSL_SESSION)
    return sessions


class CurlConnection:
    """Open from the start, for one exchange at a time. ``sessions`` are `tls_sessions`. Raises `Unreachable`."""

    def __init__(self, access: Access, way: Way, sessions: pycurl.CurlShare) -> None:
        self._curl = curl = pycurl.Curl()
        setopt = curl.setopt
        setopt(pycurl.URL, _origin(access.endpoint_url))
        setopt(pycurl.CONNECT_ONLY, 1)
        # Keeps TLS from agreeing on HTTP/2.
        setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        setopt(pycurl.NOSIGNAL, 1)
        setopt(pycurl.CONNECTTIMEOUT_MS, round(way.connect_timeout * 1000))
        setopt(pycurl.TCP_NODELAY, 1)
        setopt(pycurl.TCP_KEEPALIVE, 1)
        setopt(pycurl.TCP_KEEPIDLE, 15)
        setopt(pycurl.TCP_KEEPINTVL, 5)
        # Empty values keep libcurl from reading the environment its own way: botocore has decided.
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
            number, name, text = _told(error)
            raise connect_error(number, name, access.without_logins(text)) from None
        self._poll = select.poll()
        self.socket: int = curl.getinfo(pycurl.ACTIVESOCKET)
        self._poll.register(self.socket, select.POLLIN)
        self.closed: Callable[[CurlConnection], None] | None = None
        """Called before it is closed, for who watches its socket."""
        self._opened = self._used = time.monotonic()

    def is_stale(self) -> bool:
        """Too long idle or open, or the server has ended it or said something unasked."""
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
        """Send and receive for it what goes without waiting. Never raises: every error is the exchange's."""
        try:
            if exchange.state == "sending":
                self._send(exchange)
                # An answer cannot be here yet.
            elif exchange.state == "waiting":
                self._receive(exchange)
        except BlockingIOError:
            pass
        except pycurl.error as error:
            exchange.broken(*_told(error), time.monotonic())
        except Exception as error:  # noqa: BLE001 - a defect of ours, in the middle of a send
            exchange.end(error)

    def finish(self, exchange: Exchange) -> None:
        """The same, and wait for it: until the exchange is done, or needs another connection."""
        self.carry(exchange)
        while exchange.state == "sending" or exchange.state == "waiting":
            if self._wait(exchange):
                self.carry(exchange)
            else:
                exchange.out_of_time()

    def close(self) -> None:
        if self.closed is not None:
            self.closed(self)
        self._curl.close()

    def _send(self, exchange: Exchange) -> None:
        while exchange.state == "sending":
            exchange.sent(self._curl.send(exchange.unsent))

    def _receive(self, exchange: Exchange) -> None:
        # Until it would block: what TLS has already decrypted does not make the socket readable.
        while exchange.state == "waiting":
            exchange.received(self._curl.recv(65536))
        self._used = time.monotonic()

    def _wait(self, exchange: Exchange) -> bool:
        """Whether it can go on before its deadline."""
        sending = exchange.state == "sending"
        if sending:
            self._poll.modify(self.socket, select.POLLOUT)
        ready = self._poll.poll(max(0.0, (exchange.deadline - time.monotonic()) * 1000))
        if sending:
            self._poll.modify(self.socket, select.POLLIN)
        return bool(ready)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _told(error: pycurl.error) -> tuple[int, str, str]:
    number, text = error.args
    return number, _FAILURES.get(number, str(number)), text
