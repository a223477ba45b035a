"""Whether what this process takes can be sent from its host, as far as it has found out."""

from __future__ import annotations

import math
import random as _random
import threading
from collections.abc import Callable
from typing import TypeVar

FIRST_SECONDS, MOST_SECONDS = 1.5, 30.0
"""How long the first rest after a fault lasts at most, and how long any does. Each is twice as long as the one
before."""
FIRST_SILENCE_SECONDS, MOST_SILENCE_SECONDS = 15.0, 120.0
"""How long another worker asks SES for the account's limits, after SES did not answer this one: twice as long each
time."""
MOST_DENIED_SECONDS = 4.0
"""How long a rest lasts at most where SES answers at once, and may refuse the message rather than the host."""
DENIALS_BORNE = 50
"""So many messages in a row may be refused for their sender before it is taken for the host's own fault."""
_REMEMBERED = 1000

_Value = TypeVar("_Value")


class Fitness:
    """A process that cannot send rests, then takes one message at a time, until one is sent. Thread-safe.

    Its rests grow, and are of random length, so that the processes of a host do not come back together. What failed in
    the same moment makes a rest no longer: only what was taken after it tells something new.

    A denial does not say whose fault it is: AWS's words are the same where a key may send nothing and where it may send
    from some addresses only. It is the message's where this process has sent other mail since the first denial in these
    words, and the host's otherwise. A message that is denied here twice is set aside for a while in both cases, so
    that the next probe is another.
    """

    def __init__(self, clock: Callable[[], float], random: Callable[[], float] = _random.random) -> None:
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._until = self._began = self._closed_until = self._sent_at = -math.inf
        self._wait = 0.0  # of the last rest; 0: nothing is known against this host
        self._denied: dict[str, float] = {}  # words -> when they were first said
        self._denied_here: dict[str, None] = {}  # ids
        self._denials = 0  # since the last send
        self._asks_at = -math.inf
        self._silence = 0.0  # after the last question for the limits; 0: it was answered

    @property
    def rests(self) -> float:
        """For how many seconds more nothing is to be taken."""
        return max(0.0, max(self._until, self._closed_until) - self._clock())

    @property
    def is_doubted(self) -> bool:
        """Whether one message at a time is enough."""
        return self._wait > 0

    def rest(self, seconds: float) -> None:
        """Take nothing for so long, whatever has been found out."""
        self._closed_until = self._clock() + seconds

    def failed(self, taken_at: float, most: float = MOST_SECONDS) -> bool:
        """The host is at fault, with a message that was taken at ``taken_at``; whether a rest begins with it."""
        with self._lock:
            now = self._clock()
            if now < self._until or (self._wait and taken_at <= self._began):
                return False
            self._wait = min(most, max(FIRST_SECONDS, 2 * self._wait))
            self._began, self._until = now, now + self._wait * (2 + self._random()) / 3
            return True

    @property
    def may_ask(self) -> bool:
        """Whether this process is one to ask SES for the account's limits."""
        return self._clock() >= self._asks_at

    def asked(self, *, answered: bool) -> None:
        """SES was asked for the limits. Where it did not answer, the next question is another worker's."""
        self._silence = 0.0 if answered else min(MOST_SILENCE_SECONDS, max(FIRST_SILENCE_SECONDS, 2 * self._silence))
        self._asks_at = self._clock() + self._silence

    def sent(self) -> bool:
        """SES took a message; whether that is news."""
        is_news = self._wait > 0 or self._sent_at == -math.inf
        self._sent_at = self._clock()
        self._denials = 0
        if is_news:
            with self._lock:
                self._wait, self._until = 0.0, -math.inf
        return is_news

    def is_message_s(self, message_id: str, words: str) -> bool:
        """Whether the denial of a message is the message's fault, and not the host's."""
        with self._lock:
            self._denials += 1
            said_at = _remember(self._denied, words, self._clock())
            was_here = message_id in self._denied_here
            _remember(self._denied_here, message_id, None)
            return was_here or (self._sent_at > said_at and self._denials <= DENIALS_BORNE)


def _remember(known: dict[str, _Value], name: str, value: _Value) -> _Value:
    """What is known under ``name``: ``value`` from now on, if nothing is. The oldest are forgotten."""
    found = known.setdefault(name, value)
    while len(known) > _REMEMBERED:
        del known[next(iter(known))]
    return found
