"""Scripts and workers mean the same content, or the message is a dead letter."""

from __future__ import annotations

import json

import pytest

from mailer.queue.admission import NotAdmitted, admitted
from mailer.queue.envelope import Envelope

HASH = "0123456789abcdef" * 2
REFERRING = Envelope("bulk", content_hash=HASH).by_reference("m-1", "a@example.com", "a***", "{}")
CARRYING = Envelope("bulk").inline("m-1", {"to": "a@example.com", "text": f'"mailer_content":"{HASH}"'}, "a***")


@pytest.mark.parametrize("envelope", [REFERRING, CARRYING])
def test_a_message_of_ours_is_admitted(envelope: bytes) -> None:
    message, _ = admitted(envelope, "bulk")
    assert message["headers"]["id"] == "m-1"


@pytest.mark.parametrize(
    "envelope",
    [
        REFERRING.replace(b'{"body"', b'{"x":{"mailer_content":"0"},"body"'),
        REFERRING.replace(b'"mailer_content"', b'"mailer\\u005fcontent"'),
        CARRYING.replace(b'{"body"', b'{"x":{"mailer_content":"' + HASH.encode() + b'"},"body"'),
    ],
)
def test_a_message_that_names_its_content_ambiguously_is_not(envelope: bytes) -> None:
    assert json.loads(envelope)["headers"]["id"] == "m-1"
    with pytest.raises(NotAdmitted, match="mailer_content"):
        admitted(envelope, "bulk")
