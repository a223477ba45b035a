"""The gate: a channel's conversation with Redis about the messages of its lanes.

It has two connections, and the event loop reads both. The first carries one `take` at a time. Each `take` carries the
settlements since the previous one, and asks for as many messages as there is room for. The second carries a blocking
pop on the doorbells of the lanes, while no message is to be had.
"""

from __future__ import annotations

import math
import re
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn, Protocol

import orjson
import redis
from kombu.log import get_logger

from mailer.queue.admission import UNDECODABLE, NotAdmitted, admitted, words_of
from mailer.queue.bounds import shortened
from mailer.queue.headers import LEASE_ENDS, LOST, PERMIT_ENDS, SIZE
from mailer.queue.keys import Keys
from mailer.queue.leases import REPEAT_SECONDS, Leases
from mailer.queue.queue import ring
from mailer.queue.script import unconfirmed, wait_for
from mailer.queue.settlement import Settlement
from mailer.queue.take import Answer, Call, Take

logger = get_logger(__name__)

CONNECTION_LOST = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
"""The exceptions of a lost connection to Redis. kombu's own list includes KeyError as well."""
BELL_SECONDS = 5
CALLS_A_LEASE = 4
"""Each worker calls at least so often per lease, even when idle. So half a lease without any call means that no worker
could reach Redis. ``take.lua`` relies on this."""


_LOOK_AHEAD_BYTES = 4096
_RUNG = re.compile(rb"\*2\r\n\$\d+\r\n[^\r]*\r\n\$(\d+)\r\n")


class Channel(Protocol):
    """The parts of kombu's channel that a gate uses."""

    connection: Any
    take_client: Any
    bell_client: Any

    @property
    def keys(self) -> Keys: ...
    @property
    def served_lanes(self) -> list[str]: ...
    def room(self) -> int: ...
    def call_later(self, seconds: float) -> None: ...
    def plain_client(self) -> redis.Redis: ...


