"""The cheapest SES in Python. It answers every request with a MessageId, at once or after ``--latency`` ms.

Of HTTP it only reads ``Content-Length``, so that on a small machine the clients get the processors. ``GET`` returns
three counts: the messages, the full TLS handshakes and the resumed TLS handshakes. With ``--certificate`` (a PEM file
that includes the key) it speaks TLS on a second port.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
from pathlib import Path
from typing import ClassVar, cast

import uvloop

MESSAGE_ID = b'{"MessageId":"010001890a5b0000-5f1d2c3b-0000-4000-8000-000000000000-000000"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(MESSAGE_ID),
    MESSAGE_ID,
)


class Sink(asyncio.Protocol):
    """One keep-alive connection."""

    messages = 0
    handshakes: ClassVar[list[int]] = [0, 0]
    """The numbers of full and of resumed handshakes."""
    latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            Sink.handshakes[bool(tls.session_reused)] += 1

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            length_at = buffer.lower().find(b"content-length:", 0, end)
            length = int(buffer[length_at + 15 : buffer.find(b"\r\n", length_at)]) if length_at >= 0 else 0
            if b"100-continue" in buffer[:end].lower() and len(buffer) < end + 4 + length:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                buffer = buffer[:end].replace(b"100-continue", b"x") + buffer[end:]
            if len(buffer) < end + 4 + length:
                break
            self._answer(buffer)
            buffer = buffer[end + 4 + length :]
        self._buffer = buffer

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"GET"):
            count = b"%d %d %d" % (Sink.messages, *Sink.handshakes)
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(count), count))
            self._transport.close()
        else:
            Sink.messages += 1
            if Sink.latency:
                asyncio.get_running_loop().call_later(Sink.latency, self._transport.write, _ANSWER)
            else:
                self._transport.write(_ANSWER)


async def serve(port: int, tls_port: int, certificate: Path | None) -> None:
    """Serve until a SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await loop.create_server(Sink, "127.0.0.1", port, backlog=1024)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        await loop.create_server(Sink, "127.0.0.1", tls_port, backlog=1024, ssl=context)
    await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ops.bench.sink", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    given = parser.parse_args()
    Sink.latency = given.latency / 1000
    uvloop.run(serve(given.port, given.tls_port, given.certificate))


if __name__ == "__main__":
    main()
