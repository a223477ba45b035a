"""The rules of one send to SES. It touches no socket and reads no clock: a driver does that.

A request goes out once. There is one exception: if a kept connection breaks before the last byte is out, the request
gets one new connection. SES cannot accept a part of a request. The driver reads ``state``, does the step that it names,
and reports the result. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from typing import Literal

from mailer.errors import OutcomeUnknown, SendError, TooLate, Unavailable
from mailer.ses.curl.http_answer import Answer, NotHttp, parse_answer

State = Literal["connecting", "sending", "waiting", "done"]
"""The next need of an exchange.

``connecting``: a connection; a kept one if ``takes_kept``, else a new one. ``sending``: the bytes in ``unsent`` have to
go out. ``waiting``: everything is out, and the answer has to come. ``done``: nothing. There is a ``result``, and if
``reusable`` the connection can carry another exchange.
"""


class Exchange:
    """One request and its response, which must come within ``read_timeout`` seconds. If the send has not begun by
    ``latest``, it does not begin.
    """

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
        """The driver has the connection that the exchange asked for."""
        if now > self._latest:
            # Connecting took long, or the system suspended this process.
            self.reusable = True
            self.end(TooLate("TooLate", "there was not enough time left to send it"))
            return
        self.state = "sending"
        self.unsent = memoryview(self._request)
        self.deadline = now + self._read_timeout
        self._on_kept = kept

    def sent(self, count: int) -> None:
        """``count`` bytes of ``unsent`` are out."""
        self.unsent = self.unsent[count:]
        if not self.unsent:
            self.state = "waiting"

    def received(self, data: bytes) -> None:
        """The server sent ``data``, the next bytes of its response. Empty ``data`` means that the server closed its
        side.
        """
        self._received += data
        try:
            answer = parse_answer(self._received, ended=not data)
        except NotHttp as error:
            self.end(OutcomeUnknown("MalformedAnswer", str(error)))
            return
        if answer is not None:
            self.reusable = answer.reusable
            self.end(answer)
        elif not data:
            detail = f"the server closed after {len(self._received)} bytes of its answer"
            self.end(OutcomeUnknown("ConnectionClosed", detail))

    def broken(self, name: str, text: str, now: float) -> None:
        """The connection broke. ``name`` and ``text`` are libcurl's.

        SES has no complete request before libcurl has taken its last byte. After that SES may have it, whatever libcurl
        reports.
        """
        if self.state == "sending" and self._on_kept and now <= self._latest:
            self.state = "connecting"
            self.takes_kept = False
        else:
            self.end((Unavailable if self.state == "sending" else OutcomeUnknown)(name, text))

    def out_of_time(self) -> None:
        """The deadline has passed, and the response is still incomplete."""
        if self.state == "sending":
            error: SendError = Unavailable("SendTimeout", "the request did not go out whole within the read timeout")
        else:
            error = OutcomeUnknown("ReadTimeout", f"no whole answer within {self._read_timeout:g} s")
        self.end(error)

    def end(self, result: Answer | Exception) -> None:
        self.state = "done"
        self.result = result
