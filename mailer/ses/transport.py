"""The common interface of all transports to SES."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from mailer.mail.message import Message
    from mailer.ses.credentials import CredentialSource

Done = Callable[[str | Exception], None]
"""Called once, in the loop's thread, with SES's MessageId or the `SendError`. Its exceptions are logged."""


class Loop(Protocol):
    """The required methods of the event loop. kombu's ``Hub`` has them."""

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> None: ...
    def remove(self, fd: int) -> None: ...
    def call_soon(self, callback: Callable[[], object]) -> object: ...
    def call_repeatedly(self, delay: float, callback: Callable[..., object], *args: object) -> object: ...


class Sender(Protocol):
    """Many sends at once in the one thread of an event loop. A few helper threads do the blocking work."""

    @property
    def in_flight(self) -> int:
        """The number of sends that have begun and whose ``done`` was not called yet."""
        ...

    def attach(self, loop: Loop) -> None:
        """Run on ``loop`` from now on. Call it again after the loop was reset: a reset loop forgets its readers."""
        ...

    def begin(self, message: Message | bytes, done: Done, latest: float) -> None:
        """Begin a send. It ends with a call of ``done``, perhaps before this returns. Never raises.

        ``message`` may be the result of `request_for`. After ``latest``, on the monotonic clock, nothing of it goes out
        any more.
        """
        ...

    def request_for(self, message: Message) -> bytes:
        """The request for a message. It may wait: call it from helpers. Raises a `SendError`."""
        ...

    def help(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have a helper run ``work``, and the loop's thread call ``then`` with its result or exception. Until then it
        counts as a send in flight.
        """
        ...

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have the loop's thread call ``callback``, after all earlier ones. May be called from any thread."""
        ...

    def drain(self, seconds: float) -> None:
        """Finish the sends in flight without the loop, which has stopped, for at most ``seconds``."""
        ...


class Transport(ABC):
    """A way to send to SES, one message at a time.

    Any number of threads may share a transport. Each concurrent send uses its own connection, which stays open for the
    next. A transport is cheap until its first send. It survives a fork: connections from before the fork are not used
    after it. No transport ever sends a message twice by itself.
    """

    credentials: CredentialSource
    """This host's credentials, if the transport signs with them."""

    @abstractmethod
    def send(self, message: Message) -> str:
        """Send the message once and return SES's MessageId.

        Raises a `SendError`. `OutcomeUnknown` says that SES may have accepted the message. All others say that it
        certainly did not.
        """

    def sender(self) -> Sender | None:
        """The `Sender` for an event loop, or None if the transport can only block."""
        return None

    @abstractmethod
    def prepare(self, connections: int = 0) -> None:
        """Do the work of the first send now, and open ``connections`` connections if that helps.

        Raises `HostUnfit` if this host lacks something that every send needs, and `Unreachable` for a failure that may
        pass.
        """

    @abstractmethod
    def close(self) -> None:
        """Close idle connections. A later send opens new ones."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
