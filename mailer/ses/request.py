"""A message as the input of SES API v2 ``SendEmail``, for boto3 and for the wire.

The shapes are from botocore's service model ``sesv2/2019-09-27``. A test validates the output against it.
"""

from __future__ import annotations

from binascii import b2a_base64
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import orjson

from mailer.mail.fields import FIELDS, ID_TAG, named, same
from mailer.mail.raw import Raw

if TYPE_CHECKING:
    from mailer.mail.message import Message

SEND_EMAIL_PATH = "/v2/email/outbound-emails"
"""The path after the endpoint's URL. The method is POST."""

_FIELDS = tuple(field for field in FIELDS.values() if field.member)
_values = attrgetter(*(field.name for field in _FIELDS))
_MEMBERS = tuple(
    (("request", "simple", "body").index(field.place), field.member, None if field.shape is same else field.shape)
    for field in _FIELDS
)


def send_email_input(message: Message) -> dict[str, Any]:
    """The parameters of boto3's ``sesv2.send_email``. The ``RawContent`` of attachments and raw mail are bytes."""
    content = message.content
    if isinstance(content, Raw):
        # The tags are in the headers of the mail. Tags in the parameters would replace them.
        raw = {"Raw": {"Data": content.mime(message.id)}}
        sender = {"FromEmailAddress": content.sender} if content.sender else {}
        return {**sender, "Destination": {"ToAddresses": [message.recipient.address]}, "Content": raw}
    body: dict[str, Any] = {}
    simple: dict[str, Any] = {"Body": body}
    request: dict[str, Any] = {
        "Destination": {"ToAddresses": [message.recipient.header]},
        "EmailTags": named(((ID_TAG, message.id), *content.tags)),
        "Content": {"Simple": simple},
    }
    places = (request, simple, body)
    for value, (place, member, shape) in zip(_values(content), _MEMBERS, strict=True):
        if value or value == "":
            places[place][member] = value if shape is None else shape(value)
    return request


def encode(message: Message) -> bytes:
    """The same as `send_email_input`, as the JSON body of the HTTP request. Bytes become base64, as in REST-JSON."""
    return orjson.dumps(send_email_input(message), default=_base64)


def _base64(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")
