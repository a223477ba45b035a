"""A listening socket that can close for a while and reopen on the same port: "connection refused"."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol, cast
from weakref import WeakSet

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mailer.simulator.faults import Faults

_LOOK_AGAIN_SECONDS = 0.02


class Droppable(Protocol):
    """A connection's protocol that an outage can close."""

    def drop(self) -> None:
        """Close the connection if it only waits for a request. May be called at any time, even before it is made."""


class Listener:
    """One listening port. ``factory`` makes the protocol of each connection."""

    def __init__(
        self,
        transport: Literal["http", "smtp"],
        factory: Callable[[], Droppable],
        host: str,
        port: int,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.transport = transport
        self._factory = factory
        self._host = host
        self._port = port
        self._context = context
        self._server: asyncio.AbstractServer | None = None
        self._kept: socket.socket | None = None
        self._connections: WeakSet[Droppable] = WeakSet()

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def open(self) -> None:
        """Listen on the requested port the first time, and on the same port after that."""
        if self._kept is None:
            self._kept = self._reserve()
            self._host, self._port = self._kept.getsockname()[:2]
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, self._host, self._port, ssl=self._context, backlog=1024, reuse_port=True
        )

    def _reserve(self) -> socket.socket:
        """A socket that reserves the port while nothing listens on it. Connections are refused, and no other process
        can get the port. Raises OSError if another process has it.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.socket(family) as probe:
            # Without SO_REUSEPORT, because a second simulator must not share the port of the first.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._host, self._port))
            except OSError as error:
                raise OSError(error.errno, error.strerror, f"{self._host}:{self._port}") from None
        kept = socket.socket(family)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind((self._host, self._port))
        return kept

    def close(self) -> None:
        # Does not wait: the connections still open belong to clients, and end with the process.
        if self._server is not None:
            self._server.close()
            self._server = None

    def drop_connections(self) -> None:
        for connection in list(self._connections):
            connection.drop()

    @property
    def listens_everywhere(self) -> bool:
        return self._host in {"0.0.0.0", "::"}  # noqa: S104 - a comparison

    @property
    def port(self) -> int:
        return self._port

    @property
    def address(self) -> str:
        """The host and port for a client on this host."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    def _connection(self) -> asyncio.BaseProtocol:
        connection = self._factory()
        self._connections.add(connection)
        return cast("asyncio.BaseProtocol", connection)


async def keep_outages(listeners: list[Listener], faults: Faults) -> None:
    """Close and open ``listeners`` by the ``refuse`` faults, for ever."""
    while True:
        faults.changed.clear()
        planned = began = False
        for listener in listeners:
            refused = faults.refused(listener.transport)
            planned = planned or refused is not None
            if refused and listener.is_open:
                began = True
                listener.close()
                listener.drop_connections()
            elif not refused and not listener.is_open:
                # Another process may have got the port meanwhile. Wait until it ends.
                with suppress(OSError):
                    await listener.open()
        if began:
            faults.struck["refuse"] += 1
        if not faults.changed.is_set():
            faults.settled.set()
        planned = planned or not all(listener.is_open for listener in listeners)
        with suppress(TimeoutError):
            await asyncio.wait_for(faults.changed.wait(), _LOOK_AGAIN_SECONDS if planned else None)
