"""Celery's own variables and options: none of them leads a worker, or Flower, to another Redis than mailer's."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import redis
from celery.loaders.app import AppLoader

from mailer.producer.producer import Producer
from mailer.queue.keys import Keys
from mailer.queue.queue import Queue
from mailer.settings import Settings, load
from mailer.worker.app import create_app
from mailer.worker.environment import contradictions, without_celery
from tests.support.post import Post, environment

ELSEWHERE = "redis://:secret@127.0.0.1:1/3"
LETTER: dict[str, Any] = {"to": "a@example.com", "sender": "b@example.com", "subject": "c", "text": "d"}


@pytest.mark.parametrize("name", ["CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL"])
def test_every_connection_leads_to_mailer_s_redis(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert settings.redis_url is not None
    monkeypatch.setenv(name, ELSEWHERE)
    with create_app(settings) as app:
        made = [app.connection_for_read(), app.connection_for_write(), app.connection(), app.pool.acquire()]
        assert {f"redis://{each.hostname}:{each.port}/{each.virtual_host}" for each in made} == {
            settings.redis_url.get_secret_value()
        }


def test_no_other_variable_of_celery_s_takes_part(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "there.is.no:Backend")
    monkeypatch.setenv("CELERY_LOADER", "there.is.no:Loader")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "there.is.none")
    with create_app(settings) as app:
        assert type(app.backend).__name__ == "DisabledBackend"
        assert isinstance(app.loader, AppLoader)
        assert list(app.fixups) == []


def test_the_celery_command_works_on_mailer_s_redis_and_says_so(client: redis.Redis, settings: Settings) -> None:
    Producer(Queue(client, Keys.of(settings))).send(**LETTER)
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-b", ELSEWHERE, "-A", "mailer.worker", "purge", "-f", "-Q", "transactional"],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "Purged 1 message" in done.stdout
    assert done.stderr.count("CELERY_BROKER_URL") == 1
    assert "MAILER_REDIS_URL" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("ours", "theirs", "is_another"),
    [
        ("redis://localhost:6379/0", "redis://127.0.0.1", False),
        ("redis://user:password@cache.example.com/2", "rediss://cache.example.com:6379/2", False),
        ("redis://localhost:6379/0", "redis://localhost:6379/1", True),
        ("redis://localhost:6379/0", "redis://:a/b@localhost:6379/0", True),
        ("redis://localhost:6379/0", "amqp://guest@localhost:5672//", True),
        ("unix:///run/valkey.sock", "redis+socket:///run/valkey.sock", False),
        ("unix:///run/valkey.sock", "redis+socket:///run/other.sock", True),
        ("sentinel://a:26379;sentinel://b:26379/0", "sentinel://b/0;sentinel://a", False),
    ],
)
def test_the_same_redis_written_otherwise_is_no_contradiction(ours: str, theirs: str, is_another: bool) -> None:
    settings = load(redis_url=ours, redis_sentinel_master="mailer")
    found = contradictions(settings, {"CELERY_BROKER_URL": theirs, "CELERY_BROKER_READ_URL": ""})
    assert found == (["CELERY_BROKER_URL"] if is_another else [])


def test_workers_of_mailer_worker_are_given_none_of_celery_s_variables() -> None:
    given = {"PATH": "/bin", "MAILER_LANES": "a", "CELERY_WORKER_PURGE": "1", "BROKER_URL": ELSEWHERE, "LOADER": "x"}
    assert without_celery(given) == {"PATH": "/bin", "MAILER_LANES": "a"}


def test_a_worker_logs_which_variables_are_no_settings(post: Post) -> None:
    worker = post.worker(MAILER_RATE="3", fork=False)
    assert worker.text.count("MAILER_RATE is not a setting, so nothing reads it") == 1
    assert worker.text.count("is not a setting") == 1
