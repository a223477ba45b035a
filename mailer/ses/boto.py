"""SES API v2 through boto3's own client: the reference that the hot path is compared with."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Self

from mailer.errors import OutcomeUnknown
from mailer.ses.access import USUAL, answer_date, find_credentials, open_client, open_session
from mailer.ses.clock import put_right
from mailer.ses.errors import boto_error, credentials_error
from mailer.ses.request import send_email_input

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mailer.message import Message
    from mailer.ses.access import Way
    from mailer.ses.signer import Credentials


class BotoTransport:
    """One client per process, made at the first send in it; botocore's clients are thread-safe once made.

    It keeps as many connections open as there are concurrent sends. botocore's read timeout counts from the last
    byte. Raises what `mailer.ses.transport.Transport` says.
    """

    def __init__(self, way: Way = USUAL) -> None:
        self._way = way
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._opened: tuple[Any, Callable[[], Credentials]] | None = None

    def send(self, message: Message) -> str:
        client, credentials = self._open()
        # Where there are none, nothing goes out: after this, an error that nobody knows may be one of the send itself.
        credentials()
        try:
            answer = client.send_email(**send_email_input(message))
        except Exception as error:
            raise put_right(boto_error(error), answer_date(error)) from error
        ses_id = answer.get("MessageId")
        if not ses_id:
            raise OutcomeUnknown("HTTP 200", "SES answered without a MessageId")
        return str(ses_id)

    def prepare(self, connections: int = 0) -> None:  # noqa: ARG002 - botocore opens its connections by itself
        """Make the client, and refresh credentials that are about to expire. Raises `HostUnfit` or `Unreachable`."""
        _, credentials = self._open()
        credentials()

    def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None and self._process == os.getpid():
            opened[0].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> tuple[Any, Callable[[], Credentials]]:
        if self._process != os.getpid():
            # The client and its connections are the parent's, and another thread may have held its lock at the fork.
            self._reset()
        return self._opened or self._make()

    def _make(self) -> tuple[Any, Callable[[], Credentials]]:
        with self._lock:
            if self._opened is None:
                try:
                    session = open_session()
                    self._opened = (open_client(self._way, session), find_credentials(session))
                except Exception as error:
                    raise credentials_error(error) from error
            return self._opened
