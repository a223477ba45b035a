"""Whether an accepted message goes out as one mail with its headers and no more, as other eyes read it."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from email import policy
from email.parser import BytesHeaderParser, BytesParser
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from mailer.mail.fields import ID_TAG
from mailer.mail.message import Message
from mailer.mail.raw import Raw
from mailer.ses import mime, request
from tests.support.content import structured

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_OPERATION = botocore.session.Session().get_service_model("sesv2").operation_model("SendEmail")
_OF_MIME = {"mime-version", "content-type", "content-transfer-encoding"}


def inspect(message: Message) -> None:
    """Fails if the message would not go out as one mail with exactly the headers it has."""
    if isinstance(message.content, Raw):
        _inspect_raw(message)
    else:
        _inspect_request(message)
        _inspect_mime(message)


def _inspect_raw(message: Message) -> None:
    call: dict[str, Any] = json.loads(request.encode(message))
    assert call["Destination"] == {"ToAddresses": [message.recipient.address]}
    for raw in (base64.b64decode(call["Content"]["Raw"]["Data"]), mime.encode(message)):
        assert not re.search(rb"\0|\r(?!\n)", raw), "a NUL or a CR alone in the mail"
        # As strict a reader as there is: any line that is no header ends them.
        read = BytesHeaderParser(policy=policy.compat32).parsebytes(raw)
        names = Counter(name.lower() for name in read)
        assert not read.defects
        assert (names["bcc"], names["from"], names["x-ses-message-tags"]) == (0, 1, 1), f"headers {dict(names)}"
        tags = str(read["X-SES-MESSAGE-TAGS"]).replace("\r\n", "").split(",")
        assert [tag.strip() for tag in tags if ID_TAG in tag.partition("=")[0]] == [f"{ID_TAG}={message.id}"]
    assert not re.search(rb"(?<!\r)\n", mime.encode(message)), "an LF alone over SMTP"


def _inspect_request(message: Message) -> None:
    call: dict[str, Any] = json.loads(request.encode(message))
    for attachment in call["Content"]["Simple"].get("Attachments", ()):
        attachment["RawContent"] = base64.b64decode(attachment["RawContent"])
    report = ParamValidator().validate(call, _OPERATION.input_shape)
    assert not report.has_errors(), f"SES's model refuses it: {report.generate_report()}"
    simple = call["Content"]["Simple"]
    lines = [
        *(call["FromEmailAddress"], *call["Destination"]["ToAddresses"], *call.get("ReplyToAddresses", ())),
        simple["Subject"]["Data"],
        *(text for header in simple.get("Headers", ()) for text in header.values()),
        *(text for tag in call["EmailTags"] for text in tag.values()),
        call.get("ConfigurationSetName", ""),
        *(each.get("FileName", "") for each in simple.get("Attachments", ())),
        *(each.get("ContentType", "") + each.get("ContentId", "") for each in simple.get("Attachments", ())),
    ]
    broken = [line for line in lines if _CONTROL.search(line)]
    assert not broken, f"a header would break: {broken!r}"
    assert len(call["Destination"]["ToAddresses"]) == 1


def _inspect_mime(message: Message) -> None:
    raw, content = mime.encode(message), structured(message)
    head, _, _ = raw.partition(b"\r\n\r\n")
    assert raw.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw), "a bare line end or a NUL in the mail"
    expected = Counter(["from", "to", "subject", "date", "x-ses-message-tags"])
    expected += Counter(name.lower() for name, _ in content.headers)
    expected += Counter(["reply-to"] if content.reply_to else [])
    expected += Counter(["x-ses-configuration-set"] if content.configuration_set is not None else [])
    written = Counter(line.split(b":")[0].decode().lower() for line in head.split(b"\r\n") if line[:1] not in b" \t")
    assert {name: count for name, count in written.items() if name not in _OF_MIME} == dict(expected)
    parsed = BytesParser(policy=policy.default).parsebytes(raw)
    assert len(parsed["To"].addresses) == 1
    files = [part for part in parsed.walk() if part.get_content_disposition() in {"attachment", "inline"}]
    assert len(files) == len(content.attachments)
