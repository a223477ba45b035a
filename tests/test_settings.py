"""Settings that cannot be right are refused at the start, in words, and without the password in them."""

from __future__ import annotations

import pytest

from mailer.errors import SettingsError
from mailer.queue.connection import connect
from mailer.settings import Settings, load

FLOATS = [name for name, field in Settings.model_fields.items() if field.annotation in (float, float | None)]


@pytest.mark.parametrize("name", FLOATS)
def test_no_setting_is_infinite(name: str) -> None:
    """A timedelta, an integer or a Lua script would be made of it later, in the middle of a settlement."""
    with pytest.raises(SettingsError, match=f"MAILER_{name.upper()}.*finite"):
        load(**{name: "inf"})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:top/secret@localhost:6379/0",
        "redis://:top#secret@localhost:6379/0",
        "redis://localhost:99999",
        "redis://localhost?socket_timeout=soon",
        "sentinel://:top/secret@one:26379;sentinel://two:26379/0",
        "topsecret@localhost:6379",
    ],
)
def test_an_address_of_redis_that_cannot_be_read_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsError, match="MAILER_REDIS_URL") as refused:
        connect(load(redis_url=url, redis_sentinel_master="post"))
    assert "top" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_lease_outlasts_the_time_in_which_a_worker_notices_that_its_connection_to_redis_hangs() -> None:
    """Else what it sent before cannot be settled in time, and goes out again."""
    quick = {"connect_timeout_seconds": 0.5, "read_timeout_seconds": 2.0, "redis_timeout_seconds": 5.0}
    with pytest.raises(SettingsError) as refused:
        load(**quick, lease_seconds=10.9)
    words = str(refused.value)
    assert "MAILER_LEASE_SECONDS=10.9" in words
    assert "MAILER_REDIS_TIMEOUT_SECONDS=5" in words
    assert "Set the first to 11 or more" in words
    assert load(**quick, lease_seconds=11).answer_seconds == 10
