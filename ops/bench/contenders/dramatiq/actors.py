"""A dramatiq actor that calls boto3: ``dramatiq actors --processes 1 --threads 16``. `enqueue` puts mails before it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import boto3
import dramatiq  # type: ignore[import-not-found]
from botocore.config import Config
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]

QUEUE = "bulk"
STAGED = "staged"
"""The namespace of queues that no worker serves."""

staging = "BENCH_STAGE" in os.environ
broker = RedisBroker(url=os.environ["MAILER_REDIS_URL"], namespace=STAGED if staging else "dramatiq")
dramatiq.set_broker(broker)

threads = int(os.environ["BENCH_THREADS"])
client: Any = None if staging else boto3.client("sesv2", config=Config(max_pool_connections=threads))


@dramatiq.actor(queue_name=QUEUE)  # type: ignore[untyped-decorator]
def send(sender: str, to: str, subject: str, text: str, html: str) -> None:
    """Send one mail."""
    client.send_email(
        FromEmailAddress=sender,
        Destination={"ToAddresses": [to]},
        Content={
            "Simple": {
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": text, "Charset": "UTF-8"}, "Html": {"Data": html, "Charset": "UTF-8"}},
            }
        },
    )


def enqueue(file: Path) -> None:
    """The file's lines, JSON, one mail each."""
    for line in file.read_text(encoding="utf-8").splitlines():
        send.send(**json.loads(line))


if __name__ == "__main__":
    enqueue(Path(sys.argv[1]))
