"""Somebody else uses half of the account: what is left is ours, and hardly anything is refused."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from mailer.settings import Settings
from mailer.simulator.client import Simulator
from mailer.testbed.waiting import until
from ops.bench.competitor import ADDRESS, Competitor
from tests.support.post import Post

RATE = 200
LEARNT_SECONDS, SECONDS = 6.0, 8.0
STANDSTILL_SECONDS = 0.5
WINDOWS = 6

pytestmark = pytest.mark.timing


@dataclass(frozen=True, slots=True)
class Window:
    """Some seconds in which both send: when whose mail arrived, and how many calls were refused."""

    seconds: float
    ours: list[float]
    theirs: list[float]
    refused: int
    lost: int
    """How many of those refused were theirs."""

    @property
    def is_smooth(self) -> bool:
        """Neither of them stood still."""
        return all(
            later - earlier < STANDSTILL_SECONDS
            for each in (self.ours, self.theirs)
            for earlier, later in pairwise(each)
        )


def watch(post: Post, ses: Simulator, competitor: Competitor) -> Window:
    keep_busy(post)
    begin, refused, theirs = time.time(), ses.stats()["refused"].get("rate", 0), competitor.refused
    time.sleep(SECONDS)
    end, refused = time.time(), ses.stats()["refused"].get("rate", 0) - refused
    rows = [row for row in ses.rows() if begin <= row.at < end]
    ours, competitors = ([row.at for row in rows if (row.recipient == ADDRESS) is them] for them in (False, True))
    return Window(end - begin, ours, competitors, refused, competitor.refused - theirs)


def keep_busy(post: Post) -> None:
    """There is more in the queue than can be sent while somebody watches."""
    while post.client.llen(post.keys.lane("bulk")) < 20 * RATE:
        post.send([f"{number}@example.com" for number in range(500)], lane="bulk")  # type: ignore[arg-type]


def test_we_settle_at_what_a_competitor_leaves(settings: Settings, tmp_path: Path) -> None:
    with Simulator(rate=RATE, bucket=20, quota=-1, control_rate=0, latency="10ms", smtp=False) as ses:
        post = Post(settings.model_copy(update={"rate_per_second": RATE}), ses, tmp_path)
        try:
            post.worker()
            keep_busy(post)
            until(lambda: len(post.arrivals()) > RATE, "mail flows")
            with Competitor(ses.url, RATE / 2) as competitor:
                time.sleep(LEARNT_SECONDS)
                for _ in range(WINDOWS):
                    seen = watch(post, ses, competitor)
                    # What a machine that stands still does to the share of each is not ours to prove.
                    if seen.is_smooth:
                        break
        finally:
            post.close()
    ours, theirs = len(seen.ours), len(seen.theirs)
    # Who yields everything leaves half unused; who yields nothing is refused one in three, and the other too.
    assert ours + theirs > 0.65 * RATE * seen.seconds
    assert 0.3 * (ours + theirs) < ours < 0.65 * (ours + theirs)
    assert seen.refused - seen.lost < 0.2 * ours
    assert seen.lost < 0.2 * theirs
