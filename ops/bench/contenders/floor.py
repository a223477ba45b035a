"""The floor: one process, one keep-alive socket, one signed request after the other; no queue. ``python -m
ops.bench.contenders.floor COUNT``, with the endpoint and certificates in the AWS variables.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import botocore.credentials

from mailer.mail.address import parse
from mailer.mail.content import Structured
from mailer.mail.message import Message
from mailer.ses.request import SEND_EMAIL_PATH, encode
from mailer.ses.signer import Signer
from mailer.testbed.ses import UNLIMITED
from ops.bench import mail
from ops.bench.bench import Bench
from ops.bench.contenders.contender import Sample
from ops.bench.sinks import Sink


class Floor:
    """Encoding, signing, writing and reading, and nothing else."""

    name = "the floor: signed requests on one socket"
    amount = 20_000

    def run(self, bench: Bench, sink: Sink, amount: int, environment: dict[str, str]) -> Sample:
        settings = bench.environment(rate=UNLIMITED, sink=sink.url, **environment)
        ended = subprocess.run(
            [sys.executable, "-m", __name__, str(amount)],
            env=settings,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise RuntimeError(f"{self.name}: {ended.stderr[-1000:]}")
        return Sample(**json.loads(ended.stdout))


def main(count: int) -> None:
    url = urlsplit(os.environ["AWS_ENDPOINT_URL_SESV2"])
    plain = socket.create_connection((str(url.hostname), url.port or 443))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = plain
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=Path(os.environ["AWS_CA_BUNDLE"]))
        connection = context.wrap_socket(plain, server_hostname=url.hostname)
    signer = Signer(url.geturl() + SEND_EMAIL_PATH, region=os.environ["AWS_REGION"])
    credentials = botocore.credentials.ReadOnlyCredentials("AKIDBENCH", "not-a-secret", None)
    head = f"POST {signer.path} HTTP/1.1\r\nHost: {signer.host}\r\n".encode()
    # A hundred different mails, rendered beforehand.
    messages = [
        Message(str(number), parse(row.pop("to")), Structured(**row))  # type: ignore[arg-type]
        for number, row in enumerate(mail.rendered(100))
    ]
    clock, cpu = time.monotonic(), time.process_time()
    for number in range(count):
        body = encode(messages[number % 100])
        signed = signer.sign(body, credentials, time.time())
        connection.sendall(b"%b%bContent-Length: %d\r\n\r\n%b" % (head, signed, len(body), body))
        if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
            raise SystemExit("the sink did not answer 200")
    clock, cpu = time.monotonic() - clock, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"per_second": count / clock, "worker_ms": 1000 * cpu / count, "memory_mb": peak / 1e6}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
