"""Environments are values: what is this process's own stays as it is, and leads no other astray."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailer.settings import Settings, load
from mailer.testbed.environment import clean, environment_of, settings_in, without


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a person with an account."""
    for name, value in (
        *(("MAILER_LANES", "only"), ("MAILER_REDIS_URL", "redis://192.0.2.1/0"), ("MAILER_ON_UNKNOWN_ONLY", "hold")),
        *(("AWS_PROFILE", "theirs"), ("CELERY_BROKER_URL", "redis://192.0.2.1/0")),
    ):
        monkeypatch.setenv(name, value)


def test_no_variable_of_a_persons_own_is_passed_on() -> None:
    own = dict(os.environ)
    found = clean(MAILER_ACCOUNT="test")
    assert {name: value for name, value in found.items() if name not in own} == {"MAILER_ACCOUNT": "test"}
    assert found["PATH"] == own["PATH"]
    assert not {"MAILER_LANES", "AWS_PROFILE", "CELERY_BROKER_URL"} & found.keys()
    assert dict(os.environ) == own


def test_some_are_kept_where_asked() -> None:
    kept = without("MAILER_", keep=("MAILER_REDIS_",))
    assert kept["MAILER_REDIS_URL"] == "redis://192.0.2.1/0"
    assert "MAILER_LANES" not in kept


def test_settings_survive_the_way_through_an_environment(tmp_path: Path) -> None:
    settings = settings_in(
        {}, redis_url="redis://:secret@127.0.0.1/0", lanes=("a", "b"), rate_per_second=2.5, data_dir=tmp_path
    )
    assert settings_in(environment_of(settings)) == settings
    assert settings.lanes == ("a", "b")


def test_settings_are_those_of_the_given_environment_alone() -> None:
    found = settings_in({"MAILER_ACCOUNT": "theirs", "MAILER_RATE_PER_SECOND": "3"}, account="test")
    assert isinstance(found, Settings)
    assert (found.account, found.rate_per_second, found.redis_url) == ("test", 3.0, None)
    assert found.lanes == ("transactional", "bulk")
    assert load().lanes == ("only",)


def test_a_process_sends_to_the_simulator_that_is_named_with_a_key_of_nobodys() -> None:
    found = environment_of(settings_in({}), "http://127.0.0.1:9", AWS_REGION="eu-west-1")
    assert found["AWS_ENDPOINT_URL_SESV2"] == "http://127.0.0.1:9"
    assert found["AWS_REGION"] == "eu-west-1"
    assert "AWS_PROFILE" not in found
    assert "AWS_ENDPOINT_URL_SESV2" not in environment_of(settings_in({}))
