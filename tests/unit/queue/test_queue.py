"""The queue from the producers' side: what a process knows of the contents that Redis has."""

from __future__ import annotations

import threading
import time

import pytest
import redis

from mailer.queue.keys import Keys
from mailer.queue.queue import Entry, Queue
from mailer.queue.script import script
from mailer.settings import Settings


class Hash(str):
    """A content's hash which lets another thread go on just where a dictionary is about to look for it."""

    __slots__ = ()

    def __hash__(self) -> int:
        time.sleep(0)
        return super().__hash__()


def test_threads_with_many_contents_are_told_of_no_error_after_enqueueing(
    client: redis.Redis, settings: Settings
) -> None:
    queue, failed = Queue(client, Keys.of(settings)), []

    def put(step: int) -> None:
        try:
            for turn in range(300):
                number = turn * step % 80
                queue.put("bulk", [Entry(f"{step}-{turn}", b"{}")], content=(Hash(f"{number:032x}"), b"text"))
        except Exception as error:  # noqa: BLE001 - whatever it is
            failed.append(error)

    threads = [threading.Thread(target=put, args=(step,)) for step in (1, 3, 7, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert client.llen(queue.keys.lane("bulk")) == 4 * 300


def test_a_content_that_redis_forgot_is_given_once_more(client: redis.Redis, settings: Settings) -> None:
    queue = Queue(client, Keys.of(settings))
    queue.put("bulk", [Entry("1", b"{}")], content=("ab" * 16, b"text"))
    client.delete(queue.keys.content, queue.keys.references)
    queue.put("bulk", [Entry("2", b"{}")], content=("ab" * 16, b"text"))
    assert queue.content("ab" * 16) == b"text"


def test_a_script_whose_writes_too_few_replicas_have_is_not_confirmed(client: redis.Redis, settings: Settings) -> None:
    bell = Keys.of(settings).doorbell("bulk")
    client.script_flush()
    for _ in range(2):  # the server has the script only the second time
        with pytest.raises(redis.exceptions.ConnectionError, match="0 of 1 replicas"):
            script("ring").run(client, [bell], (), replicas=1)
    assert client.llen(bell) > 0
