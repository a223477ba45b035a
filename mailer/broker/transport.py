"""The gated transport: kombu's Redis transport, with the lanes behind `take`.

For the account's lanes it overrides receiving (kombu: BRPOP, then a write to ``unacked``), acknowledging (a write per
ack), publishing (LPUSH), purging, and restoring unacknowledged messages by their age. Leases replace the last one.
Everything else (fanout, pidbox, replies, events, other queues) is kombu's own. The contract test in
``tests/unit/broker/test_contract.py`` pins each kombu internal that this file uses.

Its transport options are ``global_keyprefix`` (the account's) and ``rules`` (`mailer.rules.Rules` as JSON). They are
plain values, so that ``celery inspect`` can print them.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import orjson
import redis
from kombu.exceptions import ChannelError, DecodeError
from kombu.log import get_logger
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as stock
from kombu.utils.json import dumps

from mailer.broker.gate import CALLS_A_LEASE, Gate
from mailer.errors import InvalidMessage, SettingsError
from mailer.queue.bounds import ENVELOPE_BYTES, TOO_MANY_VALUES, has_too_many_values
from mailer.queue.envelope import due_us
from mailer.queue.keys import Keys
from mailer.queue.leases import Leases
from mailer.queue.move import purge
from mailer.queue.queue import Entry, put
from mailer.queue.replicas import online
from mailer.queue.sentinels import Sentinels, Watch
from mailer.queue.settlement import Settlement
from mailer.queue.take import Take
from mailer.rules import Rules

logger = get_logger(__name__)

TAKE, BELL = "TAKE", "BELL"
_LONG_NUMBER = b"0" * 19
_DIGITS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
"""Maps every digit to 0 and every other byte to a space."""
REFUSED = Settlement.dead("RefusedByCelery", "Celery could not run it; the worker's log says why.")
UNDECIDED = Settlement.hold(
    "Undecided", "Celery acknowledged it before anybody had said what became of it: it may have been sent."
)


class QoS(stock.QoS):
    """Acknowledgements of leased messages go to `Leases`. For all others kombu's own code runs."""

    def append(self, message: Any, delivery_tag: str) -> None:
        # The script has already leased it, so nothing is written.
        if not self.channel.leases.holds(delivery_tag):
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        if self.channel.leases.holds(delivery_tag):
            self.channel.leases.settle(delivery_tag, UNDECIDED)
        elif delivery_tag in self._delivered:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if self.channel.leases.holds(delivery_tag):
            self.channel.leases.settle(delivery_tag, Settlement.back() if requeue else REFUSED)
        elif delivery_tag in self._delivered:
            super().reject(delivery_tag, requeue=requeue)


class Poller(stock.MultiChannelPoller):
    """Gives every gate its turn. It reads a gate's two connections whatever the prefetch count is."""

    def on_poll_start(self) -> None:
        super().on_poll_start()
        for channel in list(self._channels):
            if channel.served_lanes:
                channel.keep_gate_registered(self)
                channel.gate.turn()

    def on_readable(self, fileno: int) -> Any:
        channel, kind = self._fd_to_chan.get(fileno, (None, None))
        if kind == TAKE:
            return channel.gate.read_take()
        if kind == BELL:
            return channel.gate.read_bell()
        return super().on_readable(fileno)

    def get(self, callback: Any, timeout: float | None = None) -> Any:
        # Without an event loop nothing else ends the wait when a permit becomes due.
        due = [channel.gate.due_in for channel in self._channels if channel.served_lanes]
        waits = [wait for wait in (timeout, *due) if wait is not None]
        return super().get(callback, timeout=min(waits, default=None))

    def _on_connection_disconnect(self, connection: Any) -> None:
        super()._on_connection_disconnect(connection)
        for key in [key for key in self._chan_to_sock if key[2] in (TAKE, BELL) and key[1].connection is connection]:
            sock = self._chan_to_sock.pop(key)
            for fd, where in list(self._fd_to_chan.items()):
                if where == (key[0], key[2]) and sock.fileno() in (-1, fd):
                    del self._fd_to_chan[fd]

    # The next two methods switch off kombu's restoring by age. Leases do it better, without an extra call.
    def on_poll_init(self, poller: Any) -> None:
        self.poller = poller

    def maybe_restore_messages(self) -> None:
        return None


