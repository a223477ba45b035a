"""An application that sends mail: it welcomes new customers and stops writing to addresses that bounce."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

_NO_HIDDEN_RESENDS = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=2)


def welcome(address: str, name: str) -> str:
    """Send the welcome mail; returns SES's message id."""
    ses = boto3.client("sesv2", config=_NO_HIDDEN_RESENDS)
    answer = ses.send_email(
        FromEmailAddress="Club <hello@example.com>",
        Destination={"ToAddresses": [address]},
        Content={
            "Simple": {
                "Subject": {"Data": "Welcome to the club"},
                "Body": {"Text": {"Data": f"Dear {name}, good to have you."}},
            }
        },
        EmailTags=[{"Name": "campaign", "Value": "welcome"}],
    )
    return str(answer["MessageId"])


def welcome_all(customers: Iterable[tuple[str, str]]) -> int:
    """Send to all, slowing down when SES says so. Returns how often it had to wait."""
    waits = 0
    for address, name in customers:
        while True:
            try:
                welcome(address, name)
                break
            except ClientError as error:
                if error.response["Error"]["Message"] != "Maximum sending rate exceeded.":
                    raise
                waits += 1
                time.sleep(0.05)
    return waits


def bounced(queue_name: str, sqs_url: str) -> set[str]:
    """The addresses that SES has told, through SQS, not to write to again."""
    sqs = boto3.client("sqs", endpoint_url=sqs_url)
    queue = sqs.get_queue_url(QueueName=queue_name)["QueueUrl"]
    found: set[str] = set()
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            event = json.loads(message["Body"])
            if event["eventType"] == "Bounce" and event["bounce"]["bounceType"] == "Permanent":
                found |= {recipient["emailAddress"] for recipient in event["bounce"]["bouncedRecipients"]}
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return found
