"""Settings that cannot be right are refused at the start, in words, and without the password in them."""

from __future__ import annotations

import copy
import json

import pytest

from mailer.errors import InvalidMessage, InvalidRequest, SettingsError, UnknownLane
from mailer.queue.connection import connect
from mailer.rules import Rules
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


def test_what_the_transport_is_given_as_json_are_the_rules_and_no_more() -> None:
    given = load(lanes="urgent,post-box,bulk", on_unknown={"post_box": "resend"}, redis_url="redis://:s3cret@host")
    rules = Rules.model_validate_json(json.dumps(given.as_json()))
    assert rules == Rules(**{name: getattr(given, name) for name in Rules.model_fields})
    assert [rules.unknown_policy(lane) for lane in rules.lanes] == ["resend", "resend", "hold"]
    assert "s3cret" not in json.dumps(given.as_json())


@pytest.mark.parametrize("lane", ["urgent", "", 5, None])
def test_a_lane_that_there_is_not_is_one_error_for_senders_and_operators(lane: object) -> None:
    with pytest.raises(UnknownLane, match="Use one of transactional, bulk, or add it to MAILER_LANES") as refused:
        Rules().lanes.check(lane)
    assert isinstance(refused.value, InvalidMessage)
    assert isinstance(refused.value, InvalidRequest)
    assert type(copy.copy(refused.value)) is UnknownLane
