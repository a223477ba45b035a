"""What is tried: the door that decodes what lies in the queue, and the producer."""

from __future__ import annotations

import json
import reprlib
from random import Random
from typing import Any, Protocol

from mailer.delivery.outcome import Kind
from mailer.errors import InvalidMessage
from mailer.mail.content import Structured, hash_of
from mailer.mail.message import Message
from mailer.mail.raw import Raw
from mailer.producer.producer import Producer
from mailer.queue.payload import decode
from mailer.queue.queue import Queue
from mailer.settings import Settings
from mailer.worker.app import create_app
from mailer.worker.door import Door
from tests.unit.producer.fuzz import good
from tests.unit.producer.fuzz.inspection import Finding, inspect
from tests.unit.producer.fuzz.spoiling import spoilt, spoilt_arguments
from tests.unit.simulator.fuzz import mutation

MESSAGE_ID = "0b6c2bb4-7d0b-4b2a-9d4c-1f7f3f5f8a10"


class Target(Protocol):
    name: str

    def attempt(self, random: Random) -> str:
        """One try; returns a word for what became of it. Raises Finding."""
        ...


class Payloads:
    """Arguments and stored contents as they may lie in the queue, through `mailer.queue.payload.decode`."""

    name = "payloads"

    def __init__(self) -> None:
        self._contents = [
            Structured.of(templates=True, **good.TEMPLATES).encoded,
            Raw.of(good.RAW, tags={"a": "b"}).encoded,
            Raw.of(good.RAW.replace(b"\r\n", b"\n"), sender="b@example.com").encoded,
        ]

    def attempt(self, random: Random) -> str:
        digest: object = None
        stored = random.choice(self._contents)
        if random.random() < 0.5:
            kwargs = as_json(spoilt_arguments(random, good.INLINE))
        else:
            kwargs = as_json(spoilt_arguments(random, good.REFERENCE))
            if random.random() < 0.5:
                stored = mutation.spoilt(random, stored, 3)
            digest = hash_of(stored) if random.random() < 0.95 else spoilt(random, hash_of(stored))
        if not isinstance(kwargs, dict):
            return "refused"
        try:
            message = decode(kwargs, lambda _: stored, message_id=MESSAGE_ID, content_hash=digest)
        except InvalidMessage as error:
            return _refused(error)
        except Exception as error:
            raise Finding(f"{type(error).__name__} for {shown(kwargs)} {stored!r:.500}") from error
        inspect(message)
        return "accepted"


class Doors:
    """Whole requests as Celery hands them to the task: every header and argument of any JSON type."""

    name = "doors"

    def __init__(self, settings: Settings) -> None:
        self._door: Door = create_app(settings).tasks["mailer.send"]

    def attempt(self, random: Random) -> str:
        request: dict[str, Any] = {"id": MESSAGE_ID, "args": [], "kwargs": good.INLINE, "mailer_content": None}
        changed = {name: each for name, each in spoilt_arguments(random, request).items() if name != "id"}
        headers = {name: as_json(each) for name, each in changed.items()}
        found = self._door._message(request | {"args": None, "kwargs": {}} | headers, self._door.contents.content)
        if isinstance(found, Message):
            inspect(found)
            return "accepted"
        if found.kind is not Kind.REJECTED:
            raise Finding(f"{found} for {shown(changed)}")
        if not found.code or not found.detail:
            raise Finding(f"no words for {shown(changed)}")
        return "dead letter"


class Sends:
    """The producer's arguments, against a real queue: an error that names a field, or good mail."""

    name = "sends"

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._producer = Producer(queue)

    def attempt(self, random: Random) -> str:
        if random.random() < 0.6:
            arguments = spoilt_arguments(random, good.send_arguments(random))
            call: Any = self._producer.send
        else:
            arguments = spoilt_arguments(random, good.send_many_arguments(random))
            call = self._producer.send_many
        self._clear()
        try:
            call(**arguments)
        except InvalidMessage as error:
            if self._enqueued():
                raise Finding(f"refused and enqueued: {error}") from error
            return _refused(error)
        except Exception as error:
            raise Finding(f"{type(error).__name__} for {shown(arguments)}") from error
        envelopes = self._enqueued()
        for envelope in envelopes:
            read = json.loads(envelope)
            content = read["headers"].get("mailer_content")
            _, kwargs, _ = json.loads(read["body"])
            try:
                message = decode(kwargs, self._queue.content, message_id=read["headers"]["id"], content_hash=content)
            except InvalidMessage as error:
                raise Finding(f"accepted, and the worker refuses it: {error}; {shown(arguments)}") from error
            inspect(message)
        return "accepted"

    def _enqueued(self) -> list[bytes]:
        client, keys = self._queue.client, self._queue.keys
        with client.pipeline() as pipe:
            for lane in ("transactional", "bulk"):
                pipe.lrange(keys.lane(lane), 0, -1)
            pipe.zrange(keys.schedule, 0, -1)
            first, second, scheduled = pipe.execute()
        return [*first, *second, *(each.rsplit(b"\n", 1)[-1] for each in scheduled)]

    def _clear(self) -> None:
        found = list(self._queue.client.scan_iter(match=self._queue.keys.pattern, count=1000))
        if found:
            self._queue.client.delete(*found)


_short = reprlib.Repr()
_short.maxlevel, _short.maxdict, _short.maxstring, _short.maxother = 4, 20, 200, 200
shown = _short.repr


def as_json(value: Any) -> Any:
    """``value`` as it comes out of the queue: what JSON cannot say has become text."""
    try:
        return json.loads(json.dumps(value, default=repr, skipkeys=True))
    except (ValueError, RecursionError):
        # Nested too deep for JSON, and for repr.
        return type(value).__name__


def _refused(error: InvalidMessage) -> str:
    if not (error.field and error.problem and error.remedy) or len(str(error)) > 2000:
        raise Finding(f"an error that does not help: {error!r:.500}")
    return "refused"
