"""Workers whose host's clock is ten minutes off: their mail is signed, and expires, by other clocks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mailer.simulator.client import Simulator
from mailer.testbed.environment import ACCESS_KEY, SECRET_KEY
from mailer.testbed.waiting import until
from ops.soak.clock import lacking, wrong_by
from tests.support.post import Post

OFF = 600.0


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """An SES that checks signatures."""
    secret = f"{ACCESS_KEY}:{SECRET_KEY}"
    with Simulator(rate=14, quota=-1, control_rate=0, latency="5ms", smtp=False, secret=secret) as running:
        yield running


def all_is_sent(post: Post, count: int) -> None:
    until(lambda: len(post.arrivals()) >= count and post.idle(), "all mail arrives")
    assert len(set(post.arrivals())) == len(post.arrivals()) == count
    assert post.client.hget(post.keys.account, "paused") is None
    assert post.aside("dead") == post.aside("held") == {}


@pytest.mark.parametrize(("transport", "skew", "rate"), [("ses", OFF, None), ("ses", -OFF, 14.0), ("boto3", OFF, 14.0)])
def test_a_wrong_clock_neither_stops_the_account_nor_costs_mail(
    post: Post, simulator: Simulator, transport: str, skew: float, rate: float | None
) -> None:
    simulator.skew_clock(skew)
    # One attempt: what costs one more becomes a dead letter.
    post.settings = post.settings.model_copy(
        update={"transport": transport, "retry_hours": 0, "rate_per_second": rate, "quota_per_day": rate and -1}
    )
    post.worker(wait=False)
    for i in range(20):
        post.send(f"{i}@example.com")
    all_is_sent(post, 20)
    stats = simulator.stats()
    assert 1 <= stats["refused"].pop("credentials", 0) <= 9, "at most one for each send at a time, and GetAccount"
    assert not stats["refused"]


@pytest.mark.skipif(bool(lacking()), reason=lacking())
@pytest.mark.parametrize("off", [OFF, -OFF])
def test_mail_expires_by_redis_s_clock_whatever_the_worker_s_says(post: Post, tmp_path: Path, off: float) -> None:
    post.client.hset(post.keys.account, "paused", "for the test")
    too_late = post.queue.now() + timedelta(seconds=5)
    post.send("late@example.com", expires_at=too_late)
    for i in range(3):
        post.send(f"in-time{i}@example.com", expires_at=too_late + timedelta(seconds=OFF / 2))
    wrong: dict[str, Any] = wrong_by(off, tmp_path)
    post.worker(**wrong)
    until(lambda: post.queue.now() > too_late, "the first is too late")
    post.client.hdel(post.keys.account, "paused")
    until(lambda: len(post.arrivals()) == 3 and post.idle(), "what is in time is sent")
    assert "late@example.com" not in post.arrivals()
