"""What is fuzzed. Each target tries one spoilt input and raises ``Finding`` for what must not happen."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from abc import ABC, abstractmethod
from random import Random
from typing import Any
from urllib.parse import urlsplit

from mailer.simulator import content
from mailer.simulator.api.endpoint import Api
from mailer.simulator.client import Simulator
from mailer.simulator.control import preview
from mailer.simulator.control.summaries import Summaries, duplicates
from mailer.simulator.errors import Refused
from mailer.simulator.exchange import Request
from mailer.simulator.inbox import Submission
from mailer.simulator.mime import read
from mailer.simulator.options import Options
from mailer.simulator.service import Service
from tests.unit.simulator.fuzz.mutation import MIME, head, spoilt, spoilt_value, v1_call, v2_call

_REPLY = re.compile(rb"\d{3}[ -][^\r\n]*\r?\n?")


class Finding(Exception):
    """Something that must not happen, with the input that made it."""


class Target(ABC):
    """One way in."""

    name: str

    @abstractmethod
    def attempt(self, random: Random) -> None: ...


class ApiCalls(Target):
    """Bodies and paths of both APIs, on the real doors, in this process. What was taken is read back like an inbox."""

    name = "API calls"

    def __init__(self, random: Random) -> None:
        self.service = Service(
            Options(
                rate=1e9,
                quota=-1,
                control_rate=0,
                keep=100,
                keep_bytes=1 << 20,
                keep_rows=2000,
                configuration_set=("main",),
                seed=random.getrandbits(32),
            )
        )
        self._api = Api(self.service)
        self._summaries = Summaries(self.service.inbox)
        self._tried = 0

    def attempt(self, random: Random) -> None:
        method, target, body = (v2_call if random.random() < 0.7 else v1_call)(random)
        path, _, query = target.partition("?")
        headers = {b"host": b"localhost", b"amz-sdk-invocation-id": b"%x" % random.getrandbits(8)}
        if random.random() < 0.1:
            headers[b"authorization"] = spoilt(
                random, b"AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/ses/aws4_request, x"
            )
        request = Request(method, path, query.encode("latin-1", "replace"), headers, body)
        try:
            reply = self._api.handle(request)
        except Exception as error:
            raise Finding(f"{request!r}") from error
        if not 200 <= reply.status < 500:
            raise Finding(f"{reply.status} for {request!r}")
        self._tried += 1
        if self._tried % 500 == 0:
            self._look()
        # Thousands of Regions, each with an account, are the caller's own wish; here they would only use memory.
        if self._tried % 5000 == 0:
            self.service.reset()

    def _look(self) -> None:
        for event in self.service.events.events():
            json.dumps(self.service.events.render(event))
        asyncio.run(duplicates(self.service.inbox, self._summaries))
        for message in self.service.inbox.messages():
            json.dumps(content.parse(message.submission))
            preview.html(message.submission)


class Mime(Target):
    """Messages as ``Raw`` content: the envelope, and everything that is shown of it."""

    name = "MIME"

    def attempt(self, random: Random) -> None:
        data = spoilt(random, MIME, 10)
        try:
            envelope = read(data)
        except Refused:
            envelope = None
        except Exception as error:
            raise Finding(repr(data)) from error
        submission = Submission(
            "us-east-1", "http", "a@x.co", ("b@x.co",), "mime", envelope.data if envelope else data, {}
        )
        try:
            json.dumps(content.parse(submission))
            preview.html(submission)
        except Exception as error:
            raise Finding(repr(data)) from error


class Http(Target):
    """Heads and bodies on the wire, to a simulator of its own: the APIs, the control API, and SQS."""

    name = "HTTP"

    def __init__(self, simulator: Simulator) -> None:
        address = urlsplit(simulator.url)
        self._address = (str(address.hostname), int(address.port or 0))

    def attempt(self, random: Random) -> None:
        request = b"".join(self._request(random) for _ in range(random.choice([1, 1, 1, 3])))
        for answer in self.answers(request):
            if not answer.startswith(b"HTTP/1.1 ") or answer[9:12] >= b"500":
                raise Finding(f"{answer[:200]!r} for {request!r}")

    def answers(self, request: bytes) -> list[bytes]:
        received = b""
        with socket.create_connection(self._address, timeout=60) as connection:
            try:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 16):
                    received += piece
            except (ConnectionResetError, BrokenPipeError):
                pass  # refused in the middle of what it was sent
            except TimeoutError:
                raise Finding(f"silence for {request!r}") from None
        return [b"HTTP/1.1 " + part for part in received.split(b"HTTP/1.1 ")[1:]] or ([received] if received else [])

    def _request(self, random: Random) -> bytes:
        kind = random.random()
        headers = {"Content-Type": "application/json"}
        if kind < 0.5:
            method, target, body = v2_call(random)
        elif kind < 0.7:
            method, target, body = v1_call(random)
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        elif kind < 0.8:
            method, target, body = "POST", "/", json.dumps(spoilt_value(random, _SQS)).encode()
            headers["X-Amz-Target"] = f"AmazonSQS.{random.choice(_SQS_OPERATIONS)}"
        else:
            method, target, call = random.choice(_CONTROL)
            target = spoilt(random, target.encode(), 1).decode("latin-1") if random.random() < 0.5 else target
            body = b"" if call is None else json.dumps(spoilt_value(random, call)).encode()
        if random.random() < 0.05:
            headers |= {"Connection": "Upgrade", "Upgrade": "h2c"}
        request = head(method, target, body, headers)
        return spoilt(random, request) if random.random() < 0.5 else request


class Smtp(Target):
    """Whole sessions on the wire, without TLS so that every byte may be spoilt."""

    name = "SMTP sessions"

    def __init__(self, simulator: Simulator) -> None:
        self._address = simulator.smtp

    def attempt(self, random: Random) -> None:
        lines = [spoilt(random, line, 3) if random.random() < 0.4 else line for line in random.choice(_SESSIONS)]
        session = b"\r\n".join([*lines, spoilt(random, MIME) if random.random() < 0.7 else b"", b".", b"QUIT", b""])
        received = b""
        with socket.create_connection(self._address, timeout=60) as connection:
            try:
                connection.sendall(session)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(1 << 16):
                    received += piece
            except (ConnectionResetError, BrokenPipeError):
                pass
            except TimeoutError:
                raise Finding(f"silence for {session!r}") from None
        if _REPLY.sub(b"", received) or b"451 Temporary" in received or not received:
            raise Finding(f"{received!r} for {session!r}")


_SESSIONS = [
    [b"EHLO me", b"MAIL FROM:<a@example.com>", b"RCPT TO:<b@example.com>", b"DATA"],
    [b"HELO me", b"MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME", b"RCPT TO:<b@example.com>", b"RSET", b"DATA"],
    [b"EHLO me", b"AUTH LOGIN", b"QUtJRA==", b"cGFzc3dvcmQ=", b"NOOP", b"VRFY x", b"EXPN x", b"HELP"],
    [b"EHLO me", b"AUTH PLAIN AGEAYg==", b"AUTH PLAIN", b"*", b"MAIL FROM:<>", b"RCPT TO:<b@example.com>", b"DATA"],
    [b"EHLO me", b"MAIL FROM:<a@x.co>", *[b"RCPT TO:<b%d@example.com>" % number for number in range(60)], b"DATA"],
]
_SQS: dict[str, Any] = {
    "QueueUrl": "http://localhost/123456789012/events",
    "QueueName": "events",
    "MaxNumberOfMessages": 3,
    "VisibilityTimeout": 0,
    "WaitTimeSeconds": 0,
    "AttributeNames": ["All"],
    "Attributes": {"VisibilityTimeout": "3"},
    "ReceiptHandle": "x:1:2",
    "MessageBody": "x",
    "Entries": [{"Id": "a", "ReceiptHandle": "x:1:2", "VisibilityTimeout": 3}],
}
_SQS_OPERATIONS = [
    *(
        "CreateQueue",
        "GetQueueUrl",
        "ListQueues",
        "GetQueueAttributes",
        "SetQueueAttributes",
        "PurgeQueue",
        "SendMessage",
    ),
    *("ReceiveMessage", "DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "TagQueue", ""),
]
_CONTROL: list[tuple[str, str, Any]] = [
    ("GET", "/", None),
    ("GET", "/_sim/ui/app.js", None),
    ("GET", "/_sim/messages?limit=3&fields=subject,text,html&recipient=a", None),
    ("GET", "/_sim/rows?after=1&limit=3", None),
    ("GET", "/_sim/stats?slots=1&since=1", None),
    ("GET", "/_sim/inbox?search=ann&bodies=1&before=9&limit=3", None),
    ("GET", "/_sim/events?type=Bounce&after=3&limit=5", None),
    ("GET", "/_sim/events/newest?limit=5", None),
    ("GET", "/_sim/duplicates?limit=5", None),
    ("GET", "/_sim/resends", None),
    ("GET", "/_sim/sns?Action=ConfirmSubscription&TopicArn=x&Token=y", None),
    ("PUT", "/_sim/outcomes", {"bounce": 0.1, "delivery_after": "1ms"}),
    ("POST", "/_sim/destinations", {"kind": "queue", "target": "events", "events": ["Bounce"], "raw": True}),
    ("PUT", "/_sim/account?region=us-west-1", {"rate": 5, "quota": 9, "verified": ["x"], "used": 3}),
    ("POST", "/_sim/faults", {"kind": "latency", "latency": "1us", "probability": 0.1, "count": 3}),
    ("PUT", "/_sim/clock", {"frozen": None, "advance": 1}),
]
