"""A message as the input of SES API v2 ``SendEmail``, for boto3 and for the wire.

The shapes are those of botocore's service model ``sesv2/2019-09-27``; a test validates the output against it.
"""

from __future__ import annotations

from binascii import b2a_base64
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import orjson

from mailer.fields import FIELDS, ID_TAG, named, same
from mailer.raw import Raw

if TYPE_CHECKING:
    from mailer.content import Structured
    from mailer.message import Message

SEND_EMAIL_PATH = "/v2/email/outbound-emails"
"""Appended to the endpoint's URL; the method is POST."""

_FIELDS = tuple(field for field in FIELDS.values() if field.member)
_values = attrgetter(*(field.name for field in _FIELDS))
_MEMBERS = tuple(
    (("request", "simple", "body").index(field.place), field.member, None if field.shape is same else field.shape)
    for field in _FIELDS
)


def send_email_input(message: Message) -> dict[str, Any]:
    """The parameters of boto3's ``sesv2.send_email``. Attachments' ``RawContent`` and raw mail are bytes."""
    content = message.content
    if isinstance(content, Raw):
        # Tags travel in its headers: given as parameters they would replace those.
        raw = {"Raw": {"Data": content.mime(message.id)}}
        sender = {"FromEmailAddress": content.sender} if content.sender else {}
        return {**sender, "Destination": {"ToAddresses": [message.recipient.address]}, "Content": raw}
    tags = [{"Name": ID_TAG, "Value": message.id}]
    if content.tags:
        tags += named(content.tags)
    request: dict[str, Any] = {"Destination": {"ToAddresses": [message.recipient.header]}, "EmailTags": tags}
    _write(content, request)
    return request


def _write(content: Structured, request: dict[str, Any]) -> None:
    body: dict[str, Any] = {}
    simple: dict[str, Any] = {"Body": body}
    places = (request, simple, body)
    for value, (place, member, shape) in zip(_values(content), _MEMBERS, strict=True):
        if value or value == "":
            places[place][member] = value if shape is None else shape(value)
    request["Content"] = {"Simple": simple}


def encode(message: Message) -> bytes:
    """The same as the JSON body of the HTTP request. Bytes become base64, as REST-JSON has it."""
    return orjson.dumps(send_email_input(message), default=_base64)


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")
