"""Messages of a hostile or careless producer, as they are in Redis. Add new ones to `MESSAGES`."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_MB = 1_000_000
PLAIN = {"to": "jane@example.com", "sender": "shop@example.com", "subject": "Hello", "text": "Hello."}


def envelope(name: str, body: str, *, task: str = "mailer.send", **headers: Any) -> bytes:
    """A Celery message with the text ``body`` as its body. Its other members are those of stock Celery."""
    message = {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": task, "id": name, "retries": 0, "eta": None, "expires": None, **headers},
        "properties": {"delivery_info": {}, "body_encoding": None},
    }
    return json.dumps(message).encode()


def mail(name: str, **fields: Any) -> bytes:
    """The envelope of a mail with these arguments."""
    return envelope(name, json.dumps([[], {**PLAIN, **fields}, {}]))


def bomb(gigabytes: float) -> bytes:
    """A message with Celery's ``compression`` whose body unpacks to so many gigabytes of zeros."""
    deflate = zlib.compressobj(9)
    start = deflate.compress(bytes(_MB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    # A full flush ends an independent block, which can be repeated.
    block = deflate.compress(bytes(_MB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    packed = start + block * round(gigabytes * 1000)
    made = json.loads(envelope("bomb", base64.b64encode(packed).decode(), compression="application/x-gzip"))
    made["properties"]["body_encoding"] = "base64"
    return json.dumps(made).encode()


@dataclass(frozen=True, slots=True)
class Hostile:
    """``make`` yields the envelopes. All are enqueued at once into ``queue``, and none of them may be sent."""

    name: str
    make: Callable[[], Iterator[bytes]]
    queue: str = "bulk"
    quick: bool = True
    """Whether it is part of the short trial."""


def one(message: Callable[[], bytes]) -> Callable[[], Iterator[bytes]]:
    """A ``make`` for a single message. The message is large, so it is made only on demand."""

    def make() -> Iterator[bytes]:
        yield message()

    return make


def _map() -> bytes:
    items = json.dumps([[{"task": "celery.accumulate"}, ["x" * 20] * 125_000], {}, {}])
    return envelope("map", items, task="celery.map")


def _chord_unlock() -> Iterator[bytes]:
    for number in range(20):
        body = json.dumps([["group", {"task": "celery.accumulate"}], {"result": [], "interval": 0.001}, {}])
        yield envelope(f"unlock-{number}", body, task="celery.chord_unlock")


def _long_ids() -> Iterator[bytes]:
    for number in range(16):
        yield envelope(f"{number}-" + "x" * 6 * _MB, json.dumps([[], PLAIN, {}]))


def _whole(body: str) -> str:
    """The body of a mail with this JSON text as one of its arguments."""
    return (
        '[[], {"to": "jane@example.com", "sender": "a@example.com", "subject": "-", "text": "-", "x": '
        + body
        + "}, {}]"
    )


MESSAGES: Sequence[Hostile] = (
    # The baseline: the delay of urgent mail on this machine without hostile messages.
    Hostile("nothing", lambda: iter(())),
    Hostile("celery.map over 3 MB", one(_map)),
    Hostile("20 chord_unlock", _chord_unlock),
    Hostile("1.9 MB that unpack to 2 GB", one(lambda: bomb(2))),
    Hostile("16 ids of 6 MB", _long_ids, quick=False),
    Hostile("lists in lists, 9 MB", one(lambda: envelope("deep", "[" * 9 * _MB)), quick=False),
    Hostile("lists in lists, 100,000 deep", one(lambda: envelope("deeper", _whole("[" * 100_000)))),
    Hostile("99,000 empty lists", one(lambda: envelope("many", _whole("[" + "[]," * 99_000 + "[]]")))),
    Hostile("3 million empty objects, 9 MB", one(lambda: envelope("more", _whole("[" + "{}," * 3 * _MB + "{}]")))),
    Hostile(
        "numbers of 18 digits, 9 MB",
        one(lambda: envelope("digits", _whole('"' + "123456789012345678 " * 470_000 + '"'))),
    ),
    Hostile("a subject of 9 MB", one(lambda: mail("subject", subject="x" * 9 * _MB)), quick=False),
    Hostile("9 MB of text to nobody", one(lambda: mail("text", to="nobody", text="x " * 4_500_000))),
    Hostile(
        "8 of 6 MB, urgent",
        lambda: (mail(f"six-{i}", to="nobody", html="x" * 6 * _MB) for i in range(8)),
        "transactional",
    ),
    Hostile("60 of 9 MB", lambda: (mail(f"nine-{i}", to="nobody", text="x" * 9 * _MB) for i in range(60)), quick=False),
    Hostile(
        "9 MB of what is looked for in it",
        one(lambda: mail("letters", to="nobody", text="i" * 4 * _MB + '"' * _MB + "m" * 4 * _MB)),
    ),
    Hostile("a body of 60 MB", one(lambda: mail("60", text="x" * 60 * _MB)), quick=False),
    Hostile("a body of 300 MB", one(lambda: mail("300", text="x" * 300 * _MB)), quick=False),
    Hostile("1,000 in a queue that is no lane", lambda: (mail(f"stray-{i}") for i in range(1000)), "no-lane"),
    Hostile("a queue of a control key's name", lambda: (mail(f"control-{i}") for i in range(100)), "@account"),
)
