"""A TCP proxy that brings every answer late.

Its connections can go half open: nothing comes through any more, and nobody is told. And it can be cut: its connections
end, and new ones are refused.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Self


class Proxy:
    """Listens on a free port of loopback and forwards to ``port`` there. A context manager.

    What comes from there is ``delay_seconds`` on its way.
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
        with suppress(OSError):  # it is cut
            # Closing alone would leave the thread in accept().
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            pair.close()

    def mend(self) -> None:
        """Take connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def freeze(self) -> int:
        """Drop, from now on, all that is sent on the open connections; returns how many. New ones work."""
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
            except OSError:  # nobody listens there, or whoever came is gone again
                near.close()


class _Pair:
    """One connection and its continuation, a thread for each direction."""

    def __init__(self, near: socket.socket, far: socket.socket, delay_seconds: float) -> None:
        self.frozen = False
        self.open = True
        self._sockets = (near, far)
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Not before both are set: who meets an end at once closes both.
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
