"""What a script may meet in the middle, each put on and taken off again; and a little of everything to run through."""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import redis
from pydantic import SecretStr

import mailer.queue.script
from mailer.errors import QueueUnavailable
from mailer.operations.status import read_status
from mailer.queue.bounds import LARGE_BYTES
from mailer.queue.keys import LOWER_PRIORITIES, PRIORITY_SEPARATOR, Keys
from mailer.queue.move import purge
from mailer.queue.pause import resume
from mailer.queue.queue import Entry
from mailer.queue.script import script
from mailer.queue.search import Whereabouts
from mailer.queue.settlement import Settlement
from mailer.queue.shelf import Filter, Shelf
from tests.support.account import LANES, Account, Worker, envelope
from tests.support.clock import Still

LUA = Path(mailer.queue.script.__file__).parent / "lua"
SCRIPTS = sorted(path.stem for path in LUA.glob("*.lua"))
_RUN_BY = {"take": "worker", "put": "producer", "limits": "host"}  # all others by the operator
USERS = ("worker", "producer", "host", "operator")
RIGHTS = ("~*", "&*", "+@all", "-@admin", "-@dangerous", "+info")
_ARGUMENTS = {"COUNT", "LEFT", "LIMIT", "PXAT", "RIGHT", "TIME", "WITHSCORES"}  # TIME: the clock is another one
GARBAGE = b"\xff not what it was"
CONTENT = ("abc123", b"the body")
QUOTA = 10_000
VERBS = (
    "sent",
    "forget",
    "back",
    "unfit",
    "throttled",
    "over_quota",
    "stop",
    "retry",
    "resend",
    "defer",
    "dead",
    "hold",
)


def commands_of(user: str) -> list[str]:
    """Every command that the user's scripts may call, in small letters, as their texts have them."""
    lines = [
        line for name in SCRIPTS if _RUN_BY.get(name, "operator") == user for line in script(name).text.splitlines()
    ]
    calls = [line for line in lines if "redis." in line and "call" in line]
    words = {word for line in calls for word in re.findall(r"'([A-Z]{3,})'", line)}
    return sorted(word.lower() for word in words - _ARGUMENTS)


def keys_of(keys: Keys) -> dict[str, str]:
    """Every key that a script reads or writes, by a name for the test."""
    lanes = {lane: keys.lane(lane) for lane in LANES}
    named = dict(vars(keys))
    shelves = {shelf: keys.aside(shelf) for shelf in ("dead", "held")}
    indexes = {f"{shelf}-index": keys.aside_index(shelf) for shelf in ("dead", "held")}
    low = {"low": f"{keys.lane('bulk')}{PRIORITY_SEPARATOR}{LOWER_PRIORITIES[0]}"}
    bells = {f"doorbell-{lane}": keys.doorbell(lane) for lane in LANES}
    suspects = {f"suspects-{lane}": keys.suspects(lane) for lane in LANES}
    large = {f"large-{lane}": keys.large(lane) for lane in LANES}
    del named["prefix"], named["pattern"], named["_control"], named["doorbells"]
    return named | bells | suspects | large | lanes | shelves | indexes | low


class User:
    """The account through a user of its own, from whom a command can be taken."""

    def __init__(self, admin: Account, name: str) -> None:
        self._admin, self._name = admin.client, f"{name}-{admin.settings.account}"
        url = admin.settings.redis_url.get_secret_value()  # type: ignore[union-attr]
        self.allow()
        its_own = SecretStr(url.replace("redis://", f"redis://{self._name}:x@"))
        self.account = Account(admin.settings.model_copy(update={"redis_url": its_own}))

    def allow(self, *more: str) -> None:
        self._admin.execute_command("ACL", "SETUSER", self._name, "reset", "on", ">x", *RIGHTS, *more)

    @contextmanager
    def without(self, command: str) -> Iterator[None]:
        self.allow(f"-{command}")
        try:
            yield
        finally:
            self.allow()

    def close(self) -> None:
        self.account.client.close()
        self._admin.execute_command("ACL", "DELUSER", self._name)


@contextmanager
def foreign(client: redis.Redis, key: str) -> Iterator[None]:
    """Somebody else's value lies under the key."""
    was_there = client.exists(key)
    if was_there:
        client.rename(key, f"{key}~")
    if key.endswith(("schedule-number", "durable")):
        client.lpush(key, "somebody else's")
    else:
        client.set(key, "somebody else's")
    try:
        yield
    finally:
        client.delete(key)
        if was_there:
            client.rename(f"{key}~", key)


@contextmanager
def full(client: redis.Redis) -> Iterator[None]:
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")