class Message(stock.Channel.Message):
    """A message that decodes its JSON body once, and without kombu's search for types that JSON lacks."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        # kombu would decompress the body at once, to any size. Our messages are never compressed.
        (payload.get("headers") or {}).pop("compression", None)
        super().__init__(payload, channel, **kwargs)

    def _decode(self) -> Any:
        body = self.body
        if self.content_type != "application/json" or self.content_encoding != "utf-8" or type(body) is not bytes:
            return super()._decode()
        if has_too_many_values(body):
            raise DecodeError(f"it {TOO_MANY_VALUES}")
        # orjson rounds whole numbers beyond 64 bits. It refuses NaN and lone surrogates, which Celery may accept. The
        # standard library reads those bodies.
        if _LONG_NUMBER not in body.translate(_DIGITS):
            with suppress(orjson.JSONDecodeError):
                return orjson.loads(body)
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise DecodeError(str(error)) from error


class Channel(stock.Channel):
    """A channel whose lanes are behind the gate."""

    QoS = QoS
    Message = Message
    # Celery's body is JSON. As text in the envelope it is a quarter smaller than in base64.
    body_encoding = None

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        rules = connection.client.transport_options.get("rules")
        if not rules:
            raise SettingsError(
                "The gated transport was not told the account's lanes, and would read them as kombu reads any queue. "
                "Give Celery what mailer.worker.app.configuration returns"
            )
        self.rules = Rules.model_validate(rules)
        self.lanes = self.rules.lanes
        super().__init__(connection, **kwargs)

    # -- the gate

    @cached_property
    def leases(self) -> Leases:
        """The application's leases, which outlive the connection. Without an application the connection has its own."""
        leases: Leases = vars(self.connection.client).setdefault("leases", Leases())
        return leases

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.global_keyprefix)

    @cached_property
    def gate(self) -> Gate:
        gate = Gate(self, Take(self.keys, self.rules), self.leases)
        hub = self.connection.hub
        if hub is not None:
            self.leases.wake = lambda: hub.call_soon(_nothing)
        return gate

    @property
    def served_lanes(self) -> list[str]:
        """The lanes that this channel consumes."""
        return [queue for queue in dict.fromkeys(self._active_queues) if queue in self.lanes]

    @property
    def active_queues(self) -> list[str]:
        """The other queues that this channel consumes. kombu polls them with BRPOP."""
        return [queue for queue in super().active_queues if queue not in self.lanes]

    def room(self) -> int:
        """The number of messages that this process could start right now. A prefetch count of 0 sets no limit. Then the
        consumer takes one at a time."""
        leases = self.leases
        if not self.served_lanes or leases.fitness.rests:
            return 0
        if leases.fitness.is_doubted:
            return 0 if leases.in_flight else 1
        prefetch = self.qos.prefetch_count
        return prefetch - leases.in_flight if prefetch else 1

    def call_later(self, seconds: float) -> None:
        """Have the event loop turn in ``seconds``."""
        hub = self.connection.hub if self.connection is not None else None
        if hub is not None:
            hub.call_later(max(0.0, seconds), _nothing)

    def plain_client(self) -> redis.Redis:
        """A client that adds no prefix, as `Keys` contain it."""
        return redis.Redis(connection_pool=self.pool)

    @cached_property
    def take_client(self) -> Any:
        return self._create_client(asynchronous=True)

    @cached_property
    def bell_client(self) -> Any:
        return self._create_client(asynchronous=True)

    def keep_gate_registered(self, poller: Poller) -> None:
        """Open the gate's two connections and have the poller watch them."""
        for client, kind in ((self.take_client, TAKE), (self.bell_client, BELL)):
            if not poller._client_registered(self, client, kind):
                poller._register(self, client, kind)

    def _on_connection_disconnect(self, connection: Any) -> None:
        super()._on_connection_disconnect(connection)
        if "gate" in self.__dict__:
            self.gate.disconnected(connection)

    def close(self) -> None:
        if "gate" in self.__dict__ and not self.closed:
            # Settlements wait for the next channel, or for the worker's last flush.
            self.leases.wake = _nothing
            self.gate.close()
        super().close()

    def _close_clients(self) -> None:
        super()._close_clients()
        for name in ("take_client", "bell_client"):
            client = self.__dict__.get(name)
            if client is not None and client.connection is not None:
                connection, client.connection = client.connection, None
                connection.disconnect()

    # -- publishing and looking after lanes

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except redis.exceptions.ResponseError as error:
            # Redis is full, forbids this key, or holds a foreign key of this name. Consumers must start all the same,
            # as they need no binding. The binding may exist from before. Otherwise only remote control and foreign
            # producers lack it, until the next connection. Any other refusal concerns the worker, not the key.
            of_the_key = (redis.exceptions.OutOfMemoryError, redis.exceptions.NoPermissionError)
            if not isinstance(error, of_the_key) and "WRONGTYPE" not in str(error):
                raise
            logger.warning("Queue %s was not bound, as Redis refuses it: %s", queue, error)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        if queue not in self.lanes:
            super()._put(queue, message, **kwargs)
            return
        task_id = message["headers"].get("id") or message["properties"]["delivery_tag"]
        envelope = dumps(message).encode()
        if len(envelope) > ENVELOPE_BYTES:
            size = f"has {len(envelope) / 1e6:.1f} MB, and may have 10 MiB"
            raise InvalidMessage("message", size, "Use mailer.send, which stores what is large beside the queue")
        entry = Entry(task_id, envelope, due_us(message["headers"]))
        client, replicas = self.plain_client(), self.rules.redis_replicas
        put(lambda script, *rest: script.run(client, *rest, replicas=replicas), self.keys, queue, [entry])

    def _get(self, queue: str) -> Any:
        if queue in self.lanes:
            raise ChannelError(f"{queue} is a lane: its messages are taken by a consumer, not got one by one")
        return super()._get(queue)

    def _purge(self, queue: str) -> Any:
        if queue not in self.lanes:
            return super()._purge(queue)
        return purge(self.plain_client(), self.keys, queue)

    def _size(self, queue: str) -> int:
        size: int = super()._size(queue)
        if queue in self.lanes:
            client, keys = self.plain_client(), self.keys
            size += int(client.llen(keys.suspects(queue))) + int(client.llen(keys.large(queue)))
        return size


