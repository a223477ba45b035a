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
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pycurl

from mailer.errors import OutcomeUnknown, SendError, Unavailable
from mailer.ses.errors import connect_error, curl_error
from mailer.ses.http_answer import Answer, NotHttp, parse_answer

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


class RequestCutOff(Exception):
    """The connection broke before the request was out whole, so SES cannot have taken it. Control flow between this
    file and the transport; ``error`` is what to raise if it goes no further.
    """

    def __init__(self, error: SendError) -> None:
        self.error = error
        super().__init__(str(error))


def tls_sessions() -> pycurl.CurlShare:
    """What connections share so that the next one resumes the TLS session of an earlier one: a third less processor
    time for it, and no certificates on the wire. Safe to share between threads.
    """
    sessions = pycurl.CurlShare()
    sessions.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_SSL_SESSION)
    return sessions


class CurlConnection:
    """Open from the start, one request at a time.

    `exchange` waits for the answer; `begin` and `advance` are for who waits on many connections at once. ``sessions``
    are `tls_sessions`. Opening raises `Unreachable`. Every error ends the connection's use.
    """

    def __init__(self, access: Access, way: Way, sessions: pycurl.CurlShare) -> None:
        self._read_timeout = way.read_timeout
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
        self._rest = memoryview(b"")
        self._received = b""
        self.deadline = 0.0
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

    def exchange(self, request: bytes) -> Answer:
        """Send one request, once, and wait for its answer; both within the read timeout. Raises as `advance` does."""
        self.begin(request)
        return self.finish()

    def finish(self) -> Answer:
        """Wait for the answer to what was begun."""
        while (answer := self.advance()) is None:
            self._wait()
        return answer

    def begin(self, request: bytes) -> None:
        """One request, of which `advance` will send what it can. ``deadline`` is on the monotonic clock."""
        self._rest = memoryview(request)
        self._received = b""
        self.deadline = time.monotonic() + self._read_timeout

    @property
    def sending(self) -> bool:
        """Part of the request is still to be sent: wait until the socket is writable, else until it is readable."""
        return bool(self._rest)

    def advance(self) -> Answer | None:
        """Send and receive without waiting; None while the answer is not whole.

        Raises `RequestCutOff` if the request did not go out whole, and `OutcomeUnknown` if it did and no readable
        answer came back.
        """
        if self._rest:
            self._send()
            # An answer cannot be here yet.
            return None
        try:
            answer = self._receive()
        except pycurl.error as error:
            raise _error(error, handed_over=True) from None
        except NotHttp as error:
            raise OutcomeUnknown("MalformedAnswer", str(error)) from error
        if answer is not None:
            self._used = time.monotonic()
        return answer

    def out_of_time(self) -> SendError:
        """What it means that the deadline passed without a whole answer."""
        if self._rest:
            return Unavailable("SendTimeout", "the request did not go out whole within the read timeout")
        return OutcomeUnknown("ReadTimeout", f"no whole answer within {self._read_timeout:g} s")

    def close(self) -> None:
        self._curl.close()

    def _send(self) -> None:
        try:
            while self._rest:
                self._rest = self._rest[self._curl.send(self._rest) :]
        except BlockingIOError:
            return
        except pycurl.error as error:
            raise RequestCutOff(_error(error, handed_over=False)) from None

    def _receive(self) -> Answer | None:
        # Until it would block: what TLS has already decrypted does not make the socket readable.
        while True:
            try:
                chunk = self._curl.recv(65536)
            except BlockingIOError:
                return None
            self._received += chunk
            answer = parse_answer(self._received, ended=not chunk)
            if answer is not None:
                return answer
            if not chunk:
                detail = f"the server closed after {len(self._received)} bytes of its answer"
                raise OutcomeUnknown("ConnectionClosed", detail)

    def _wait(self) -> None:
        sending = bool(self._rest)
        if sending:
            self._poll.modify(self.socket, select.POLLOUT)
        ready = self._poll.poll(_milliseconds_to(self.deadline))
        if sending:
            self._poll.modify(self.socket, select.POLLIN)
        if not ready:
            raise self.out_of_time()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _milliseconds_to(deadline: float) -> float:
    return max(0.0, (deadline - time.monotonic()) * 1000)


def _error(error: pycurl.error, *, handed_over: bool) -> SendError:
    return curl_error(*_told(error), handed_over=handed_over)


def _told(error: pycurl.error) -> tuple[int, str, str]:
    number, text = error.args
    return number, _FAILURES.get(number, str(number)), text