class Load:
    """One account, and a little of everything that is done with it. What becomes of each message is counted."""

    def __init__(self, admin: Account, still: Still, users: dict[str, User]) -> None:
        self.admin, self._still = admin, still
        self._producer, self._operator = users["producer"].account, users["operator"].account
        self._limits = users["host"].account
        self.workers = [Worker(users["worker"].account), Worker(users["worker"].account)]
        self.accepted: set[str] = set()
        self.ended: Counter[str] = Counter()
        """Id -> how often it was sent or let go of."""
        self._refused: list[tuple[str, list[Entry]]] = []
        self._unsettled: list[tuple[Worker, str, str]] = []
        self._numbers = iter(range(10**6))

    # -- before, meanwhile and after

    def prepare(self) -> None:
        """Something lies everywhere."""
        self.admin.allow(1000, QUOTA, burst=500)
        self._put("transactional", 6)
        self._put("bulk", 20)
        lost = Worker(self.admin)
        lost.take(10)
        first, second = self.workers
        # Workers that call meanwhile: so what was lost is reclaimed while something stands in the way.
        for _ in range(3):
            self._still.advance(19.8)
            first.take(0)
        self._hold(first, 4)
        for verb in ("dead", "dead", "hold", "hold"):
            self._settle(verb)
        first.flush()
        self._put("bulk", 16, content=True)
        self._put("transactional", 3, due_in=1)
        self._put("bulk", 3, due_in=40)
        self._low(2)
        self._large(2)
        self._hold(first, 6)
        self._hold(second, 6)

    def run(self) -> None:
        """Whatever is refused is refused."""
        for i, verb in enumerate(VERBS):
            self._settle(verb)
            if i % 4 == 3:
                self._flush()
        for lane in LANES:
            self._put(lane, 2, keyed=True)
            self._put(lane, 2, keyed=True, content=True)
            self._put(lane, 2, keyed=True, due_in=1)
        self._put("bulk", 3, keyed=True, content=True, mixed=True)
        self._low(2)
        self._large(2)
        with suppress(QueueUnavailable):
            self.ended.update(self._let_go("held"))
        with suppress(QueueUnavailable, redis.exceptions.RedisError):
            Shelf(self._operator.queue, "dead", LANES).requeue(Filter())
        self._look_and_purge()
        with suppress(redis.exceptions.RedisError):
            self._limits.allow(1000, QUOTA, burst=500, sent=0)
        for worker in self.workers:
            self._still.advance(1.5)
            self._take(worker, 4)
        self._flush()

    def flow(self) -> None:
        """What was refused is sent again by its caller, and workers do nothing but send."""
        for lane, entries in self._refused:
            again = [Entry(f"{each.id}-again", _renamed(each), each.due_us, each.idempotency) for each in entries]
            ids = self.admin.queue.put(lane, again, content=CONTENT if _has_content(again) else None)
            assert ids == [each.id for each in again], "the key of a message that was refused is taken"
            self.accepted.update(ids)
        # What SES has said of the account is doubted for some minutes, then asked for again and forgotten.
        for step in range(200):
            self._still.advance(1.5 if step < 20 else 20)
            for worker in self.workers:
                self._take(worker, 50)
                if worker.answer is not None and worker.answer.refresh_limits:
                    self.admin.allow(1000, QUOTA, burst=500, sent=0)
            if not any(self._left().values()):
                return

    def _left(self) -> dict[str, list[bytes]]:
        keys = keys_of(self.admin.keys)
        return {
            place: self.admin.raw(keys[place])
            for place in (*LANES, "suspects-transactional", "large-bulk", "low", "schedule", "leased", "leases")
        }

    def check(self) -> None:
        """Every accepted message is in exactly one final place, and nothing else is."""
        shelved = Counter(chain(self.admin.whereabouts_of_shelf("dead"), self.admin.whereabouts_of_shelf("held")))
        places = self.ended + shelved
        found = {
            "left": {place: values for place, values in self._left().items() if values},
            "lost": self.accepted - set(places),
            "invented": set(places) - self.accepted,
            "twice": {each for each, count in places.items() if count > 1},
        }
        found = {what: each for what, each in found.items() if each}
        assert not found, found

    # -- the parts

    def _put(
        self,
        lane: str,
        count: int,
        *,
        due_in: float = 0,
        keyed: bool = False,
        content: bool = False,
        mixed: bool = False,
    ) -> None:
        hash_ = CONTENT[0] if content else ""
        names = [str(uuid.uuid4()) for _ in range(count)]
        due = self._still.us + int(due_in * 1e6) if due_in else 0
        soon = self._still.us + 1_000_000
        entries = [
            Entry(
                name,
                envelope(name, content=hash_),
                soon if mixed and i == 0 else due,
                uuid.uuid4().hex if keyed else "",
            )
            for i, name in enumerate(names)
        ]
        where = self._producer if keyed else self.admin
        try:
            self.accepted.update(where.queue.put(lane, entries, content=CONTENT if content else None))
        except QueueUnavailable as error:
            if error.enqueued is not False:
                raise
            self._refused.append((lane, entries))

    def _low(self, count: int) -> None:
        """As stock Celery puts them."""
        key = keys_of(self.admin.keys)["low"]
        if self.admin.client.type(key) in (b"list", b"none"):
            for name in (str(uuid.uuid4()) for _ in range(count)):
                with suppress(redis.exceptions.ResponseError):
                    self.admin.client.lpush(key, envelope(name))
                    self.accepted.add(name)

    def _large(self, count: int) -> None:
        """As a foreign producer puts them."""
        key = self.admin.keys.lane("bulk")
        if self.admin.client.type(key) in (b"list", b"none"):
            for name in (str(uuid.uuid4()) for _ in range(count)):
                with suppress(redis.exceptions.ResponseError):
                    self.admin.client.rpush(key, envelope(name) + b" " * LARGE_BYTES)
                    self.accepted.add(name)

    def _hold(self, worker: Worker, count: int) -> None:
        self._unsettled += [(worker, tag, name) for tag, name in worker.take(count).items()]

    def _take(self, worker: Worker, count: int) -> int:
        """Take and send."""
        try:
            tags = worker.take_raw(count)
        except redis.exceptions.RedisError:
            return 0
        assert worker.answer is not None
        for tag, raw in zip(tags, worker.answer.envelopes, strict=True):
            name = _id(raw)
            if name is None:
                worker.settle_later(tag, "dead", "Undecodable", "")
            else:
                if b'"mailer_lost"' in raw:
                    worker.leases.suspect(tag)
                self.ended[name] += 1
                worker.settle_later(tag, "sent", name, "", f"{name}\tbulk\t1\t2\t1\tabc\tses-id\t")
        return len(tags)

    def _settle(self, verb: str) -> None:
        if not self._unsettled:
            return
        worker, tag, name = self._unsettled.pop(0)
        again = envelope(name, retries=1).decode()
        arguments: dict[str, tuple[Any, Any]] = {
            "sent": (name, ""),
            "unfit": ("worker@host", "no credentials"),
            "over_quota": ("TooManyRequests", "quota"),
            "stop": ("SendingPaused", "paused"),
            "retry": (1_000_000, again),
            "resend": (1_000_000, again),
            "defer": (self._still.us + 1_000_000, again),
            "dead": ("MessageRejected", "no"),
            "hold": ("Unknown", "nobody knows"),
        }
        self.ended[name] += verb in ("sent", "forget")
        first, second = arguments.get(verb, ("", ""))
        note = f"{name}\tbulk\t1\t2\t1\tabc\t\t" if verb in ("sent", "retry", "dead") else ""
        worker.leases.settle(tag, Settlement(verb, first, second, note))

    def _flush(self) -> None:
        for worker in self.workers:
            with suppress(redis.exceptions.RedisError):
                worker.take(0)

    def _look_and_purge(self) -> None:
        """The other things that a person does."""
        client, keys = self._operator.client, self._operator.keys
        with suppress(QueueUnavailable, redis.exceptions.RedisError):
            Whereabouts(client, keys, LANES).of("an id of no message")
        with suppress(QueueUnavailable, redis.exceptions.RedisError):
            read_status(client, self._operator.settings)
        with suppress(QueueUnavailable, redis.exceptions.RedisError):
            resume(client, keys, LANES)
        lists = keys.suspects("bulk"), keys.lane("bulk"), keys.large("bulk")
        before = Counter(chain(*map(self.admin.raw, lists)))
        with suppress(redis.exceptions.RedisError):
            purge(client, keys, "bulk", 2)
        for raw in before - Counter(chain(*map(self.admin.raw, lists))):
            self.ended[str(_id(raw))] += 1

    def _let_go(self, shelf: str) -> list[str]:
        """The first that lies there is dropped."""
        try:
            found = next(iter(Shelf(self._operator.queue, shelf, LANES)), None)  # type: ignore[arg-type]
        except redis.exceptions.RedisError:
            return []
        if found is None:
            return []
        return [found.id] * Shelf(self._operator.queue, shelf, LANES).drop(found.name).dropped  # type: ignore[arg-type]


def _id(raw: bytes) -> str | None:
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(raw)["headers"]["id"])
    return None


def _renamed(entry: Entry) -> bytes:
    return entry.envelope.replace(entry.id.encode(), f"{entry.id}-again".encode())


def _has_content(entries: list[Entry]) -> bool:
    return any(b"mailer_content" in each.envelope for each in entries)
