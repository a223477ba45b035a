"""One account, its queue, and workers that consist of a `Take` and its `Leases` only."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis

from mailer.queue import limits
from mailer.queue.connection import connect
from mailer.queue.headers import LOST
from mailer.queue.keys import Keys
from mailer.queue.leases import Leases
from mailer.queue.limits import SesLimits
from mailer.queue.queue import Entry, Queue
from mailer.queue.settlement import Settlement
from mailer.queue.take import Answer, Call, Take
from mailer.rules import Lanes, Rules
from mailer.settings import Settings
from ops.soak.passage import pass_time
from tests.support import REPOSITORY
from tests.support.clock import Still, monotonic, now_us

LANES = Lanes(("transactional", "bulk"))
SENT = Settlement("sent")
ANY_RATE = 1e6


def envelope(message_id: str, *, content: str = "", eta: str | None = None, retries: int = 0) -> bytes:
    headers = {"task": "mailer.send", "id": message_id, "eta": eta, "retries": retries}
    if content:
        headers["mailer_content"] = content
    encoding = {"content-type": "application/json", "content-encoding": "utf-8"}
    whole = {"body": "[[], {}, {}]", "headers": headers, "properties": {"delivery_info": {}}, **encoding}
    return json.dumps(whole).encode()


class Worker:
    """A worker process from Redis's point of view."""

    def __init__(
        self, account: Account, lease_seconds: float = 60.0, lanes: tuple[str, ...] = LANES, **records: Any
    ) -> None:
        self._client = account.client
        self._take = Take(account.keys, Rules(lanes=LANES, lease_seconds=lease_seconds, **records))
        self._served = lanes
        self.leases = Leases(monotonic)
        self.answer: Answer | None = None

    def take(self, wanted: int) -> dict[str, str]:
        """Take messages. Returns their ids by tag, in the order in which Redis handed them out."""
        tags = self.take_raw(wanted)
        assert self.answer is not None
        messages = [json.loads(taken) for taken in self.answer.envelopes]
        for tag, message in zip(tags, messages, strict=True):
            if LOST in message:
                self.leases.suspect(tag)
        return {tag: message["headers"]["id"] for tag, message in zip(tags, messages, strict=True)}

    def take_raw(self, wanted: int) -> list[str]:
        """Take messages that may be invalid JSON. Returns their tags."""
        self.answer, tags = self.leases.ask(self._client, self._take, wanted, self._served)
        return tags

    def carry_out(self, call: Call, served: tuple[str, ...] = LANES) -> Answer:
        """Let Redis carry out a call, and return an answer that the leases do not see."""
        return self._take.run(self._client, call, served)

    @property
    def asks_again_at(self) -> float:
        """The time for the next call according to the latest answer, in epoch seconds on Redis's clock."""
        assert self.answer is not None
        assert self.answer.wait_seconds is not None
        return self.answer.redis_us / 1e6 + self.answer.wait_seconds

    def settle(self, tag: str, verb: str, first: object = "", second: object = "", note: str = "") -> None:
        """Settle a message and tell Redis at once."""
        self.settle_later(tag, verb, first, second, note)
        self.take(0)

    def settle_later(self, tag: str, verb: str, first: object = "", second: object = "", note: str = "") -> None:
        """Settle a message. The next call tells Redis."""
        self.leases.settle(tag, Settlement(verb, first, second, note))

    def flush(self) -> None:
        """Tell Redis all settlements."""
        while self.leases.unsettled:
            self.take(0)


def producers_rights(keys: Keys) -> list[str]:
    """The rights of a producer's user in docs/operate/deploy.md."""
    page = (REPOSITORY / "docs" / "operate" / "deploy.md").read_text(encoding="utf-8")
    rights = page.split("ACL SETUSER producer on >secret ")[1].split("```")[0].replace("\\\n", " ").replace('"', "")
    return re.findall(r"\([^)]*\)|\S+", rights.replace("mailer:{default}", keys.prefix[:-1]))


