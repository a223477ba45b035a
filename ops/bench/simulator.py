"""The simulator's cost and its admission: ``python -m ops.bench.simulator [--quick] [--json FILE]``.

Throughput: plain v2 sends on open connections, to the simulator and to moto's server in turn. The server runs on one
core and this client on another. Admission: three Regions with three limits, each under at least three times its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psutil
from rich.console import Console

from mailer.simulator.client import Simulator
from ops.bench.figure import Figure, Verdict
from ops.moto import Moto

CONNECTIONS = 8
ROUNDS = 6
LIMITS = {1: "us-east-1", 14: "eu-west-1", 500: "eu-central-1"}
"""Limits in recipients per second, each with its Region."""
RETRY_SECONDS = 0.002
"""The time between attempts at a limit of 1/s. Its bucket holds one token. Once it is full, the time until the next
attempt is lost, so three attempts a second would miss R·t by up to a third of each second. Larger buckets collect
tokens between attempts."""
_MOST_AT_ONCE = 50

SENDER = "news@example.com"


class Wire:
    """One connection that sends requests as bytes."""

    def __init__(self, url: str, region: str = "us-east-1") -> None:
        address = urlsplit(url)
        self._address = (str(address.hostname), address.port or 80)
        body = json.dumps(
            {
                "FromEmailAddress": SENDER,
                "Destination": {"ToAddresses": ["ann@example.com"]},
                "Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hello, Ann.\n" * 20}}}},
            }
        ).encode()
        self._request = self._head("/v2/email/outbound-emails", "application/json", len(body), region) + body
        self._socket = self._connect()
        self._received = b""

    def verify_sender(self) -> None:
        """Verify the sender, as moto sends for verified senders only."""
        body = urlencode({"Action": "VerifyEmailIdentity", "EmailAddress": SENDER, "Version": "2010-12-01"}).encode()
        self._socket.sendall(self._head("/", "application/x-www-form-urlencoded", len(body), "us-east-1") + body)
        if self.status() != 200:
            raise RuntimeError("moto did not verify the sender")

    def send(self, times: int = 1) -> None:
        self._socket.sendall(self._request * times)

    def status(self) -> int:
        """Read the next answer whole and return its HTTP status."""
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            self._more()
        head = self._received[:end].lower()
        length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(self._received) < end + 4 + length:
            self._more()
        self._received = self._received[end + 4 + length :]
        if b"connection: close" in head or head.startswith(b"http/1.0"):
            self._socket.close()
            self._socket = self._connect()
        return int(head[9:12])

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        self._received += received

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _head(self, path: str, kind: str, length: int, region: str) -> bytes:
        host, port = self._address
        return (
            f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential=AKIDBENCH/20260101/{region}/ses/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=0\r\nX-Amz-Date: 20260101T000000Z\r\n"
            "amz-sdk-invocation-id: 1139b0f0-6079-4304-ae9f-86cf60f2c14e\r\n\r\n"
        ).encode()


def throughput(*, quick: bool) -> Figure:
    seconds = 0.5 if quick else 2.0
    rates: dict[str, list[float]] = {"simulator": [], "moto": []}
    microseconds: dict[str, list[float]] = {"simulator": [], "moto": []}
    with Simulator(rate=1e6, quota=-1, smtp=False) as simulator, Moto() as moto:
        servers = {"simulator": (simulator.url, simulator.pid), "moto": (moto.url, moto.pid)}
        _on_cores([pid for _, pid in servers.values()])
        verifying = Wire(moto.url)
        verifying.verify_sender()
        verifying.close()
        for url, pid in servers.values():
            _sends_per_second(url, pid, 0.1)  # a warm-up, as the first send imports modules
        # In turn, so that other load of the machine affects both.
        for _ in range(ROUNDS):
            for name, (url, pid) in servers.items():
                rate, cpu = _sends_per_second(url, pid, seconds)
                rates[name].append(rate)
                microseconds[name].append(cpu)
    ours, theirs = (1e6 / statistics.median(microseconds[name]) for name in ("simulator", "moto"))
    return Figure(
        "simulator-throughput",
        f"plain v2 sends per second, one process on one core, {CONNECTIONS} connections kept open",
        ["server", "CPU per send", "sends per second of a core", "seen: best", "median", "worst"],
        rows=[
            [name, f"{used:.0f} µs", 1e6 / used, max(seen), statistics.median(seen), min(seen)]
            for name, seen in rates.items()
            for used in (statistics.median(microseconds[name]),)
        ],
        verdicts=[
            Verdict("simulator", ours, 2000, " sends/s"),
            Verdict("against moto", ours / theirs, 10, "×"),
        ],
        notes=[
            f"{ROUNDS} rounds of {seconds:g} s each, in turn; the rates seen are lower by what else ran here.",
            "What counts is what the server takes with a core to itself, from the CPU time it used for each send.",
            "moto's server is its own, threaded one.",
        ],
    )


def admission(*, quick: bool) -> Figure:
    seconds = 10.0 if quick else 60.0
    figure = Figure(
        "simulator-admission",
        f"recipients admitted in {seconds:g} s under overload, against R·t + capacity",
        ["limit per second", "capacity", "tried per second", "admitted", "R·t + capacity", "off by"],
        notes=[
            "t is from the first to the last one admitted, as the simulator counts them.",
            f"At 1/s tried every {RETRY_SECONDS * 1000:g} ms: a bucket of one token saves nothing up between attempts.",
        ],
    )
    with Simulator(quota=-1, smtp=False) as simulator:
        tried: dict[int, int] = {}
        threads = [
            threading.Thread(target=_overload, args=(simulator.url, region, limit, seconds, tried))
            for limit, region in LIMITS.items()
        ]
        for limit, region in LIMITS.items():
            simulator.set_account(region, rate=limit)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seen = simulator.stats()["regions"]
        capacities = {limit: simulator.account(region)["capacity"] for limit, region in LIMITS.items()}
    for limit, region in LIMITS.items():
        traffic, capacity = seen[region], capacities[limit]
        expected = limit * (traffic["last_accepted_at"] - traffic["first_accepted_at"]) + capacity
        off = traffic["recipients"] - expected
        figure.rows.append([limit, capacity, tried[limit] / seconds, traffic["recipients"], round(expected, 2), off])
        figure.verdicts.append(Verdict(f"off by, at {limit}/s", abs(off), 1.0, " recipients", at_most=True))
        figure.verdicts.append(Verdict(f"overload at {limit}/s", tried[limit] / seconds / limit, 2.9, "×"))
    return figure


def _sends_per_second(url: str, pid: int, seconds: float) -> tuple[float, float]:
    """The sends per second, and the microseconds of the server's CPU for each send."""
    process = psutil.Process(pid)
    wires = [Wire(url) for _ in range(CONNECTIONS)]
    before, start, sent = process.cpu_times(), time.monotonic(), 0
    for wire in wires:
        wire.send()
    while (now := time.monotonic()) < start + seconds:
        for wire in wires:
            if wire.status() != 200:
                raise RuntimeError(f"{url} refused a send")
            sent += 1
            wire.send()
    after = process.cpu_times()
    for wire in wires:
        wire.status()
        wire.close()
    return sent / (now - start), (after.user + after.system - before.user - before.system) / sent * 1e6


def _overload(url: str, region: str, limit: int, seconds: float, tried: dict[int, int]) -> None:
    gap = RETRY_SECONDS if limit == 1 else 1 / (3 * limit)
    wire = Wire(url, region)
    start, sent = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        # Late sends go out together, so that a busy machine does not reduce the overload.
        due = min(int(passed / gap) + 1 - sent, _MOST_AT_ONCE)
        if due <= 0:
            time.sleep(gap * sent - passed)
            continue
        wire.send(due)
        for _ in range(due):
            wire.status()
        sent += due
    wire.close()
    tried[limit] = sent


def _on_cores(servers: list[int]) -> None:
    """Put the servers on one core and this process on the others, if there are at least two."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        return
    for pid in servers:
        os.sched_setaffinity(pid, {cores[0]})
    os.sched_setaffinity(0, set(cores[1:]))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.bench.simulator", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter and noisier: to see that it works")
    parser.add_argument("--json", type=Path, help="write what was measured there too")
    given = parser.parse_args(arguments)
    figures = [throughput(quick=given.quick), admission(quick=given.quick)]
    console = Console()
    for figure in figures:
        figure.show(console)
    if given.json:
        results = {figure.name: figure.to_json() for figure in figures}
        given.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
