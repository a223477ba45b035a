"""AWS's clock, as far as this process knows it.

AWS refuses a signature whose date is more than five minutes from its own clock. A host's clock may be wrong by more
than that. Its mail must be sent all the same.
"""

from __future__ import annotations

import re
import time
from calendar import timegm
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from mailer.errors import Misdated, SendError

# "Signature expired: <signed> is now earlier than <limit> (<AWS's time> - 5 min.)". "Signature not yet current" has the
# same form.
_ITS_TIME = re.compile(r"\((\d{8}T\d{6}Z) [+-] \d+ min\.\)")
_MOVED_SECONDS = 60.0


class Clock:
    """This host's clock, corrected by the time in AWS's refusals. Thread-safe.

    ``host`` returns Unix time in seconds.
    """

    def __init__(self, host: Callable[[], float] = time.time) -> None:
        self._host = host
        self.ahead = 0.0
        """Seconds that AWS's clock is ahead of this host's. 0 until AWS has refused a date."""

    def now(self) -> float:
        """Unix time in seconds, for the date of a signature."""
        return self._host() + self.ahead

    def learn(self, error: SendError, date: str | None) -> SendError:
        """``error`` itself. If AWS refused the date of the signature, take AWS's time from the text, or else from
        ``date``, the ``Date`` header of the response.
        """
        if isinstance(error, Misdated):
            theirs = _moment_in(error.detail) or moment_of(date)
            if theirs is not None and abs(theirs - self.now()) > _MOVED_SECONDS:
                self.ahead = theirs - self._host()
        return error


AWS = Clock()
"""One for the whole process: the same host's clock dates all its signatures."""


def _moment_in(words: str) -> float | None:
    found = _ITS_TIME.search(words)
    try:
        return float(timegm(time.strptime(found[1], "%Y%m%dT%H%M%SZ"))) if found else None
    except ValueError:
        return None


def moment_of(date: str | None) -> float | None:
    """The Unix time in a ``Date`` header, or None without a valid one."""
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None