class Account:
    """One account in Redis."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: redis.Redis = connect(settings)
        self.keys = Keys.of(settings)
        self.queue = Queue(self.client, self.keys)

    def allow(
        self,
        rate: float,
        quota: int = -1,
        *,
        burst: float | None = None,
        sent: float | None = None,
        allows: bool | None = None,
        **settings: object,
    ) -> None:
        with_burst = self.settings.model_copy(update={"burst": burst, **settings})
        allow(self.client, with_burst, rate, quota, sent=sent, allows=allows)

    def now_us(self) -> int:
        """Redis's clock in epoch microseconds. While the scripts' clock stands still, that one."""
        return now_us(self.client)

    def wait(self, minutes: int) -> None:
        """Let ``minutes`` pass. Messages in flight stay leased."""
        pass_time(self.client, self.keys, minutes, in_flight=True)

    def end_leases(self) -> None:
        """Move every lease's end into the past, at least an hour earlier. The leases keep their order."""
        self._make_older(self.keys.leases)

    def make_due(self) -> None:
        """Make all messages due that are scheduled within an hour. A real worker still obeys their ``eta``."""
        self._make_older(self.keys.schedule)

    def _make_older(self, key: str) -> None:
        for member in self.raw(key):
            # `xx`: a worker may have removed it in the meantime.
            self.client.zadd(key, {member: -3600e6}, xx=True, incr=True)

    def put(
        self, lane: str, count: int = 1, *, due_in: float = 0, content: tuple[str, bytes] | None = None
    ) -> list[str]:
        ids = [str(uuid.uuid4()) for _ in range(count)]
        due_us = self.now_us() + int(due_in * 1e6) if due_in else 0
        entries = [Entry(each, envelope(each, content=content[0] if content else ""), due_us) for each in ids]
        return self.queue.put(lane, entries, content=content)

    def length(self, lane: str) -> int:
        keys = self.keys
        return sum(int(self.client.llen(key)) for key in (keys.lane(lane), keys.suspects(lane), keys.large(lane)))

    def field(self, name: str) -> str | None:
        value = self.client.hget(self.keys.account, name)
        return value.decode() if isinstance(value, bytes) else None

    def aside(self, shelf: str) -> dict[str, dict[str, object]]:
        """The reasons on a shelf, by message id."""
        stored: dict[bytes, bytes] = self.client.hgetall(self.keys.aside(shelf))  # type: ignore[assignment]
        return {key.decode(): json.loads(value.split(b"\n", 1)[0]) for key, value in stored.items()}

    def hosts(self) -> dict[str, str]:
        """The reasons of the workers that cannot send, by worker."""
        stored: dict[bytes, bytes] = self.client.hgetall(self.keys.hosts)  # type: ignore[assignment]
        return {key.decode(): value.decode().split(" ", 2)[2] for key, value in stored.items()}

    def whereabouts(self) -> list[str]:
        """The id of every message, once for each of its places."""
        keys = self.keys
        lists = (*map(keys.lane, LANES), *map(keys.suspects, LANES), *map(keys.large, LANES))
        places = [*lists, keys.leased, keys.schedule, keys.aside("dead"), keys.aside("held")]
        return [found for place in places for found in self.whereabouts_of(place)]

    def whereabouts_of(self, key: str) -> list[str]:
        """The ids of the messages in a key, in its order."""
        return [json.loads(value.rsplit(b"\n", 1)[-1])["headers"]["id"] for value in self.raw(key)]

    def raw(self, key: str) -> list[bytes]:
        """The values of a key, in its order."""
        read: dict[Any, Callable[[], Any]] = {
            b"list": lambda: self.client.lrange(key, 0, -1),
            b"hash": lambda: self.client.hvals(key),
            b"zset": lambda: self.client.zrange(key, 0, -1),
            b"string": lambda: [self.client.get(key)],
            b"none": list,
        }
        found: list[bytes] = read[self.client.type(key)]()
        return found

    def whereabouts_of_shelf(self, shelf: str) -> list[str]:
        """The ids of the readable messages on a shelf."""
        found = []
        for value in self.raw(self.keys.aside(shelf)):
            with suppress(ValueError, TypeError, KeyError):
                found.append(json.loads(value.rsplit(b"\n", 1)[-1])["headers"]["id"])
        return found


def allow(
    client: redis.Redis,
    settings: Settings,
    rate: float,
    quota: int = -1,
    *,
    sent: float | None = None,
    allows: bool | None = None,
) -> None:
    """Write the limits as a worker with this rate and quota does. ``sent`` or ``allows`` adds an answer of SES, which
    allows any rate."""
    told = settings.model_copy(update={"rate_per_second": rate, "quota_per_day": quota})
    ses = None if sent is None and allows is None else SesLimits(ANY_RATE, -1, sent, allows is not False)
    limits.write(client, told, "worker", ses)


@pytest.fixture
def still(client: redis.Redis) -> Iterator[Still]:
    """Redis's clock stands still for the scripts until the test moves it, however busy the machine is."""
    with Still(client) as clock:
        yield clock


@pytest.fixture
def account(settings: Settings) -> Iterator[Account]:
    found = Account(settings)
    found.allow(rate=100_000, burst=10_000)
    yield found
    found.client.close()


@pytest.fixture
def worker(account: Account) -> Worker:
    return Worker(account)
