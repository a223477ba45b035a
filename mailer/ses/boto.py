"""SES API v2 through boto3's own client. It is the reference for the hot path."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from mailer.errors import OutcomeUnknown, SendError
from mailer.ses.access import USUAL, answer_date, open_client
from mailer.ses.clock import put_right
from mailer.ses.credentials import PATIENCE_SECONDS, CredentialSource
from mailer.ses.errors import boto_error, credentials_error
from mailer.ses.request import send_email_input
from mailer.ses.transport import Transport

if TYPE_CHECKING:
    from mailer.mail.message import Message
    from mailer.ses.access import Way


class BotoTransport(Transport):
    """One client per process, made at the process's first send. botocore's clients are thread-safe once made.

    It keeps one connection open per concurrent send. botocore's read timeout counts from the last byte received. Raises
    the errors of `mailer.ses.transport.Transport`.
    """

    def __init__(self, way: Way = USUAL) -> None:
        self._way = way
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._client: Any = None
        self.credentials = CredentialSource(self._way.account)

    def send(self, message: Message) -> str:
        client = self._open()
        # Raises if there are no credentials, before anything is sent. Below, an unknown error may come from the send
        # itself.
        self.credentials.current(PATIENCE_SECONDS)
        try:
            answer = client.send_email(**send_email_input(message))
        except SendError:  # the credentials have expired since
            raise
        except Exception as error:
            raise self.credentials.heed(put_right(boto_error(error), answer_date(error))) from error
        ses_id = answer.get("MessageId")
        if not ses_id:
            raise OutcomeUnknown("HTTP 200", "SES answered without a MessageId")
        return str(ses_id)

    def prepare(self, connections: int = 0) -> None:  # noqa: ARG002 - botocore opens its connections by itself
        """Make the client, and find credentials. Raises `HostUnfit` or `Unreachable`."""
        self._open()
        self.credentials.current(PATIENCE_SECONDS)

    def close(self) -> None:
        client, self._client = self._client, None
        if self._process == os.getpid():
            self.credentials.close()
            if client is not None:
                client.close()

    def _open(self) -> Any:
        if self._process != os.getpid():
            # The client and its connections belong to the parent process. Another thread may have held its lock at the
            # fork.
            self._reset()
        return self._client or self._make()

    def _make(self) -> Any:
        with self._lock:
            if self._client is None:
                try:
                    self._client = open_client(self._way, self.credentials.session())
                except Exception as error:
                    raise credentials_error(error) from error
            return self._client
