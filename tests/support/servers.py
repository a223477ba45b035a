"""Small raw servers on loopback: what happens on the wire, byte by byte."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

ACCEPTED = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"MessageId":"id-1"}'


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_request(connection: socket.socket) -> tuple[bytes, bytes] | None:
    """Head and body of the next HTTP request; None at the end of the stream."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    # Some are tens of megabytes.
    whole = bytearray(body)
    while lengths and len(whole) < int(lengths[0]):
        chunk = connection.recv(1 << 20)
        if not chunk:
            return None
        whole += chunk
    return head, bytes(whole)


class RawServer:
    """Runs ``serve(connection)`` for each connection in a thread of its own, until the end of the test."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_listening()
        for connection in self.connections:
            connection.close()

    def stop_listening(self) -> None:
        """Connections already made go on."""
        # Closing alone would leave the thread in accept(), and the port open with it.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except OSError:
            # The client went away, or the test is over.
            connection.close()
