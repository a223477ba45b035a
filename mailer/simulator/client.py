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
        """The whole messages kept, oldest first. For ``fields`` see ``Control.messages``."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            query = {"recipient": recipient, "since": since, "fields": fields, "after": after, "limit": 1000}
            page = self.request("GET", "/_sim/messages", query=query)
            found += page["messages"]
            after = page["next"]
        return found

    def message(self, ses_id: str) -> dict[str, Any]:
        """One message, parsed: ``subject, text, html, headers, attachments`` and the rest."""
        found: dict[str, Any] = self.request("GET", f"/_sim/messages/{ses_id}")
        return found

    def rows(self, first: int = 0) -> Iterator[Row]:
        """One row per accepted recipient, oldest first. The newest million stay, even if few whole messages do."""
        after: int | None = first
        while after is not None:
            page = self.request("GET", "/_sim/rows", query={"after": after})
            for row in page["rows"]:
                yield Row(*row)
            after = page["next"]

    def events(self, *, kind: str = "", recipient: str = "", ses_id: str = "") -> list[dict[str, Any]]:
        """Events as SES publishes them (``eventType`` ...), oldest first. ``kind`` is one of SES's event types."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            query = {"type": kind, "recipient": recipient, "ses_id": ses_id, "after": after, "limit": 1000}
            page = self.request("GET", "/_sim/events", query=query)
            found += [each["event"] for each in page["events"]]
            after = page["next"]
        return found

    def duplicates(self) -> list[dict[str, Any]]:
        """Messages that were sent more than once, with their ``ses_ids``. Covers only the messages kept.

        ``by`` is ``content`` (same recipient and content; ``of`` is the recipient) or ``tag`` (same value of the
        message tag ``--row-tag``).
        """
        found: list[dict[str, Any]] = self.request("GET", "/_sim/duplicates", query={"limit": 10_000})["duplicates"]
        return found

    def resends(self) -> list[dict[str, Any]]:
        """Calls that an AWS SDK repeated without its caller's knowledge (the same invocation id)."""
        found: list[dict[str, Any]] = self.request("GET", "/_sim/resends", query={"limit": 10_000})["calls"]
        return found

    def auto_replies(self) -> list[dict[str, Any]]:
        """The replies of ``ooto@simulator.amazonses.com`` and their recipients."""
        found: list[dict[str, Any]] = self.request("GET", "/_sim/auto-replies")["auto_replies"]
        return found

    def stats(self, *, slots: bool = False, since: float = 0.0) -> dict[str, Any]:
        """Counts. With ``slots`` also each Region's accepted and refused recipients per 100 ms since ``since``."""
        query = {"slots": 1, "since": since} if slots else {}
        found: dict[str, Any] = self.request("GET", "/_sim/stats", query=query)
        return found

    def account(self, region: str | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self.request("GET", "/_sim/account", query=_region(region))
        return found

    # Change

    def set_account(self, region: str | None = None, **changes: object) -> dict[str, Any]:
        """Set any of ``rate, quota, bucket, control_rate, sending_enabled, enforcement, sandbox, verified, used``."""
        found: dict[str, Any] = self.request("PUT", "/_sim/account", query=_region(region), body=changes)
        return found

    def set_outcomes(self, **changes: object) -> dict[str, Any]:
        """Set how often mail bounces and how late events come: the fields of ``events.outcomes.Outcomes``."""
        found: dict[str, Any] = self.request("PUT", "/_sim/outcomes", body=changes)
        return found

    def add_webhook(self, url: str, **fields: object) -> dict[str, Any]:
        """Post events to ``url`` as SNS does. For the fields see ``events.destination.Destination``."""
        body = {"kind": "webhook", "target": url, **fields}
        found: dict[str, Any] = self.request("POST", "/_sim/destinations", body=body)
        return found

    def add_queue(self, name: str, **fields: object) -> str:
        """Put events into a queue for SQS clients (``endpoint_url=simulator.url``). Returns its QueueUrl."""
        body = {"kind": "queue", "target": name, **fields}
        return str(self.request("POST", "/_sim/destinations", body=body)["queue_url"])

    def destinations(self) -> list[dict[str, Any]]:
        """Webhooks and queues, with their counts of deliveries."""
        found: list[dict[str, Any]] = self.request("GET", "/_sim/destinations")["destinations"]
        return found

    def remove_destination(self, number: int) -> None:
        self.request("DELETE", f"/_sim/destinations/{number}")

    def set_latency(self, latency: str) -> None:
        """Set the latency of every later answer: ``20ms``, ``uniform:10ms-50ms`` or ``lognormal:20ms/0.5``."""
        self.request("PUT", "/_sim/latency", body={"latency": latency})

    def set_secrets(self, secrets: dict[str, str]) -> None:
        """Accept only signatures of these access key ids with these secrets. Every other key is revoked."""
        self.request("PUT", "/_sim/secrets", body=secrets)

    def add_fault(self, kind: str, **fields: object) -> None:
        """Add a fault: ``add_fault("reset", when="after", count=1)``. For the fields see ``faults.Fault``."""
        self.request("POST", "/_sim/faults", body={"kind": kind, **fields})

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force, with the rest of their counts."""
        found: list[dict[str, Any]] = self.request("GET", "/_sim/faults")["faults"]
        return found

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
        self.request("PUT", "/_sim/clock", body={"frozen": True})

    def resume_clock(self) -> None:
        self.request("PUT", "/_sim/clock", body={"frozen": False})

    def advance_clock(self, seconds: float) -> None:
        self.request("PUT", "/_sim/clock", body={"advance": seconds})

    def skew_clock(self, seconds: float) -> None:
        """Set SES's wall clock ``seconds`` ahead of this host's. SES dates answers and checks signatures by it."""
        self.request("PUT", "/_sim/clock", body={"skew": seconds})

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