class Gate:
    """One channel's gate. Only the event loop's thread may call it."""

    def __init__(self, channel: Channel, take: Take, leases: Leases) -> None:
        self.channel = channel
        self.leases = leases
        self._take = take
        self.replicas = take.rules.redis_replicas
        """The number of replicas that must have a call's writes before its messages are sent."""
        self._answer_seconds = take.rules.answer_seconds
        self._call: Call | None = None
        self._asked = 0  # the number of replicas that must have the writes of the current call
        self._reply: Sequence[Any] | None = None
        self._stale = False
        self._arguments: list[Any] = []
        self._ask_at = 0.0
        self._listen = False
        self._listening_since: float | None = None
        self._wake_at: float | None = None
        self._stopped = ""
        self._refusal = ""
        self._most_silence = take.rules.lease_seconds / CALLS_A_LEASE
        self._called_at = -math.inf
        # The previous connection may have been lost in the middle of a call.
        leases.abandon_all()

    # -- what the poller calls

    def turn(self) -> None:
        """Send whatever is due. The event loop calls this at each turn. Raises connection errors."""
        now = time.monotonic()
        if self._call is not None:
            if now - self._call.sent_at > self._answer_seconds:
                self._lost("no answer to a take")
            return
        room = self.channel.room()
        if rests := self.leases.fitness.rests:
            self._wake_at_last(now + rests)
        wanted = room if room > 0 and (now >= self._ask_at or self.leases.makes_room) else 0
        if self.leases.redis_time() is None:
            # A call that cannot state its latest arrival on Redis's clock must not take messages.
            self._send(self.leases.call(0))
        elif wanted or self.leases.unsettled or now - self._called_at >= self._most_silence:
            self._send(self.leases.call(wanted, self._answer_seconds))
        elif self._listen and room > 0:
            self._hear(now)

    @property
    def due_in(self) -> float:
        """Seconds until this gate needs its next turn, unless an event comes first."""
        if self._call is not None:
            return self._answer_seconds
        now = time.monotonic()
        waits = [self._called_at + self._most_silence - now, self.leases.repeats_in]
        if self.channel.room() > 0:
            waits.append(self._ask_at - now)
        elif rests := self.leases.fitness.rests:
            waits.append(rests)
        return max(0.0, min(waits))

    def read_take(self) -> bool:
        """Read Redis's answer and deliver its messages. Returns whether there were any.

        Raises connection errors only. An exception of Celery or of a task ends its message alone.
        """
        taken = self._read_answer()
        # The count of the replicas may have come together with the answer. Then no further event announces it.
        while self._asked and self._call and self.channel.take_client.connection.can_read(timeout=0):
            taken = self._read_answer()
        return taken

    def _read_answer(self) -> bool:
        call, client = self._call, self.channel.take_client
        try:
            # Redis may be full, read-only or still loading. The same call may succeed on the next connection.
            reply = self._response(client, "EVALSHA", "take")
        except redis.exceptions.NoScriptError:
            self._stale = bool(self._asked)
            self._write_take(by_text=True)
            return False
        if call is None:
            return False
        if self._asked and not self._is_confirmed(reply):
            return False
        reply, self._reply = self._reply or reply, None
        self._call = None
        if self.leases.refusal:
            logger.warning("Redis answers again: mail goes out as before")
            self.leases.refusal = ""
        answer = Answer.read(reply)
        tags = self._answered(call, answer)
        if call.wanted:
            self._plan(answer)
        if answer.refresh_limits:
            self.leases.ask_ses()
        if self.leases.fitness.rests:
            self._hand_back(tags)
        else:
            permit_ends = call.sent_at + answer.good_seconds
            for tag, lane, envelope in zip(tags, answer.lanes, answer.envelopes, strict=True):
                self._deliver(tag, lane, envelope, permit_ends, answer.redis_us)
        if self._ask_at > 0.0:
            self._wake_at_last(self._ask_at)
        return bool(tags)

    def _is_confirmed(self, reply: Any) -> bool:
        """Whether ``reply`` is the count of the replicas that have the call's writes, and the count is high enough.

        A message that is sent earlier may be handed out again after a failover. Raises ConnectionError for a count that
        is too low.
        """
        if self._stale:
            self._stale = False  # the count of the first try, for which the server did not have the script
        elif self._reply is None:
            self._reply = reply
        elif reply >= self._asked:
            return True
        else:
            self._lost(unconfirmed(reply, self._asked))
        return False

    def read_bell(self) -> bool:
        """Read the end of a wait at the doorbells: a ring, or `BELL_SECONDS` without one. Raises connection errors."""
        client = self.channel.bell_client
        if _is_overlong(client.connection._sock):
            # It was taken off the list when Redis answered.
            self._lost("a doorbell of more bytes than anybody rings it with")
        # A failover ends blocking calls with UNBLOCKED.
        rung = self._response(client, "BLPOP", "the doorbell")
        was_listening, self._listening_since = self._listening_since is not None, None
        if rung and was_listening and self._listen and self.channel.room() > 0:
            self._ask_at = 0.0
        elif rung:
            # This worker has become busy, or its host doubtful. Pass the ring on to another worker. Without one each
            # looks by itself within a second.
            ring(self.channel.plain_client(), [rung[0]])
        return False

    def disconnected(self, connection: Any) -> None:
        """Forget the state of a connection that has ended."""
        if connection is self.channel.take_client.connection:
            self._call = self._reply = None
            self._stale = False
            self.leases.abandon_all()
        elif connection is self.channel.bell_client.connection:
            self._listening_since = None

    def close(self) -> None:
        """Read the answer of the current call, give its messages back and send every settlement. Never raises."""
        try:
            client = self.channel.take_client
            if self._call is not None and client.connection is not None and client.connection._sock is not None:
                call, self._call = self._call, None
                reply = self._reply or client.parse_response(client.connection, "EVALSHA")
                if self._asked:
                    reached = client.parse_response(client.connection, "WAIT")
                    if reached < self._asked:
                        raise redis.exceptions.ConnectionError(unconfirmed(reached, self._asked))
                self._hand_back(self._answered(call, Answer.read(reply)))
        except (redis.exceptions.RedisError, OSError):
            pass
        self.leases.abandon_all()
        self.flush()

    def flush(self) -> None:
        """Send every settlement now, on a separate connection. Never raises: settlements that cannot be sent wait."""
        try:
            self.leases.settle_all(self.channel.plain_client(), self._take)
        except (redis.exceptions.RedisError, OSError) as error:
            logger.warning("Settlements wait for the next connection: %s", error)

    # -- the parts

    def _send(self, call: Call) -> None:
        self._call = call
        self._called_at = call.sent_at
        self._arguments = self._take.arguments(call, self.channel.served_lanes)
        self._write_take()

    def _write_take(self, *, by_text: bool = False) -> None:
        self._asked = self.replicas
        then = [wait_for(self._asked)] if self._asked else []
        self._write(self.channel.take_client, self._take.command(self._arguments, by_text=by_text), *then)

    def _write(self, client: Any, *commands: Sequence[Any]) -> None:
        try:
            client.connection.send_packed_command(client.connection.pack_commands(commands), check_health=False)
        except CONNECTION_LOST:
            client.connection.disconnect()
            raise

    def _response(self, client: Any, command: str, what: str) -> Any:
        """The answer to ``command``. Raises NoScriptError, and connection errors for every other refusal."""
        try:
            return client.parse_response(client.connection, command)
        except CONNECTION_LOST:
            client.connection.disconnect()
            raise
        except redis.exceptions.NoScriptError:
            raise
        except redis.exceptions.ResponseError as error:
            self._lost(f"{what} was refused: {error}")

    def _answered(self, call: Call, answer: Answer) -> list[str]:
        if answer.refused:
            self.channel.call_later(REPEAT_SECONDS)
        if answer.refusal != self._refusal and (answer.refusal or call.verdicts):
            self._refusal, count = answer.refusal, len(answer.refused)
            if answer.refusal:
                logger.error("Redis refuses to settle %d messages, and is asked again: %s", count, answer.refusal)
            else:
                logger.warning("Redis settles messages again")
        return self.leases.answered(call, answer, self._take.rules.lease_seconds)

    def _plan(self, answer: Answer) -> None:
        # A doubtful host leaves fresh mail to hosts that are known to send.
        self._listen = answer.listen and not self.leases.fitness.is_doubted
        self._ask_at = time.monotonic() + answer.wait_seconds if answer.wait_seconds else 0.0
        if answer.stopped != self._stopped:  # said once, not at each take
            self._stopped = answer.stopped
            if answer.stopped:
                logger.warning("Messages wait: %s", answer.stopped)
            else:
                logger.warning("Nothing is paused or parked any more: messages go out again")

    def _wake_at_last(self, moment: float) -> None:
        """Have the loop turn at ``moment`` or earlier, to ask again."""
        now = time.monotonic()
        if self._wake_at is None or self._wake_at <= now or moment < self._wake_at:
            self._wake_at = moment
            self.channel.call_later(moment - now)

    def _hear(self, now: float) -> None:
        if self._listening_since is None:
            self._listening_since = now
            doorbells = [self.channel.keys.doorbell(lane) for lane in self.channel.served_lanes]
            self._write(self.channel.bell_client, ["BLPOP", *doorbells, BELL_SECONDS])
        elif now - self._listening_since > BELL_SECONDS + self._answer_seconds:
            self._lost("no answer at the doorbell")

    def _lost(self, what: str) -> NoReturn:
        for client in (self.channel.take_client, self.channel.bell_client):
            if client.connection is not None:
                client.connection.disconnect()
        raise redis.exceptions.ConnectionError(f"Redis: {what}")

    def _hand_back(self, tags: Sequence[str]) -> None:
        for tag in tags:
            self.leases.settle(tag, Settlement.back())

    def _deliver(self, tag: str, lane: str, envelope: bytes, permit_ends: float, redis_us: int) -> None:
        """Hand one message to Celery. Settle it here if it is not admitted or not due."""
        try:
            message, due = admitted(envelope, lane)
        except NotAdmitted as why:
            self._set_aside(tag, lane, why.code, why.words)
            return
        headers, properties = message["headers"], message["properties"]
        # Redis's clock decides when a message is due. With an eta Celery would hold it in memory and use our clock.
        headers["eta"] = None
        if due > redis_us:
            # A producer on kombu's own transport wrote it. That transport has no schedule.
            self.leases.settle(tag, Settlement.defer(due, orjson.dumps(message)))
            return
        headers[LEASE_ENDS] = self.leases.ends(tag)
        headers[PERMIT_ENDS] = permit_ends
        headers[SIZE] = len(envelope)
        properties["delivery_tag"] = tag
        if LOST in message:
            self.leases.suspect(tag)
        try:
            self.channel.connection._deliver(message, lane)
        except Exception as error:
            logger.exception("A message of lane %s broke off its task", lane)
            lease = self.leases.lease(tag)
            if lease is not None and lease.started:
                self.leases.settle(tag, Settlement.hold(type(error).__name__, "Its task broke off; it may be sent."))
            else:
                words = f"It is a Celery message, but no task can be made of it: {words_of(error)}"
                self._set_aside(tag, lane, UNDECODABLE, shortened(words))

    def _set_aside(self, tag: str, lane: str, code: str, words: str) -> None:
        logger.warning("A message of lane %s is set aside as a dead letter (%s). %s", lane, code, words)
        self.leases.settle(tag, Settlement.dead(code, words))


def _is_overlong(connected: socket.socket | None) -> bool:
    """Whether the answer to BLPOP brings a value that no ring of ours has. It would be read whole, and a script of a
    producer may have made it of any length. TLS cannot look ahead: there it is read."""
    if connected is None or isinstance(connected, ssl.SSLSocket):
        return False
    with suppress(OSError):
        found = _RUNG.match(connected.recv(_LOOK_AHEAD_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return found is not None and int(found[1]) > _LOOK_AHEAD_BYTES
    return False
