"""The result of one call under the faults in force, before any door writes it down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from mailer.simulator.errors import SesError
    from mailer.simulator.fault import Fault

T = TypeVar("T")


class Attempt(NamedTuple, Generic[T]):
    """SES did the work if there is ``taken``, whatever the answer says.

    The answer is ``error`` if there is one. ``fault`` is a fault of the wire, which spoils the answer or keeps it back.
    ``delay`` is how many seconds later it comes.
    """

    taken: T | None = None
    error: SesError | None = None
    fault: Fault | None = None
    delay: float = 0.0
