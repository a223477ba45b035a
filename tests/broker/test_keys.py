"""Keys: nobody who names a queue names what controls the account."""

from __future__ import annotations

import pytest
from celery import Celery
from kombu.transport.redis import Channel

from mailer.errors import SettingsError
from mailer.settings import load
from tests.broker.conftest import Account, Worker


def control_keys(account: Account) -> set[str]:
    keys = account.keys
    named = {getattr(keys, name) for name in dir(type(keys)) if isinstance(getattr(type(keys), name), property)}
    shelves = {name for shelf in ("dead", "held") for name in (keys.aside(shelf), keys.aside_index(shelf))}
    return (named - {keys.pattern}) | shelves | {keys.records_in(1, "0"), keys.idempotency("0")}


def test_no_queue_of_stock_celery_spells_a_control_key(account: Account) -> None:
    assert len(control_keys(account)) > 15
    assert not [key for key in control_keys(account) if key.startswith(account.keys.prefix)]


def test_a_queue_named_like_a_control_key_stops_nobody(account: Account, worker: Worker) -> None:
    ids = account.put("bulk", 3)
    with Celery("foreign", broker=account.settings.redis_url.get_secret_value(), set_as_current=False) as foreign:  # type: ignore[union-attr]
        foreign.conf.broker_transport_options = {"global_keyprefix": account.keys.prefix}
        for name in ("@leases", "@account", "@schedule", "@dead-index", "@doorbell:bulk"):
            foreign.send_task("mailer.send", queue=name)
    tags = worker.take(3)
    assert list(tags.values()) == ids
    for tag in tags:
        worker.settle(tag, "dead", "MessageRejected", "No.")
    assert set(account.aside("dead")) == set(ids)


def test_a_lane_cannot_be_named_like_a_key_of_kombu() -> None:
    own = {Channel.unacked_key, Channel.unacked_index_key, Channel.unacked_mutex_key}
    for name in own:
        with pytest.raises(SettingsError, match=name):
            load(lanes=(name,))


@pytest.mark.parametrize("prefix", ["a{b}:", "a@", "a:}", "*", "a b:", "a\n"])
def test_a_prefix_cannot_end_the_accounts_name_early(prefix: str) -> None:
    with pytest.raises(SettingsError, match="KEY_PREFIX"):
        load(key_prefix=prefix)
    with pytest.raises(SettingsError, match="ACCOUNT"):
        load(account=prefix)
