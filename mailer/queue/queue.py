"""The account's queue in Redis, for producers and operators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from mailer.errors import NotOnDisk, QueueUnavailable
from mailer.queue.connection import connect
from mailer.queue.failure import lacks_login, words_of
from mailer.queue.keys import Keys
from mailer.queue.replicas import Replicas
from mailer.queue.script import Script, script
from mailer.queue.session import Session, all_in_use
from mailer.settings import Settings

IDEMPOTENCY_MILLISECONDS = 24 * 60 * 60 * 1000
DISK_SECONDS = 5.0
"""How long a durable send waits for Redis's disk. With ``appendfsync everysec`` a write takes up to two seconds."""
_KNOWN_CONTENTS = 64


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to enqueue.

    ``envelope`` is the whole kombu message as JSON, as stock Celery would push it. ``due_us`` is when the message may
    join its lane, epoch microseconds; 0 means now. ``idempotency`` is the hex digest of its idempotency key; empty
    means no key.
    """

    id: str
    envelope: bytes = field(repr=False)
    due_us: int = 0
    idempotency: str = ""


class Queue:
    """One account's lanes. Thread-safe.

    Each call is one round trip unless its docstring says otherwise. Each raises QueueUnavailable.
    """

    def __init__(self, client: redis.Redis, keys: Keys, replicas: int = 0) -> None:
        self.client = client
        self.keys = keys
        self._replicas = Replicas(client.connection_pool, replicas)
        # The tuple is replaced, never changed, so threads, forks and signal handlers see no partial change. If one
        # overwrites another's change, that costs one upload.
        self._known: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Queue:
        """The queue of these settings, with a client of its own."""
        return cls(connect(settings), Keys.of(settings), settings.redis_replicas)

    def session(self) -> Session:
        """A connection for `put` and `until_durable`, as a context manager."""
        return Session(self.client, self._replicas)

    def put(
        self,
        lane: str,
        entries: Sequence[Entry],
        *,
        content: tuple[str, bytes] | None = None,
        session: Session | None = None,
    ) -> list[str]:
        """Enqueue ``entries`` on ``lane``, all or none.

        ``content`` is the hash and the bytes that the entries refer to. It is stored once, and deleted with the last
        message that refers to it. ``session`` is the connection to use. Returns the id in force of each entry: its own,
        unless its idempotency key was used within the last 24 hours. Then it is the earlier message's id, and nothing
        was enqueued for the entry. Two round trips if Redis no longer has the content.
        """
        if session is None:
            with self.session() as session:
                return self.put(lane, entries, content=content, session=session)
        digest, stored = content or ("", b"")
        reply = put(session.run, self.keys, lane, entries, digest, b"" if digest in self._known else stored)
        if reply in (b"MISSING", "MISSING"):
            reply = put(session.run, self.keys, lane, entries, digest, stored)
        known = self._known
        if digest and known[:1] != (digest,):
            self._known = (digest, *(each for each in known if each != digest))[:_KNOWN_CONTENTS]

        ids = [entry.id for entry in entries]
        for position, earlier in zip(reply[::2], reply[1::2], strict=True):
            ids[int(position) - 1] = earlier.decode() if isinstance(earlier, bytes) else str(earlier)
        return ids

    def check_durable(self, session: Session) -> None:
        """Raises QueueUnavailable if this server cannot answer the commands of `until_durable`."""
        try:
            session.ask("WAITAOF", "1", "0", "1")
            session.ask("INFO", "replication")
        except QueueUnavailable as error:
            if isinstance(error.__cause__, redis.exceptions.ResponseError):
                raise QueueUnavailable(
                    f"durable: Redis cannot confirm what is on its disk and its replicas ({error.__cause__}). Nothing "
                    "was enqueued. Set appendonly yes there (and appendfsync everysec or always), allow this user "
                    "+info, or send without durable"
                ) from error
            raise

    def until_durable(self, session: Session, ids: Sequence[str], seconds: float = DISK_SECONDS) -> None:
        """Wait until all messages put in ``session`` are on Redis's disk and in the memory of its replicas.

        It waits for all replicas that follow now, and for as many as the settings require. Four round trips. Raises
        NotOnDisk with ``ids`` if that takes longer than ``seconds``, or if Redis cannot tell.
        """
        accepted = f"{len(ids)} {'message is' if len(ids) == 1 else 'messages are'} accepted and will be sent"
        milliseconds = str(int(seconds * 1000))
        try:
            # Redis waits only for writes of this connection. For a duplicate another connection wrote the message. So
            # this writes once more, after it.
            session.ask("SET", self.keys.durable, "1", "PX", "1")
            replicas = max(self._replicas.least, session.replicas())
            on_disk, _ = session.ask("WAITAOF", "1", "0", milliseconds, extra_seconds=seconds)
            reached = session.ask("WAIT", str(replicas), milliseconds, extra_seconds=seconds) if replicas else 0
            # A replica that has become the master no longer follows, so it was not counted.
            is_master = session.is_to_master()
        except QueueUnavailable as error:
            raise NotOnDisk(
                f"{accepted}, but Redis did not say whether on its disk and its replicas: {error.__cause__}", ids
            ) from error
        missing = []
        if not on_disk:
            missing.append(
                "not known to be on Redis's disk (with appendfsync no it may never be; else its disk is slow)"
            )
        if reached < replicas:
            missing.append(f"known to {reached} of {replicas} replicas only (one is away or slow)")
        if not is_master:
            missing.append("not known to be on the master (the sentinels are replacing that server)")
        if missing:
            raise NotOnDisk(f"{accepted}, but after {seconds:g} s {' and '.join(missing)}", ids)

    def content(self, digest: str) -> bytes | None:
        """The shared content with that hash; None if no queued message refers to it any more."""
        return self.contents([digest])[digest]

    def contents(self, digests: Sequence[str]) -> dict[str, bytes | None]:
        """The shared contents with those hashes; None for one that no queued message refers to."""
        if not digests:
            return {}
        with translated("read"):
            found: list[bytes | None] = self.client.hmget(self.keys.content, digests)  # type: ignore[assignment]
        return dict(zip(digests, found, strict=True))

    def now(self) -> datetime:
        """The time on Redis's clock. Messages come due and expire by it, because a host's clock may be wrong."""
        return redis_now(self.client)


def put(
    run: Callable[[Script, list[str], list[str | bytes]], Any],
    keys: Keys,
    lane: str,
    entries: Iterable[Entry],
    digest: str = "",
    content: bytes = b"",
) -> Any:
    """Run ``put.lua`` and return its reply. ``run`` is called with the script, its KEYS and its ARGV."""
    arguments: list[str | bytes] = [lane, digest, content, str(IDEMPOTENCY_MILLISECONDS)]
    arguments += (keys.lane(lane), keys.schedule, keys.schedule_number, keys.content, keys.references)
    for entry in entries:
        key = keys.idempotency(entry.idempotency) if entry.idempotency else ""
        arguments += (str(entry.due_us), entry.id, key, entry.envelope)
    return run(script("put"), [keys.doorbell(lane)], arguments)


def ring(client: redis.Redis, doorbells: Sequence[str | bytes]) -> None:
    """Wake one idle worker at each of these doorbells, for example after a resume. Raises redis-py's errors."""
    script("ring").run(client, doorbells, ())


def redis_now(client: redis.Redis) -> datetime:
    """The time on Redis's clock, in UTC. Raises QueueUnavailable."""
    with translated("read"):
        seconds, microseconds = client.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


@contextmanager
def translated(verb: str, done: str = "enqueued") -> Iterator[None]:
    """Turn redis-py's errors into QueueUnavailable, with the known outcome in its words.

    ``verb`` is ``read`` or ``write``. ``done`` is the participle for the words of a refused write.
    """
    try:
        yield
    except redis.exceptions.MaxConnectionsError as error:
        raise all_in_use(error) from error
    except (redis.exceptions.TimeoutError, redis.exceptions.ConnectionError) as error:
        doubtful = verb == "write" and not lacks_login(error)
        doubt = "Whether the write was carried out is not known" if doubtful else ""
        raise QueueUnavailable(words_of(error, doubt), enqueued=None if doubtful else False) from error
    except redis.exceptions.RedisError as error:
        raise QueueUnavailable(words_of(error, f"Nothing was {done}")) from error
