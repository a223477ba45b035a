"""What all tests share: a private Valkey, which ends with the session, and settings that lead to it."""

from __future__ import annotations

import gc
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from mailer.settings import Settings, load
from mailer.testbed.valkey import Valkey

# Each process collects all tests, and what it makes for that stays: looking through it for garbage finds none.
gc.disable()

# The tests start hundreds of interpreters. Without kept bytecode each would compile all of its imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The machine may be busy with other work, so a slow example is not a failure. A finding is printed with a decorator
# that tries it again.
hypothesis.settings.register_profile(
    "busy",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    database=None,
    print_blob=True,
)
hypothesis.settings.register_profile("long", hypothesis.settings.get_profile("busy"), max_examples=10_000)
hypothesis.settings.load_profile("busy")

_accounts = itertools.count(1)

pytest_plugins = ["tests.support.standstill"]

# One process runs all tests of a file. The longest files begin first, so that all processes end at about the same time.
# The trials of ops.soak load the machine; the order keeps them from running all at once.
_FIRST = (
    *(
        "tests/system/hosts/test_cut_off.py",
        "tests/system/loss/test_lost_redis.py",
        "tests/unit/ses/test_conformance.py",
        "tests/system/quota/test_ses_and_quota.py",
        "tests/system/loss/test_lost_workers.py",
        "tests/unit/doctor/",
        "tests/unit/cli/test_worker.py",
        "tests/unit/simulator/test_plugin.py",
        "tests/system/operating/",
        "tests/unit/ses/test_credentials.py",
    ),
    *("tests/system/", "tests/unit/simulator/", "tests/unit/ses/", "tests/unit/cli/", "tests/unit/producer/"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if hypothesis.settings.get_current_profile_name() == "long":
        for item in items:
            item.add_marker(pytest.mark.timeout(0))
    items.sort(key=lambda item: next((n for n, path in enumerate(_FIRST) if item.nodeid.startswith(path)), len(_FIRST)))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server of the test's own, which it may stop, kill and configure."""
    with Valkey(tmp_path) as server:
        yield server


@pytest.fixture
def settings(valkey: Valkey, tmp_path: Path) -> Settings:
    """Settings with the shared server and a separate account for the test."""
    return load(
        redis_url=valkey.url,
        account=f"test-{next(_accounts)}",
        rate_per_second=1000,
        quota_per_day=-1,
        data_dir=tmp_path,
    )


@pytest.fixture
def client(valkey: Valkey) -> Iterator[redis.Redis]:
    connection = redis.Redis.from_url(valkey.url)
    yield connection
    connection.close()
