"""moto's server and the simulator side by side: the same calls of boto3, and every difference meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from mailer.simulator.client import Simulator
from ops.moto import Moto
from tests.support import REPOSITORY
from tests.unit.simulator.moto_cases import CASES, Answer, answer
from tests.unit.simulator.moto_differences import DIFFERENCES, table

_DOCUMENT = REPOSITORY / "docs" / "simulator.md"


def _clients(url: str) -> dict[str, Any]:
    return {
        api: boto3.client(
            api,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        for api in ("ses", "sesv2")
    }


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, tuple[Answer, Answer]]]:
    """moto's and the simulator's, by the name of the case; in order, for each builds on those before."""
    # moto's limits, and a bucket that never empties: moto does not enforce them.
    with Moto() as moto, Simulator(rate=1, bucket=10_000, quota=200, control_rate=0, smtp=False) as simulator:
        simulator.set_account(verified=[])
        ours, theirs = _clients(simulator.url), _clients(moto.url)
        yield {case.name: (answer(theirs[case.api], case), answer(ours[case.api], case)) for case in CASES}


@pytest.mark.parametrize("name", [case.name for case in CASES if case.name not in DIFFERENCES])
def test_moto_and_the_simulator_answer_the_same(answers: dict[str, tuple[Answer, Answer]], name: str) -> None:
    moto, simulator = answers[name]

    assert simulator == moto


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_the_one_that_is_explained(answers: dict[str, tuple[Answer, Answer]], name: str) -> None:
    moto, simulator = answers[name]

    assert moto == DIFFERENCES[name].moto
    assert simulator == DIFFERENCES[name].simulator
    assert moto != simulator


def test_every_difference_is_in_the_documentation() -> None:
    assert table() in _DOCUMENT.read_text(encoding="utf-8")
