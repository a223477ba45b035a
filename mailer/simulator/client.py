"""Starts a private simulator as a real process, for tests, demos and benchmarks.

with Simulator(rate=14) as simulator:
    ses = boto3.client("sesv2", endpoint_url=simulator.url, ...)
    ...
    assert simulator.messages(recipient="ann@example.com")[0]["subject"] == "Hello"
"""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit

from mailer.simulator.inbox import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class SimulatorError(Exception):
    """The simulator did not start, or it refused a request of the control API. The text gives the reason."""


class Simulator:
    """Starts ``python -m mailer.simulator`` on free ports and calls its control API.

    Keyword arguments are the flags with underscores: ``Simulator(rate=14, bucket=2, latency="20ms", tls=True)``.
    A list repeats its flag (``fault=["reset,count=1"]``). ``smtp=False`` and ``smtps=True`` choose the listeners.
    ``arguments`` are further flags in command-line form. Several threads can share one ``Simulator``.
    """

    def __init__(
        self, *, smtp: bool = True, smtps: bool = False, arguments: Sequence[str] = (), **flags: object
    ) -> None:
        self._arguments = arguments
        chosen: dict[str, object] = {"smtp_port": 0 if smtp else None, "smtps_port": 0 if smtps else None}
        self._flags = {"port": 0, **chosen, **flags}
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._connection: http.client.HTTPConnection | None = None
        self.ready: dict[str, str] = {}
        """The ready line: ``http``, and where requested ``smtp``, ``smtps`` and ``ca_file``."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Return when it listens. After a ``stop`` it starts empty and on the same ports as before."""
        command = [sys.executable, "-P", "-m", "mailer.simulator", "--stop-with-stdin", *_as_arguments(self._flags)]
        command += self._arguments
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own module
        line = self._first_line(self._process)
        if not line:
            self.stop()
            raise SimulatorError(f"the simulator did not start: {' '.join(command)}")
        self.ready = json.loads(line)
        for name, flag in (("http", "port"), ("smtp", "smtp_port"), ("smtps", "smtps_port")):
            if name in self.ready:
                self._flags[flag] = _host_and_port(self.ready[name])[1]

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if the process does not end in time."""
        process, self._process = self._process, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    @property
    def url(self) -> str:
        """The endpoint for SES clients: ``http://127.0.0.1:PORT``."""
        return self.ready["http"]

    def environment(self) -> dict[str, str]:
        """Variables that lead AWS's SDKs to this endpoint and the control API's Region, with dummy credentials."""
        region = str(self.account()["region"])
        return {
            "AWS_ENDPOINT_URL_SES": self.url,
            "AWS_ENDPOINT_URL_SESV2": self.url,
            "AWS_ACCESS_KEY_ID": "simulator",
            "AWS_SECRET_ACCESS_KEY": "simulator",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def smtp(self) -> tuple[str, int]:
        """Host and port for SMTP with STARTTLS."""
        return _host_and_port(self.ready["smtp"])

    @property
    def smtps(self) -> tuple[str, int]:
        """Host and port for SMTP with TLS from the start."""
        return _host_and_port(self.ready["smtps"])

    @property
    def ca_file(self) -> str:
        """The PEM file that clients must trust. It disappears when the simulator stops."""
        return self.ready["ca_file"]

    @property
    def pid(self) -> int:
        if self._process is None:
            raise SimulatorError("the simulator is not running")
        return self._process.pid

    # Read back

    def messages(self, *, recipient: str = "", since: float = 0.0, fields: str = "") -> list[dict[str, Any]]:
        """The whole messages kept, oldest first. For ``fields`` see ``control.messages.MessagesControl.messages``."""
        return list(self._pages("messages", limit=1000, recipient=recipient, since=since, fields=fields))

    def message(self, ses_id: str) -> dict[str, Any]:
        """One message, parsed: ``subject, text, html, headers, attachments`` and the rest."""
        return self._get(f"messages/{ses_id}")

    def rows(self, first: int = 0) -> Iterator[Row]:
        """One row per accepted recipient, oldest first. The newest million stay, even if few whole messages do."""
        return (Row(*row) for row in self._pages("rows", first))

    def events(self, *, kind: str = "", recipient: str = "", ses_id: str = "") -> list[dict[str, Any]]:
        """Events as SES publishes them (``eventType`` ...), oldest first. ``kind`` is one of SES's event types."""
        found = self._pages("events", limit=1000, type=kind, recipient=recipient, ses_id=ses_id)
        return [each["event"] for each in found]

    def duplicates(self) -> list[dict[str, Any]]:
        """Messages that were sent more than once, with their ``ses_ids``. Covers only the messages kept.

        ``by`` is ``content`` (same recipient and content; ``of`` is the recipient) or ``tag`` (same value of the
        message tag ``--row-tag``).
        """
        return list(self._get("duplicates", limit=10_000)["duplicates"])

    def resends(self) -> list[dict[str, Any]]:
        """Calls that an AWS SDK repeated without its caller's knowledge (the same invocation id)."""
        return list(self._get("resends", limit=10_000)["calls"])

    def auto_replies(self) -> list[dict[str, Any]]:
        """The replies of ``ooto@simulator.amazonses.com`` and their recipients."""
        return list(self._get("auto-replies")["auto_replies"])

    def stats(self, *, slots: bool = False, since: float = 0.0) -> dict[str, Any]:
        """Counts. With ``slots`` also each Region's accepted and refused recipients per 100 ms since ``since``."""
        return self._get("stats", **({"slots": 1, "since": since} if slots else {}))

    def account(self, region: str | None = None) -> dict[str, Any]:
        return self._get("account", **_region(region))

    def destinations(self) -> list[dict[str, Any]]:
        """Webhooks and queues, with their counts of deliveries."""
        return list(self._get("destinations")["destinations"])

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force, with the rest of their counts."""
        return list(self._get("faults")["faults"])

    def _get(self, path: str, **query: object) -> dict[str, Any]:
        found: dict[str, Any] = self.request("GET", f"/_sim/{path}", query=query)
        return found

    def _pages(self, name: str, first: int = 0, **query: object) -> Iterator[Any]:
        after: int | None = first
        while after is not None:
            page = self._get(name, after=after, **query)
            yield from page[name]
            after = page["next"]

    # Change

    def set_account(self, region: str | None = None, **changes: object) -> dict[str, Any]:
        """Set any fields of ``terms.TermsAndUse``, as ``rate``, ``quota``, ``bucket``, ``sandbox`` and ``used``."""
        return self._change("PUT", "account", changes, **_region(region))

    def set_outcomes(self, **changes: object) -> dict[str, Any]:
        """Set how often mail bounces and how late events come: the fields of ``events.outcomes.Outcomes``."""
        return self._change("PUT", "outcomes", changes)

    def add_webhook(self, url: str, **fields: object) -> dict[str, Any]:
        """Post events to ``url`` as SNS does. For the fields see ``events.destination.Destination``."""
        return self._change("POST", "destinations", {"kind": "webhook", "target": url, **fields})

    def add_queue(self, name: str, **fields: object) -> str:
        """Put events into a queue for SQS clients (``endpoint_url=simulator.url``). Returns its QueueUrl."""
        return str(self._change("POST", "destinations", {"kind": "queue", "target": name, **fields})["queue_url"])

    def remove_destination(self, number: int) -> None:
        self.request("DELETE", f"/_sim/destinations/{number}")

    def set_latency(self, latency: str) -> None:
        """Set the latency of every later answer: ``20ms``, ``uniform:10ms-50ms`` or ``lognormal:20ms/0.5``."""
        self._change("PUT", "latency", {"latency": latency})

    def set_secrets(self, secrets: dict[str, str]) -> None:
        """Accept only signatures of these access key ids with these secrets. Every other key is revoked."""
        self._change("PUT", "secrets", secrets)

    def add_fault(self, kind: str, **fields: object) -> None:
        """Add a fault: ``add_fault("reset", when="after", count=1)``. For the fields see ``fault.Fault``."""
        self._change("POST", "faults", {"kind": kind, **fields})

    def clear_faults(self) -> None:
        self.request("DELETE", "/_sim/faults")

    def clear_messages(self) -> None:
        self.request("DELETE", "/_sim/messages")

    def clear_stats(self) -> None:
        self.request("DELETE", "/_sim/stats")

    def reset(self) -> None:
        """Reset messages, counts, accounts, faults, latency and clock to the state at the start."""
        self.request("POST", "/_sim/reset")

    def freeze_clock(self) -> None:
        """Stop the account's time: no refill, no roll of the quota's window. ``advance_clock`` still moves the time."""
        self._change("PUT", "clock", {"frozen": True})

    def resume_clock(self) -> None:
        self._change("PUT", "clock", {"frozen": False})

    def advance_clock(self, seconds: float) -> None:
        self._change("PUT", "clock", {"advance": seconds})

    def skew_clock(self, seconds: float) -> None:
        """Set SES's wall clock ``seconds`` ahead of this host's. SES dates answers and checks signatures by it."""
        self._change("PUT", "clock", {"skew": seconds})

    def _change(self, method: str, path: str, body: object, **query: object) -> dict[str, Any]:
        found: dict[str, Any] = self.request(method, f"/_sim/{path}", query=query, body=body)
        return found

    def request(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: object = None) -> Any:
        """Call the control API. Returns its JSON, None for 204. Raises ``SimulatorError`` otherwise."""
        target = f"{path}?{urlencode(query)}" if query else path
        payload = None if body is None else json.dumps(body).encode()
        with self._lock:
            try:
                status, answer = self._exchanged(method, target, payload)
            except (http.client.HTTPException, OSError) as error:
                if self._connection is not None:
                    self._connection.close()
                self._connection = None
                raise SimulatorError(f"{method} {target}: {error!r}") from error
        try:
            decoded = json.loads(answer) if answer else None
        except ValueError:
            raise SimulatorError(f"{method} {target}: {status} {answer[:200]!r}") from None
        if status >= 400:
            raise SimulatorError(f"{method} {target}: {status} {(decoded or {}).get('error')}")
        return decoded

    def _exchanged(self, method: str, target: str, payload: bytes | None) -> tuple[int, bytes]:
        if self._connection is not None:
            # The server may have closed the idle connection to make room. Then it has read nothing of this request.
            try:
                return self._exchange(method, target, payload)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self._connection.close()
                self._connection = None
        return self._exchange(method, target, payload)

    def _exchange(self, method: str, target: str, payload: bytes | None) -> tuple[int, bytes]:
        if self._connection is None:
            address = urlsplit(self.url)
            host, port = address.hostname or "", address.port
            if address.scheme == "https":
                context = ssl.create_default_context(cafile=self.ca_file)
                self._connection = http.client.HTTPSConnection(host, port, timeout=30, context=context)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=30)
        self._connection.request(method, target, payload)
        response = self._connection.getresponse()
        return response.status, response.read()

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        """The ready line. Empty if the process ended or was not ready in time."""
        late = threading.Timer(_START_SECONDS, process.kill)
        late.start()
        try:
            return process.stdout.readline() if process.stdout is not None else ""
        finally:
            late.cancel()


def _as_arguments(given: dict[str, object]) -> list[str]:
    flags: list[str] = []
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            flags.append(flag)
        elif isinstance(value, list | tuple):
            flags += [part for item in value for part in (flag, str(item))]
        else:
            flags += [flag, str(value)]
    return flags


def _region(region: str | None) -> dict[str, Any]:
    return {} if region is None else {"region": region}


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