class SentinelChannel(Channel, stock.SentinelChannel):
    """A `Channel` over Redis Sentinel. ``sentinels`` are pairs of host and port."""

    sentinels: Sequence[Sequence[Any]] = ()

    from_transport_options = (*stock.SentinelChannel.from_transport_options, "sentinels")
    _watch: Watch | None = None

    def keep_gate_registered(self, poller: Poller) -> None:
        super().keep_gate_registered(poller)
        if self._watch is None:
            if self.rules.redis_replicas:
                connection = self.take_client.connection
                connection.send_command("INFO", "replication", check_health=False)
                self._count(self.take_client.parse_response(connection, "INFO"))
            self._watch = Watch(
                self._async_sentinel_manager,
                self.master_name,
                connected=self._connected_to,
                moved=self._cut_off,
                looked=self._look_for_replicas,
            )

    def _count(self, info: Any) -> None:
        """Require as many replicas as are online, at least those of the settings, and never fewer than before.

        When one is missing, this worker connects again. So it asks the sentinels whether that one is the new master.
        """
        self.gate.replicas = max(self.gate.replicas, online(info))

    def _look_for_replicas(self) -> None:
        if self.rules.redis_replicas:
            self._count(self.plain_client().info("replication"))

    def _connected_to(self) -> tuple[str, int] | None:
        connection = self.take_client.connection
        return (connection.host, int(connection.port)) if connection is not None and connection._sock else None

    def _cut_off(self) -> None:
        """Shut the connection down, so that the event loop notices its end. May be called from any thread."""
        with suppress(AttributeError, OSError):
            self.take_client.connection._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        super().close()

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        options = self._connparams(asynchronous)
        only = (options.pop("host"), options.pop("port"))
        named = tuple((host, int(port)) for host, port in self.sentinels or [only])
        sentinels = Sentinels(named, options["socket_timeout"], majority=self.rules.redis_replicas > 0, **options)
        # kombu closes the attributes of these names.
        if asynchronous:
            self._async_sentinel_manager = sentinels
        else:
            self._sentinel_manager = sentinels
        return sentinels.master_for(self.master_name).connection_pool  # type: ignore[no-untyped-call]


class Transport(stock.Transport):
    """Kombu's Redis transport with gated channels."""

    Channel = Channel
    hub: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cycle = Poller()

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        self.hub = loop
        ticks = {tick for tick in loop.on_tick if not hasattr(tick, "of_gate")}
        super().register_with_event_loop(connection, loop)

        def on_tick() -> None:
            self.cycle.on_poll_start()
            for fd in self.cycle.fds:
                if fd not in loop.readers:
                    loop.add_reader(fd, self.on_readable, fd)

        # It replaces kombu's own tick. That one adds every socket to the loop again at each turn, and costs more than
        # the turn itself. It also replaces the tick of the previous connection.
        on_tick.of_gate = True  # type: ignore[attr-defined]
        loop.on_tick = ticks | {on_tick}
        # The loop turns twice for each call that is due without an event.
        lease = connection.client.transport_options["rules"]["lease_seconds"]
        loop.call_repeatedly(lease / CALLS_A_LEASE / 2, _nothing)


class SentinelTransport(Transport):
    """A `Transport` over Redis Sentinel."""

    default_port = 26379
    Channel = SentinelChannel


def _nothing() -> None:
    """Does nothing. As a callback it makes the event loop turn."""


# In a URL, as in gated+socket:///run/valkey.sock, kombu only accepts names without '.' and ':'.
TRANSPORT_ALIASES.setdefault("gated", f"{__name__}:Transport")
TRANSPORT_ALIASES.setdefault("gated-sentinel", f"{__name__}:SentinelTransport")
