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


class Finding(Exception):
    """Something that must not be."""


def inspect(message: Message) -> None:
    """Raises Finding if the message would not go out as one mail with exactly the headers it has."""
    try:
        if isinstance(message.content, Raw):
            _inspect_raw(message)
            return
        _inspect_request(message)
        _inspect_mime(message)
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error} for {message!r:.1500}") from error


def _inspect_raw(message: Message) -> None:
    call: dict[str, Any] = json.loads(request.encode(message))
    if call["Destination"] != {"ToAddresses": [message.recipient.address]}:
        raise Finding("not one recipient")
    for raw in (base64.b64decode(call["Content"]["Raw"]["Data"]), mime.encode(message)):
        if b"\0" in raw or re.search(rb"\r(?!\n)", raw):
            raise Finding("a NUL or a CR alone in the mail")
        # As strict a reader as there is: any line that is no header ends them.
        read = BytesHeaderParser(policy=policy.compat32).parsebytes(raw)
        names = Counter(name.lower() for name in read)
        if read.defects or names["bcc"] or names["from"] != 1 or names["x-ses-message-tags"] != 1:
            raise Finding(f"headers {dict(names)}, {read.defects}")
        tags = str(read["X-SES-MESSAGE-TAGS"]).replace("\r\n", "").split(",")
        if [tag.strip() for tag in tags if ID_TAG in tag.partition("=")[0]] != [f"{ID_TAG}={message.id}"]:
            raise Finding(f"tags {tags}")
    if re.search(rb"(?<!\r)\n", mime.encode(message)):
        raise Finding("an LF alone over SMTP")


def _inspect_request(message: Message) -> None:
    call: dict[str, Any] = json.loads(request.encode(message))
    for attachment in call["Content"]["Simple"].get("Attachments", ()):
        attachment["RawContent"] = base64.b64decode(attachment["RawContent"])
    report = ParamValidator().validate(call, _OPERATION.input_shape)
    if report.has_errors():
        raise Finding(f"SES's model refuses it: {report.generate_report()}")
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
    if broken:
        raise Finding(f"a header would break: {broken!r}")
    if len(call["Destination"]["ToAddresses"]) != 1:
        raise Finding("not one recipient")


def _inspect_mime(message: Message) -> None:
    raw, content = mime.encode(message), structured(message)
    head, _, _ = raw.partition(b"\r\n\r\n")
    if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw) or not raw.isascii():
        raise Finding("a bare line end, a NUL or an eighth bit in the mail")
    expected = Counter(["from", "to", "subject", "date", "x-ses-message-tags"])
    expected += Counter(name.lower() for name, _ in content.headers)
    expected += Counter(["reply-to"] if content.reply_to else [])
    expected += Counter(["x-ses-configuration-set"] if content.configuration_set is not None else [])
    written = Counter(line.split(b":")[0].decode().lower() for line in head.split(b"\r\n") if line[:1] not in b" \t")
    if {name: count for name, count in written.items() if name not in _OF_MIME} != dict(expected):
        raise Finding(f"headers {dict(written)}, expected {dict(expected)}")
    parsed = BytesParser(policy=policy.default).parsebytes(raw)
    to = parsed["To"].addresses
    if len(to) != 1:
        raise Finding(f"To is {to!r}")
    files = [part for part in parsed.walk() if part.get_content_disposition() in {"attachment", "inline"}]
    if len(files) != len(content.attachments):
        raise Finding(f"{len(files)} files of {len(content.attachments)}")
