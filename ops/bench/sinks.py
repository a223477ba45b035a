"""Cheap substitutes for SES, for figures in which SES's cost must not count. They answer every send with a MessageId,
and count.

`Nginx` takes about 0.01 ms of a processor for each send. `PythonSink` replaces it where nginx is not installed, and
takes about 0.03 ms. On a machine with few cores that slows all measured programs, and the fastest ones most.
"""

from __future__ import annotations

import re
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path

from mailer.testbed.environment import clean
from mailer.testbed.process import Process
from mailer.testbed.waiting import free_port, until
from ops.bench.sink import MESSAGE_ID

_CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    log_format handshake '$ssl_session_reused';
    map $connection_requests $is_first {{ 1 $https; default ''; }}
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    keepalive_timeout 3600;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port}{listen};
        {tls}
        location / {{ return 200 '{answer}'; }}
    }}
    server {{
        listen 127.0.0.1:{count_port};
        location = /count {{ stub_status; }}
    }}
}}
"""

_TLS = """ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_session_cache shared:s:10m;
        ssl_session_tickets on;
        ssl_session_timeout 1h;
        access_log {log} handshake if=$is_first;"""


class Sink(Process):
    """A process that counts the messages at ``url``."""

    kind: str
    url: str

    def start(self) -> None:
        super().start()
        until(self._answers, f"{self.kind} answers")

    def _answers(self) -> bool:
        self.check()
        with suppress(OSError):
            return self.count() >= 0
        return False

    def count(self) -> int:
        """The number of messages answered so far."""
        raise NotImplementedError

    def handshakes(self) -> tuple[int, int]:
        """The numbers of full and of resumed TLS handshakes so far."""
        raise NotImplementedError


class PythonSink(Sink):
    """`ops.bench.sink`. ``latency`` is the delay of each answer in milliseconds."""

    kind = "Python (uvloop)"

    def __init__(self, folder: Path, certificate: Path | None = None, latency: float = 0.0) -> None:
        self._port, tls_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}" if certificate is None else f"https://127.0.0.1:{tls_port}"
        command = [sys.executable, "-m", "ops.bench.sink", str(self._port), "--latency", str(latency)]
        if certificate is not None:
            command += ["--tls-port", str(tls_port), "--certificate", str(certificate)]
        super().__init__(command, folder / "sink.log", clean())

    def count(self) -> int:
        return self._counters()[0]

    def handshakes(self) -> tuple[int, int]:
        _, full, resumed = self._counters()
        return full, resumed

    def _counters(self) -> list[int]:
        return [int(number) for number in _get(self._port).rpartition(b"\r\n")[2].split()]


class Nginx(Sink):
    """One process of nginx with its own configuration."""

    kind = "nginx"

    def __init__(self, program: str, folder: Path, certificate: Path | None = None) -> None:
        port, self._count_port = free_port(), free_port()
        self.url = f"http{'' if certificate is None else 's'}://127.0.0.1:{port}"
        self._handshakes = folder / f"handshakes-{port}.log"
        self._asked = 0
        configuration = folder / f"nginx-{port}.conf"
        text = _CONFIGURATION.format(
            folder=folder,
            port=port,
            count_port=self._count_port,
            answer=MESSAGE_ID.decode(),
            listen="" if certificate is None else " ssl",
            tls="" if certificate is None else _TLS.format(certificate=certificate, log=self._handshakes),
        )
        configuration.write_text(text, encoding="utf-8")
        command = [program, "-p", str(folder), "-e", f"{folder}/nginx-error.log", "-c", str(configuration)]
        super().__init__(command, folder / "nginx.log", clean())

    def count(self) -> int:
        # "server accepts handled requests", then their numbers. These count our own requests too.
        found = re.search(rb"requests\s+\d+ \d+ (\d+)", _get(self._count_port))
        if found is None:
            raise RuntimeError("nginx has no stub_status")
        self._asked += 1
        return int(found[1]) - self._asked

    def handshakes(self) -> tuple[int, int]:
        lines = self._handshakes.read_text().split() if self._handshakes.exists() else []
        return lines.count("."), lines.count("r")


def open_sink(folder: Path, certificate: Path | None = None) -> Sink:
    """The cheapest sink of this machine. With ``certificate``, a PEM file that includes the key, it speaks TLS."""
    # The PATH may lack /usr/sbin.
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/bin")
    return PythonSink(folder, certificate) if program is None else Nginx(program, folder, certificate)


def _get(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(b"GET /count HTTP/1.1\r\nHost: sink\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        received = b""
        while chunk := sock.recv(4096):
            received += chunk
    return received
