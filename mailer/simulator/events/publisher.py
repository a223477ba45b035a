"""Makes the events of every accepted message when they are due, and passes them to the listeners."""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import heappop, heappush
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from mailer.simulator.events import event
from mailer.simulator.events.fate import Fates, Happening, mailbox_simulator_name
from mailer.simulator.events.outcomes import Outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from mailer.simulator.clock import Clock
    from mailer.simulator.events.event import Event, Kind, Sending
    from mailer.simulator.events.fate import Suppressed
    from mailer.simulator.inbox import Inbox, Message

    Listener = Callable[[Event], None]

_TURN = 500
"""How many overdue events to publish before the loop gets a turn. One jump of the clock may make a day of them due."""


class AutoReply(NamedTuple):
    """The reply of ``ooto@`` to the Return-Path of a message."""

    at: float
    to: str
    ooto: str
    ses_id: str


class Publisher:
    """Keeps the newest ``keep`` events, and as many future ones. Events beyond that are published early.

    It passes each event to the ``listeners`` when it publishes the event, first to ``learn``. They must not block.
    """

    def __init__(
        self,
        clock: Clock,
        inbox: Inbox,
        random: Random,
        outcomes: Outcomes,
        keep: int,
        *,
        suppressed: Suppressed,
        learn: Listener,
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._random = random
        self._keep = keep
        self._initial_outcomes = outcomes
        self.fates = Fates(outcomes, random, suppressed)
        self.listeners: list[Listener] = [learn]
        self._timer: asyncio.TimerHandle | None = None
        self._order = count()
        self._numbers = count(1)
        self.clear()

    def clear(self) -> None:
        """Forget past and future events. Numbers continue."""
        self._events: deque[Event] = deque(maxlen=self._keep)
        self._to_come: list[tuple[float, int, Sending, Happening]] = []
        self.auto_replies: deque[AutoReply] = deque(maxlen=self._keep)

    def reset(self) -> None:
        self.clear()
        self.fates.outcomes = self._initial_outcomes

    @property
    def waiting(self) -> int:
        """How many events are still to come."""
        return len(self._to_come)

    def accepted(self, message: Message) -> None:
        """Decide the events of a message that was just accepted."""
        sending = event.Sending.of(message)
        for happening in self.fates.of(message.submission):
            self._expect(sending, message.at, happening)
        if self._to_come:
            self._plan()

    def rendering_failed(self, message: Message, template: str, error: str) -> None:
        """Replaces ``accepted`` where SES took the call but could not render a message from it."""
        detail = {"templateName": template, "errorMessage": error}
        sending = event.Sending.of(message)
        self._publish(message.at, sending, Happening(0.0, "Rendering Failure", sending.recipients, detail))

    def wake(self) -> None:
        """Publish the events that are due. Call it after the clock was moved."""
        now = self._clock.now()
        for _ in range(_TURN):
            if not self._to_come or self._to_come[0][0] > now:
                break
            at, _, sending, happening = heappop(self._to_come)
            self._publish(at, sending, happening)
        self._plan()

    def events(self, after: int = 0) -> Iterator[Event]:
        """Those kept, oldest first, from the first one after number ``after``."""
        if not self._events:
            return iter(())
        return islice(self._events, max(0, after + 1 - self._events[0].number), None)

    def newest(self) -> Iterator[Event]:
        yield from reversed(self._events)

    def render(self, published: Event, form: event.Format = "event") -> dict[str, Any]:
        return event.render(published, self._inbox.get(published.sending.ses_id), form)

    def _expect(self, sending: Sending, since: float, happening: Happening) -> None:
        if happening.after <= 0.0 or len(self._to_come) >= self._keep:
            self._publish(since + happening.after, sending, happening)
        else:
            heappush(self._to_come, (since + happening.after, next(self._order), sending, happening))

    def _publish(self, at: float, sending: Sending, happening: Happening) -> None:
        kind = happening.kind
        feedback_id = self._feedback_id(sending) if kind in _WITH_FEEDBACK_ID else ""
        published = event.Event(
            next(self._numbers), at, kind, sending, happening.recipients, happening.detail, feedback_id
        )
        self._events.append(published)
        for listener in self.listeners:
            listener(published)
        if kind == "Delivery" and mailbox_simulator_name(happening.recipients[0]) == "ooto":
            self.auto_replies.append(AutoReply(at, sending.sender, happening.recipients[0], sending.ses_id))
        for following in happening.then:
            self._expect(sending, at, following)

    def _feedback_id(self, sending: Sending) -> str:
        noise = f"{self._random.getrandbits(128):032x}"
        return f"{sending.ses_id[:16]}-{noise[:8]}-{noise[8:12]}-{noise[12:16]}-{noise[16:20]}-{noise[20:]}-000000"

    def _plan(self) -> None:
        """Call ``wake`` when the next event is due. If the clock is frozen, the code that moves it calls ``wake``."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._to_come:
            return
        wait = self._to_come[0][0] - self._clock.now()
        if wait <= 0.0 or not self._clock.frozen:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wait), self.wake)


_WITH_FEEDBACK_ID: frozenset[Kind] = frozenset({"Bounce", "Complaint"})
