"""SES API v2 through boto3's own client. It is the reference for the hot path."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mailer.errors import OutcomeUnknown
from mailer.ses.access import open_client, refusal
from mailer.ses.credentials import PATIENCE_SECONDS
from mailer.ses.errors import raised_as
from mailer.ses.request import send_email_input
from mailer.ses.transport import Transport

if TYPE_CHECKING:
    from mailer.mail.message import Message


class BotoTransport(Transport):
    """One client per process, made at the process's first send. botocore's clients are thread-safe once made.

    It keeps one connection open per concurrent send. botocore's read timeout counts from the last byte received.
    """

    def _set_up(self) -> Any:
        return open_client(self.config, self.credentials.session())

    def _prepare(self, connections: int) -> None:  # noqa: ARG002 - botocore opens its connections by itself
        self._shared()
        self.credentials.current(PATIENCE_SECONDS)

    def _send(self, message: Message) -> str:
        client = self._shared()
        # Raises if there are no credentials, before anything is sent. Below, an unknown error may come from the send
        # itself.
        self.credentials.current(PATIENCE_SECONDS)
        with raised_as(partial(refusal, operation="SendEmail")):
            answer = client.send_email(**send_email_input(message))
        ses_id = answer.get("MessageId")
        if not ses_id:
            raise OutcomeUnknown("HTTP 200", "SES answered without a MessageId")
        return str(ses_id)

    def close(self) -> None:
        super().close()
        client, self._made = self._made, None
        if client is not None:
            client.close()
