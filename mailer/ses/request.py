"""A message as the input of SES API v2 ``SendEmail``, for boto3 and for the wire.

The shapes are those of botocore's service model ``sesv2/2019-09-27``; a test validates the output against it.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING, Any

import orjson

from mailer.message import ID_TAG

if TYPE_CHECKING:
    from mailer.message import Attachment, Message

SEND_EMAIL_PATH = "/v2/email/outbound-emails"
"""Appended to the endpoint's URL; the method is POST."""


def send_email_input(message: Message) -> dict[str, Any]:
    """The parameters of boto3's ``sesv2.send_email``. Attachments' ``RawContent`` is bytes."""
    body: dict[str, Any] = {}
    if message.text is not None:
        body["Text"] = {"Data": message.text, "Charset": "UTF-8"}
    if message.html is not None:
        body["Html"] = {"Data": message.html, "Charset": "UTF-8"}
    simple: dict[str, Any] = {"Subject": {"Data": message.subject, "Charset": "UTF-8"}, "Body": body}
    if message.headers:
        simple["Headers"] = [{"Name": name, "Value": value} for name, value in message.headers]
    if message.attachments:
        simple["Attachments"] = [_attachment(attachment) for attachment in message.attachments]
    request: dict[str, Any] = {
        "FromEmailAddress": message.sender,
        "Destination": {"ToAddresses": [message.to]},
        "Content": {"Simple": simple},
        "EmailTags": [
            {"Name": ID_TAG, "Value": message.id},
            *({"Name": name, "Value": value} for name, value in message.tags),
        ],
    }
    if message.reply_to:
        request["ReplyToAddresses"] = list(message.reply_to)
    if message.configuration_set is not None:
        request["ConfigurationSetName"] = message.configuration_set
    return request


def encode(message: Message) -> bytes:
    """The same as the JSON body of the HTTP request. Bytes become base64, as REST-JSON has it."""
    return orjson.dumps(send_email_input(message), default=_base64)


def _attachment(attachment: Attachment) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "FileName": attachment.filename,
        "RawContent": attachment.content,
        "ContentType": attachment.content_type,
        "ContentTransferEncoding": "BASE64",
        "ContentDisposition": "ATTACHMENT" if attachment.content_id is None else "INLINE",
    }
    if attachment.content_id is not None:
        entry["ContentId"] = attachment.content_id
    return entry


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")
