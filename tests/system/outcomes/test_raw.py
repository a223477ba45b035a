"""Raw mail, from the producer through a real worker to SES."""

from __future__ import annotations

import base64
from functools import partial

import pytest

from mailer.simulator.client import Simulator
from mailer.testbed.waiting import until
from tests.support.post import Post

HEAD = b"From: Shop <shop@example.com>\r\nTo: visible@example.com\r\nCc: copy@example.com\r\nSubject: Raw\r\n"


@pytest.mark.parametrize("size", [100, 300_000, 3_000_000], ids=["small", "not light", "heavy"])
def test_raw_mail_reaches_each_recipient_as_it_came(shared: Post, simulator: Simulator, size: int) -> None:
    recipients = [f"{name}-{size}@example.com" for name in ("ann", "bob")]
    body = b"\r\n" + b"x" * 70 + b"\r\n" + base64.encodebytes(bytes(size)).replace(b"\n", b"\r\n")
    hidden = b"Bcc: eve@example.com\r\nX-SES-MESSAGE-TAGS: campaign=spring\r\n"

    ids = shared.producer.send_raw(HEAD + hidden + body, recipients=recipients)

    for recipient, message_id in zip(recipients, ids, strict=True):
        until(partial(shared.arrivals, recipient), "the mail arrives")
        [found] = simulator.messages(recipient=recipient)
        assert found["to"] == [recipient]
        assert found["tags"] == {"mailer-id": message_id, "campaign": "spring"}
        assert base64.b64decode(simulator.message(found["ses_id"])["raw"]) == HEAD + body
    until(shared.idle, "the queue is empty")
    assert not shared.client.hlen(shared.keys.content)
