"""One simulator process for the session, reset for each test, and an AWS client without retries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from mailer.simulator.client import Simulator

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

Ses = Any
"""A boto3 sesv2 client."""


def open_ses(url: str, *, region: str = "us-east-1", read_timeout: float = 30, **client: Any) -> Ses:
    return boto3.client(
        "sesv2",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=client.pop("key", "AKIDEXAMPLE"),
        aws_secret_access_key=client.pop("secret", SECRET),
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            read_timeout=read_timeout,
            parameter_validation=False,  # so that the requests of a broken client reach the simulator
            proxies={},
        ),
        **client,
    )


def mail(*to: str, **changes: Any) -> dict[str, Any]:
    """The arguments of ``send_email``."""
    content = {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hello."}}}}
    return {
        "FromEmailAddress": "news@example.com",
        "Destination": {"ToAddresses": list(to or ("ann@example.com",))},
        "Content": content,
        **changes,
    }


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Simulator]:
    with Simulator(
        rate=1000, bucket=1000, quota=50_000, control_rate=0, smtps=True, configuration_set="main"
    ) as simulator:
        yield simulator


@pytest.fixture
def simulator(_simulator: Simulator) -> Simulator:
    """A simulator that allows 1,000 recipients/s and 50,000 a day, without a limit on GetAccount."""
    _simulator.reset()
    return _simulator


@pytest.fixture
def ses(simulator: Simulator) -> Iterator[Ses]:
    client = open_ses(simulator.url)
    yield client
    client.close()


@pytest.fixture
def refusal(ses: Ses) -> Callable[..., tuple[int, str, str]]:
    """A function that sends a mail and returns the refusal's HTTP status, code and text."""

    def send(**call: Any) -> tuple[int, str, str]:
        with pytest.raises(ses.exceptions.ClientError) as caught:
            ses.send_email(**call)
        response = caught.value.response
        error = response["Error"]
        return response["ResponseMetadata"]["HTTPStatusCode"], error["Code"], error["Message"]

    return send
