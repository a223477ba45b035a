"""A message as the input of SES API v2 ``SendEmail``, for boto3 and for the wire.

The shapes are those of botocore's service model ``sesv2/2019-09-27``; a test validates the output against it.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING, Any

import orjson

from mailer.fields import FIELDS, ID_TAG
from mailer.raw import Raw

if TYPE_CHECKING:
    from mailer.content import Structured
    from mailer.message import Message

SEND_EMAIL_PATH = "/v2/email/outbound-emails"
"""Appended to the endpoint's URL; the method is POST."""

_MEMBERS = tuple((field.name, field.place, field.member, field.shape) for field in FIELDS.values() if field.member)


def send_email_input(message: Message) -> dict[str, Any]:
    """The parameters of boto3's ``sesv2.send_email``. Attachments' ``RawContent`` and raw mail are bytes."""
    content = message.content
    if isinstance(content, Raw):
        # Tags travel in its headers: given as parameters they would replace those.
        raw = {"Raw": {"Data": content.mime(message.id)}}
        sender = {"FromEmailAddress": content.sender} if content.sender else {}
        return {**sender, "Destination": {"ToAddresses": [message.recipient.address]}, "Content": raw}
    tags = [{"Name": ID_TAG, "Value": message.id}]
    tags += [{"Name": name, "Value": value} for name, value in content.tags]
    request: dict[str, Any] = {"Destination": {"ToAddresses": [message.recipient.header]}, "EmailTags": tags}
    _write(content, request)
    return request


def _write(content: Structured, request: dict[str, Any]) -> None:
    body: dict[str, Any] = {}
    simple: dict[str, Any] = {"Body": body}
    places = {"request": request, "simple": simple, "body": body}
    for name, place, member, shape in _MEMBERS:
        value = getattr(content, name)
        if value is not None and value != ():
            places[place][member] = shape(value)
    request["Content"] = {"Simple": simple}


def encode(message: Message) -> bytes:
    """The same as the JSON body of the HTTP request. Bytes become base64, as REST-JSON has it."""
    return orjson.dumps(send_email_input(message), default=_base64)


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")
