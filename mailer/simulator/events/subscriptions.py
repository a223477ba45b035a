"""Every destination in force. Passes each event to the destinations that want it."""

from __future__ import annotations

import json
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mailer.simulator.events import sns
from mailer.simulator.events.reach import Reach
from mailer.simulator.events.webhook import Webhook

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from mailer.simulator.clock import Clock
    from mailer.simulator.events.destination import Destination
    from mailer.simulator.events.event import Event, Format
    from mailer.simulator.events.publisher import Publisher
    from mailer.simulator.events.queue import Queue
    from mailer.simulator.events.sqs import Sqs


_MOST = 100


class Subscriptions:
    """Listens to the publisher. ``start`` subscribes the initial destinations, once the simulator's address is known.

    Webhooks may lead to loopback, to the hosts of the initial webhooks, and to the ``allowed`` hosts.
    """

    def __init__(
        self,
        destinations: Sequence[Destination],
        publisher: Publisher,
        sqs: Sqs,
        clock: Clock,
        random: Random,
        *,
        region: str,
        keep: int,
        allowed: Sequence[str] = (),
    ) -> None:
        self._initial = destinations
        named = [urlsplit(each.target).hostname or "" for each in destinations if each.kind == "webhook"]
        self._reach = Reach([*allowed, *named])
        self._publisher = publisher
        self._sqs = sqs
        self._clock = clock
        self._random = random
        self._region = region
        self._keep = keep
        self._numbers = count(1)
        self.sns = sns.Sns(random)
        self._webhooks: dict[int, Webhook] = {}
        self._queues: dict[int, Destination] = {}

    def start(self, url: str) -> None:
        """``url`` is the simulator's address."""
        self.sns.url = self._sqs.url = url
        for destination in self._initial:
            self.add(destination)

    def stop(self) -> None:
        for webhook in self._webhooks.values():
            webhook.stop()
        self._webhooks.clear()
        self._queues.clear()
        self._listen()

    def reset(self) -> None:
        """Return to the initial state. A confirmed webhook stays confirmed: the test that confirmed it has ended."""
        confirmed = {webhook.destination for webhook in self._webhooks.values() if webhook.confirmed}
        self.stop()
        self._sqs.clear()
        for destination in self._initial:
            self.add(destination, confirmed=destination in confirmed)

    def add(self, destination: Destination, *, confirmed: bool = False) -> dict[str, Any]:
        """Subscribe, and return the destination's part of ``to_json``. ValueError if that is not allowed."""
        if len(self._webhooks) + len(self._queues) >= _MOST:
            raise ValueError(f"there are {_MOST} destinations already: remove one")
        if destination.kind == "webhook":
            self._reach.check(destination.target)
        number = next(self._numbers)
        topic = self.sns.topic(self._region, destination.topic)
        if destination.kind == "queue":
            queue = self._sqs.queue(destination.target)
            self._queues[number] = destination
            if destination.announce:
                self._put(destination, queue, sns.VALIDATED)
        else:
            webhook = Webhook(destination, topic, self.sns, self._clock, self._reach, self._keep)
            webhook.confirmed = webhook.confirmed or confirmed
            self._webhooks[number] = webhook
            webhook.start()
        self._listen()
        return next(each for each in self.to_json() if each["number"] == number)

    def remove(self, number: int) -> bool:
        webhook = self._webhooks.pop(number, None)
        if webhook is not None:
            webhook.stop()
        found = webhook is not None or self._queues.pop(number, None) is not None
        self._listen()
        return found

    def confirm(self, topic: str, token: str) -> str | None:
        """The ARN of the subscription that this token confirms, or None."""
        for webhook in self._webhooks.values():
            if webhook.topic == topic and webhook.confirm(token):
                return webhook.subscription
        return None

    def unsubscribe(self, subscription: str) -> None:
        for webhook in self._webhooks.values():
            if webhook.subscription == subscription:
                webhook.unsubscribe()

    def to_json(self) -> list[dict[str, Any]]:
        shown = [{"number": number, **webhook.to_json()} for number, webhook in self._webhooks.items()]
        for number, destination in self._queues.items():
            url, queue = self._sqs.url_of(destination.target), self._sqs.queues.get(destination.target)
            counts = {} if queue is None else queue.to_json()
            shown.append({"number": number, **destination.to_json(), "queue_url": url, **counts})
        return sorted(shown, key=lambda each: int(str(each["number"])))

    def _listen(self) -> None:
        """Listen only while there is a destination. Otherwise no event needs rendering."""
        listeners = self._publisher.listeners
        if self._deliver in listeners:
            listeners.remove(self._deliver)
        if self._webhooks or self._queues:
            listeners.append(self._deliver)

    def _deliver(self, event: Event) -> None:
        texts: dict[Format, str] = {}

        def text(form: Format) -> str:
            if form not in texts:
                texts[form] = json.dumps(self._publisher.render(event, form))
            return texts[form]

        repeat = self._publisher.fates.outcomes.repeat
        for webhook in self._webhooks.values():
            if webhook.confirmed and webhook.destination.wants(event):
                for _ in range(self._times(repeat)):
                    webhook.send(text(webhook.destination.format), _subject(webhook.destination))
        for destination in self._queues.values():
            # By name, as in SNS: a queue that was deleted and made again gets events again.
            queue = self._sqs.queues.get(destination.target)
            if queue is not None and destination.wants(event):
                for _ in range(self._times(repeat)):
                    self._put(destination, queue, text(destination.format))

    def _times(self, repeat: float) -> int:
        return 2 if repeat and self._random.random() < repeat else 1

    def _put(self, destination: Destination, queue: Queue, text: str) -> None:
        body = text if destination.raw else partial(self._enveloped, destination, text, self._clock.now())
        queue.put(body, len(text))

    def _enveloped(self, destination: Destination, text: str, at: float) -> str:
        topic = self.sns.topic(self._region, destination.topic)
        envelope = self.sns.notification(
            topic, f"{topic}:simulator", self.sns.uuid(), text, _subject(destination), at, destination.signature_version
        )
        return sns.body(envelope)


def _subject(destination: Destination) -> str | None:
    # The older notifications have no subject.
    return sns.SUBJECT if destination.format == "event" else None
