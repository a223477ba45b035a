"""Whether this process can send from its host, as far as it knows from its own attempts."""

from __future__ import annotations

import math
import random as _random
import threading
from collections.abc import Callable

FIRST_SECONDS, MOST_SECONDS = 1.5, 30.0
"""The longest first rest after a fault, and the longest rest of all. Each rest is twice as long as the one before."""
FIRST_SILENCE_SECONDS, MOST_SILENCE_SECONDS = 15.0, 120.0
"""After SES did not answer this process about the limits, only other workers ask for so long: the first and the longest
time. Each is twice as long as the one before."""
MOST_DENIED_SECONDS = 4.0
"""The longest rest after a denial: SES answers at once, and may have refused the message rather than the host."""
DENIALS_BORNE = 50
"""After more denials in a row than this, a denial counts as the host's fault."""
_REMEMBERED = 1000


class Fitness:
    """When a process cannot send, it rests, then takes one message at a time until one is sent. Thread-safe.

    Rests grow. Their length is random, so that the processes of a host do not all resume at the same time. Messages
    that fail together do not make a rest longer: only a message taken after the rest began tells something new.

    A denial does not say who is at fault. AWS uses the same words for a key that may send nothing and for a key that
    may send from some addresses only. The message is at fault if this process has sent other mail since the first
    denial with these words; otherwise the host is. A message that is denied here twice counts as at fault in any case.
    It is set aside for a while, so that the next probe is another message.
    """

    def __init__(self, clock: Callable[[], float], random: Callable[[], float] = _random.random) -> None:
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._until = self._began = self._closed_until = self._sent_at = -math.inf
        self._wait = 0.0  # length of the last rest; 0: there is no doubt about this host
        self._denied: dict[str, float] = {}  # words of a denial -> when they first came
        self._denied_here: dict[str, float] = {}  # id of a message -> when its first words came
        self._denials = 0  # since the last send
        self._asks_at = -math.inf
        self._silence = 0.0  # after the last question for the limits; 0: it was answered

    @property
    def rests(self) -> float:
        """For how many more seconds this process must take no messages."""
        return max(0.0, max(self._until, self._closed_until) - self._clock())

    @property
    def is_doubted(self) -> bool:
        """Whether this process should take only one message at a time."""
        return self._wait > 0

    def rest(self, seconds: float) -> None:
        """Take no messages for ``seconds``, whatever is known of the host."""
        self._closed_until = self._clock() + seconds

    def failed(self, taken_at: float, most: float = MOST_SECONDS) -> bool:
        """The host failed to send a message that was taken at ``taken_at``. Returns whether a rest begins now."""
        with self._lock:
            now = self._clock()
            if now < self._until or (self._wait and taken_at <= self._began):
                return False
            self._wait = min(most, max(FIRST_SECONDS, 2 * self._wait))
            self._began, self._until = now, now + self._wait * (2 + self._random()) / 3
            return True

    @property
    def may_ask(self) -> bool:
        """Whether this process may ask SES for the account's limits."""
        return self._clock() >= self._asks_at

    def asked(self, *, answered: bool) -> None:
        """SES was asked for the limits. If it did not answer, another worker asks next."""
        self._silence = 0.0 if answered else min(MOST_SILENCE_SECONDS, max(FIRST_SILENCE_SECONDS, 2 * self._silence))
        self._asks_at = self._clock() + self._silence

    def sent(self) -> bool:
        """SES accepted a message. Returns whether that ends a doubt, or is this process's first send."""
        is_news = self._wait > 0 or self._sent_at == -math.inf
        self._sent_at = self._clock()
        self._denials = 0
        if is_news:
            with self._lock:
                self._wait, self._until = 0.0, -math.inf
        return is_news

    def is_message_s(self, message_id: str, words: str) -> bool:
        """Whether a denial is the message's fault, and not the host's."""
        with self._lock:
            self._denials += 1
            said_at = self._denied.setdefault(words, self._clock())
            was_here = message_id in self._denied_here
            self._denied_here.setdefault(message_id, said_at)
            for known in (self._denied, self._denied_here):
                if len(known) > _REMEMBERED:
                    del known[next(iter(known))]  # the oldest
            return was_here or (self._sent_at > said_at and self._denials <= DENIALS_BORNE)
