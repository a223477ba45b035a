"""The first idea of most: a Celery task that calls boto3. ``celery -A ops.bench.contenders.celery_tasks worker``.

One client per process with a connection for each thread, late acknowledgement, the stock Redis transport, no results.
"""

from __future__ import annotations

import os

import boto3
from botocore.config import Config
from celery import Celery

QUEUE = "bulk"
THREADS = int(os.environ.get("BENCH_THREADS", "16"))

app = Celery("naive", broker=os.environ["MAILER_REDIS_URL"], set_as_current=False)
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_default_queue=QUEUE,
    task_ignore_result=True,
    worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "4")),
)

client = boto3.client("sesv2", config=Config(max_pool_connections=THREADS))


@app.task(name="naive.send", acks_late=True)  # type: ignore[untyped-decorator]
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
