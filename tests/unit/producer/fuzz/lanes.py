"""Spoilt envelopes for a lane that real workers serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from mailer.queue.envelope import Envelope
from tests.unit.producer.fuzz import good
from tests.unit.producer.fuzz.spoiling import spoilt
from tests.unit.producer.fuzz.targets import as_json


def spoilt_envelopes(random: Random, count: int) -> Iterator[bytes]:
    """Of messages with ids of their own, whose payload is spoilt in its arguments or in its bytes."""
    # The simulator has no configuration set of that name.
    known = {name: each for name, each in good.INLINE.items() if name != "configuration_set"}
    for number in range(count):
        message_id = f"{number:08x}-7d0b-4b2a-9d4c-1f7f3f5f8a10"
        envelope = json.loads(Envelope("bulk").inline(message_id, good.INLINE, "j***@example.com"))
        body = json.dumps([[], as_json(spoilt(random, known)), {}])
        if random.random() < 0.3:
            at = random.randrange(len(body))
            body = body[:at] + random.choice(["", "\0", '"', "}", "\ud800", "null", body[:at]]) + body[at + 1 :]
        yield json.dumps({**envelope, "body": body}).encode()
