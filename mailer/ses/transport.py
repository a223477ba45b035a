"""The seam that every way to SES has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from mailer.message import Message
    from mailer.ses.credentials import CredentialSource

Done = Callable[[str | Exception], None]
"""Called once, in the loop's thread, with SES's MessageId or the `SendError`. What it raises is logged."""


class Loop(Protocol):
    """What is asked of the event loop; kombu's ``Hub`` has it."""

    def add_reader(self, fds: int, callback: Callable[..., object], *args: object) -> None: ...
    def remove(self, fd: int) -> None: ...
    def call_soon(self, callback: Callable[[], object]) -> object: ...
    def call_repeatedly(self, delay: float, callback: Callable[..., object], *args: object) -> object: ...


class Sender(Protocol):
    """Many sends at once in the one thread of an event loop, with a few helpers' threads for what blocks."""

    @property
    def in_flight(self) -> int:
        """Sends begun whose ``done`` has not been called."""
        ...

    def attach(self, loop: Loop) -> None:
        """Run on ``loop`` from now on; again after the loop was reset, which forgets its readers."""
        ...

    def begin(self, message: Message | bytes, done: Done, latest: float) -> None:
        """Begin a send, which ends with a call of ``done``: perhaps before this returns. Never raises.

        ``message`` may be what `request_for` has made of it. After ``latest``, on the monotonic clock, nothing of it
        goes out any more.
        """
        ...

    def request_for(self, message: Message) -> bytes:
        """The request for a message, for helpers: it may wait. Raises a `SendError`."""
        ...

    def help(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Have a helper do ``work`` and the loop's thread call ``then`` with its result or exception. It counts as a
        send in flight until then.
        """
        ...

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have the loop's thread call it, after all that it was told to before. From any thread."""
        ...

    def drain(self, seconds: float) -> None:
        """Without the loop, which has stopped: finish what is in flight, for at most so long."""
        ...


class Transport(ABC):
    """A way to hand one message at a time to SES.

    A transport may be shared by any number of threads; each concurrent send uses a connection of its own,
    kept open for the next. It is cheap until its first send, and safe to carry over a fork: what was opened
    before is not used after. No transport ever sends a message twice by itself.
    """

    credentials: CredentialSource
    """This host's, as far as the transport signs with them."""

    @abstractmethod
    def send(self, message: Message) -> str:
        """Send it once and return SES's MessageId.

        Raises a `SendError`: `OutcomeUnknown` says that the message may have been accepted, all others that it surely
        was not.
        """

    def sender(self) -> Sender | None:
        """What begins sends on an event loop; None for a transport that can only block."""
        return None

    @abstractmethod
    def prepare(self, connections: int = 0) -> None:
        """Do now what the first send would do first, and open so many connections where that helps.

        Raises `HostUnfit` where this host lacks what every send needs, and `Unreachable` for what may pass.
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
