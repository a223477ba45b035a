"""The pool without threads, told to stop while the loop still hands it messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery.worker import state

from mailer.queue.headers import TASK
from mailer.settings import Settings
from mailer.worker.app import create_app
from mailer.worker.pool import TaskPool


@pytest.fixture
def pool(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TaskPool]:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    found = TaskPool(app=create_app(settings), limit=2)
    found.start()
    yield found
    state.should_terminate = None
    found.terminate()


def began(pool: TaskPool) -> bool:
    accepted: list[int] = []
    request = {"id": "m", "args": ["positional"], "kwargs": {}}
    pool.apply_async(None, (TASK, "m", request), accept_callback=lambda pid, _: accepted.append(pid))
    return bool(accepted)


def test_it_begins_what_it_is_handed(pool: TaskPool) -> None:
    assert began(pool)


def test_after_a_sigquit_it_begins_nothing_more(pool: TaskPool) -> None:
    state.should_terminate = True
    pool.stop()
    assert not began(pool)


def test_what_is_being_sent_is_not_stopped_by_a_cancellation(pool: TaskPool) -> None:
    pool.terminate_job(1, 15)
