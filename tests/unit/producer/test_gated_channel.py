"""What the producer puts into a lane is what Celery puts there through the gated transport."""

from __future__ import annotations

from typing import Any

from celery import Celery

from mailer.producer.producer import Producer
from mailer.queue.headers import TASK
from mailer.settings import Settings
from mailer.worker.app import configuration
from tests.unit.producer.conftest import Account
from tests.unit.queue.test_envelope import parsed


def test_a_bulk_message_in_its_lane_is_the_same(producer: Producer, account: Account, settings: Settings) -> None:
    rows: list[dict[str, Any]] = [{"to": "Jäne <jane@example.com>", "variables": {"name": "Jäne"}}]
    [message_id] = producer.send_many(rows, sender="n@example.com", subject="Hello {{ name }}", text="Hi").ids
    [ours] = account.envelopes("bulk")
    digest = ours["headers"]["mailer_content"]

    app = Celery("mailer", set_as_current=False)
    app.conf.update(configuration(settings))
    app.send_task(
        TASK,
        kwargs={"to": "=?utf-8?b?SsOkbmU=?= <jane@example.com>", "vars": {"name": "Jäne"}},
        task_id=message_id,
        queue="bulk",
        headers={"mailer_content": digest},
        argsrepr="()",
        kwargsrepr="bulk j***@example.com",
    )
    app.close()
    [_, celerys] = account.envelopes("bulk")
    assert parsed(ours) == parsed(celerys)
