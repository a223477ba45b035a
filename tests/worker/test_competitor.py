"""Somebody else uses half of the account: what is left is ours, and hardly anything is refused."""

from __future__ import annotations

import time
from pathlib import Path

from mailer.settings import Settings
from mailer.simulator.client import Simulator
from ops.bench.competitor import ADDRESS, Competitor
from tests.worker.conftest import Post, until

RATE = 200
LEARNT_SECONDS, SECONDS = 6.0, 8.0


def test_we_settle_at_what_a_competitor_leaves(settings: Settings, tmp_path: Path) -> None:
    with Simulator(rate=RATE, bucket=20, quota=-1, control_rate=0, latency="10ms", smtp=False) as ses:
        post = Post(settings.model_copy(update={"rate_per_second": RATE}), ses, tmp_path)
        try:
            post.worker()
            for first in range(0, 20 * RATE, 500):
                post.send([f"{first + number}@example.com" for number in range(500)], lane="bulk")  # type: ignore[arg-type]
            until(lambda: len(post.arrivals()) > RATE, "mail flows")
            with Competitor(ses.url, RATE / 2) as competitor:
                time.sleep(LEARNT_SECONDS)
                begin, refused, theirs = time.time(), ses.stats()["refused"].get("rate", 0), competitor.refused
                time.sleep(SECONDS)
                end, refused = time.time(), ses.stats()["refused"].get("rate", 0) - refused
            rows = [row.recipient == ADDRESS for row in ses.rows() if begin <= row.at < end]
        finally:
            post.close()
    allowed = RATE * (end - begin)
    ours, lost = rows.count(False), competitor.refused - theirs
    # Who yields everything leaves half unused; who yields nothing is refused one in three, and the other too.
    assert len(rows) > 0.65 * allowed
    assert 0.3 * len(rows) < ours < 0.65 * len(rows)
    assert refused - lost < 0.2 * ours
    assert lost < 0.2 * (len(rows) - ours)
