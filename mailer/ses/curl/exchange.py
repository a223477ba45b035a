"""The rules of one send to SES, for whoever drives it: it touches no socket and reads no clock.

A request goes out once. There is one exception: a kept connection that breaks before the last byte was out gets one new
connection, as SES cannot have taken a part of a request. The driver asks for the ``state``, does what that says, and
tells what came of it. Moments are seconds of one clock, which never goes back.
"""

from __future__ import annotations

from typing import Literal

from mailer.errors import OutcomeUnknown, SendError, TooLate, Unavailable
from mailer.ses.curl.http_answer import Answer, NotHttp, parse_answer
from mailer.ses.errors import curl_error

State = Literal["connecting", "sending", "waiting", "done"]
"""What an exchange needs next.

``connecting``: a connection, a kept one where it ``takes_kept``, else a new one. ``sending``: what is ``unsent`` has to
go out. ``waiting``: all is out, and the answer has to come. ``done``: nothing, there is a ``result``; the connection is
as good as new where it is ``reusable``.
"""


class Exchange:
    """One request and its answer, which must come within ``read_timeout`` seconds. After ``latest`` no byte of it
    begins to go out."""

    state: State = "connecting"
    takes_kept = True
    reusable = False
    unsent: memoryview
    deadline: float
    result: Answer | Exception
    _on_kept = False
    _received = b""

    def __init__(self, request: bytes, latest: float, read_timeout: float) -> None:
        self._request = request
        self._latest = latest
        self._read_timeout = read_timeout

    def connected(self, now: float, *, kept: bool) -> None:
        """It has the connection that it asked for."""
        if now > self._latest:
            # Connecting took long, or this process stood still.
            self.reusable = True
            self.end(TooLate("TooLate", "there was not enough time left to send it"))
            return
        self.state = "sending"
        self.unsent = memoryview(self._request)
        self.deadline = now + self._read_timeout
        self._on_kept = kept

    def sent(self, count: int) -> None:
        """So many bytes of what was unsent are out."""
        self.unsent = self.unsent[count:]
        if not self.unsent:
            self.state = "waiting"

    def received(self, data: bytes) -> None:
        """SES has answered this, after what it has answered before; or closed its side, where it is empty."""
        self._received += data
        try:
            answer = parse_answer(self._received, ended=not data)
        except NotHttp as error:
            self.end(OutcomeUnknown("MalformedAnswer", str(error)))
            return
        if answer is not None:
            self.reusable = answer.reusable
            self.state = "done"
            self.result = answer
        elif not data:
            detail = f"the server closed after {len(self._received)} bytes of its answer"
            self.end(OutcomeUnknown("ConnectionClosed", detail))

    def broken(self, number: int, name: str, text: str, now: float) -> None:
        """The connection broke, in libcurl's words."""
        if self.state == "sending" and self._on_kept and now <= self._latest:
            self.state = "connecting"
            self.takes_kept = False
        else:
            self.end(curl_error(number, name, text, handed_over=self.state != "sending"))

    def out_of_time(self) -> None:
        """The deadline has passed, and the answer is still not whole."""
        if self.state == "sending":
            error: SendError = Unavailable("SendTimeout", "the request did not go out whole within the read timeout")
        else:
            error = OutcomeUnknown("ReadTimeout", f"no whole answer within {self._read_timeout:g} s")
        self.end(error)

    def end(self, error: Exception) -> None:
        """There is nothing more to do for it."""
        self.state = "done"
        self.result = error
