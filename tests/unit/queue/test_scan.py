"""Searching a place of any length, page by page."""

from __future__ import annotations

import redis

from mailer.queue.keys import Keys
from mailer.queue.scan import scan
from mailer.settings import Settings

LONG = 100_000


def test_a_long_list_is_read_once_in_pages_that_grow_with_the_way_to_them(
    client: redis.Redis, settings: Settings
) -> None:
    lane, pages = Keys.of(settings).lane("bulk"), list[int]()
    for start in range(0, LONG, 10_000):
        client.rpush(lane, f"to {start}", *["x"] * 9_999)
    found = [stored for _, stored in scan(client, lane, "list", ["To "], pages.append)]
    assert found == [f"to {start}".encode() for start in range(0, LONG, 10_000)]
    assert sum(pages) == LONG
    # Getting to the middle takes as long as looking at a hundred more.
    assert (pages[0], max(pages), pages[-2] < 260) == (250, 349, True)
    client.delete(lane)


def test_what_is_pushed_while_a_list_is_read_hides_nothing(client: redis.Redis, settings: Settings) -> None:
    lane = Keys.of(settings).lane("bulk")
    client.rpush(lane, *[f"to {number}" for number in range(2_000)])

    def push(_: int) -> None:
        client.lpush(lane, *["new"] * 100)

    found = scan(client, lane, "list", ["to "], push)
    assert {stored for _, stored in found} == {f"to {number}".encode() for number in range(2_000)}
    client.delete(lane)
