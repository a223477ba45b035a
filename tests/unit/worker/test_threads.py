"""The pool with a transport that blocks, told to stop by SIGQUIT's handler while the loop hands it a message."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from celery.worker import state

from mailer.settings import Settings
from mailer.worker.app import create_app
from mailer.worker.pool import TaskPool


@pytest.fixture
def pool(settings: Settings) -> Iterator[TaskPool]:
    found = TaskPool(app=create_app(settings.model_copy(update={"transport": "boto3"})), limit=2)
    found.start()
    yield found
    state.should_terminate = None
    found.terminate()


def test_the_handler_does_not_wait_for_a_lock_that_its_own_thread_holds(pool: TaskPool) -> None:
    state.should_terminate = True
    # As in the middle of the executor's submit().
    with pool.executor._shutdown_lock:
        handler = threading.Thread(target=pool.stop, daemon=True)
        handler.start()
        handler.join(30)
        assert not handler.is_alive()


def test_after_a_sigquit_it_begins_nothing_more(pool: TaskPool) -> None:
    state.should_terminate = True
    pool.stop()
    begun: list[int] = []
    pool.apply_async(lambda: None, accept_callback=lambda *_: begun.append(1))
    pool.terminate()
    assert not begun


def test_a_stop_waits_for_the_send_in_flight(pool: TaskPool) -> None:
    begun, ended = threading.Event(), threading.Event()

    def send() -> None:
        begun.set()
        time.sleep(0.5)
        ended.set()

    pool.apply_async(send)
    assert begun.wait(60)
    pool.stop()
    assert ended.is_set()
