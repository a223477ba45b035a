"""The common part of all transports to SES: one message at a time, with this host's credentials."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

from mailer.errors import SendError
from mailer.ses.access import USUAL, ClientConfig
from mailer.ses.credentials import CredentialSource
from mailer.ses.errors import credentials_error, raised_as

if TYPE_CHECKING:
    from mailer.mail.message import Message


class Transport(ABC):
    """A way to send to SES, one message at a time.

    Any number of threads may share a transport. Each concurrent send uses its own connection, which stays open for the
    next. A transport is cheap until its first send. It survives a fork: connections from before the fork are not used
    after it. No transport ever sends a message twice by itself.
    """

    def __init__(self, config: ClientConfig = USUAL) -> None:
        self.config = config
        self._reset()

    def _reset(self) -> None:
        """Begin without connections, in a new process too. There another thread may have held a lock at the fork."""
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._made: Any = None
        self.credentials = CredentialSource(self.config.account)

    def send(self, message: Message) -> str:
        """Send the message once and return SES's MessageId.

        Raises a `SendError`. `OutcomeUnknown` says that SES may have accepted the message. All others say that it
        certainly did not.
        """
        self._leave_parent_behind()
        try:
            return self._send(message)
        except SendError as error:
            self.credentials.learn(error)
            raise

    def prepare(self, connections: int = 0) -> None:
        """Do the work of the first send now, and open ``connections`` connections if that helps.

        Raises `HostUnfit` if this host lacks something that every send needs, and `Unreachable` for a failure that may
        pass.
        """
        self._leave_parent_behind()
        self._prepare(connections)

    def close(self) -> None:
        """Close idle connections. A later send opens new ones."""
        self._leave_parent_behind()
        self.credentials.close()

    @abstractmethod
    def _send(self, message: Message) -> str: ...

    @abstractmethod
    def _prepare(self, connections: int) -> None: ...

    @abstractmethod
    def _set_up(self) -> Any:
        """Make what all sends of a process share. May raise anything."""

    def _shared(self) -> Any:
        """The result of `_set_up`. The first caller makes it; others wait. Raises `HostUnfit` or `Unreachable`."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    with raised_as(credentials_error):
                        self._made = self._set_up()
        return self._made

    def _leave_parent_behind(self) -> None:
        if self._process != os.getpid():
            self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
