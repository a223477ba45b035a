"""A TCP proxy that delays every answer.

`Proxy.freeze` makes its connections half open: they drop all data, and neither end notices. `Proxy.cut` ends its
connections, and new ones are refused.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self


class Proxy:
    """Listens on a free port of loopback and forwards to the loopback port ``port``. A context manager.

    Data from that port is delayed by ``delay_seconds``.
    """

    def __init__(self, port: int, delay_seconds: float = 0.0) -> None:
        self._delay_seconds = delay_seconds
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[_Pair] = []

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        with suppress(OSError):  # it is already cut
            # Closing alone would leave the thread in accept().
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            pair.close()

    def mend(self) -> None:
        """Accept connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self) -> int:
        """Drop all further data on the open connections. Returns the number of them. New connections work."""
        frozen = [pair for pair in self._pairs if pair.open and not pair.frozen]
        for pair in frozen:
            pair.frozen = True
        return len(frozen)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return  # the listener is closed
            self._pairs = [pair for pair in self._pairs if pair.open]
            try:
                self._pairs.append(_Pair(near, socket.create_connection(self._target), self._delay_seconds))
            except OSError:  # the target does not listen, or the client has gone
                near.close()


class _Pair:
    """One connection and its continuation, a thread for each direction."""

    def __init__(self, near: socket.socket, far: socket.socket, delay_seconds: float) -> None:
        self.frozen = False
        self.open = True
        self._sockets = (near, far)
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Start the threads after both sockets are set, as a thread may close both at once.
        for one, other, delay in ((near, far, 0.0), (far, near, delay_seconds)):
            threading.Thread(target=self._forward, args=(one, other, delay), daemon=True).start()

    def close(self) -> None:
        self.open = False
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _forward(self, source: socket.socket, sink: socket.socket, delay_seconds: float) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay_seconds)
                if not self.frozen:
                    sink.sendall(data)
        if not self.frozen:
            self.close()
