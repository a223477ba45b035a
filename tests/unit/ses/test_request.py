from __future__ import annotations

import base64
import json
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

from mailer.mail.attachment import Attachment
from mailer.ses.request import encode, send_email_input
from tests.unit.ses.conftest import a_message

FULL: dict[str, Any] = {
    "text": "hello",
    "html": "<p>hëllo \U0001f4e7</p>",
    "reply_to": ("a@example.com",),
    "headers": (("X-A", "b"),),
    "attachments": (
        Attachment("a.pdf", b"\x00\xff", "application/pdf"),
        Attachment("i.png", b"png", "image/png", content_id="logo"),
    ),
    "configuration_set": "set",
    "tags": (("n", "v"),),
}


def test_the_input_is_what_botocores_model_of_send_email_wants() -> None:
    model = botocore.session.Session().get_service_model("sesv2")
    shape = model.operation_model("SendEmail").input_shape

    for message in (a_message(), a_message(**FULL)):
        request = send_email_input(message)
        assert not ParamValidator().validate(request, shape).has_errors()
        # The validator lets unknown members pass.
        assert_known(request, shape)


def assert_known(value: Any, shape: Any) -> None:
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members)
        for name, member in value.items():
            assert_known(member, shape.members[name])
    elif shape.type_name == "list":
        for item in value:
            assert_known(item, shape.member)


def test_absent_parts_are_absent_from_the_request() -> None:
    message = a_message()

    assert json.loads(encode(message)) == {
        "FromEmailAddress": "News <news@example.com>",
        "Destination": {"ToAddresses": ["ann@example.com"]},
        "Content": {
            "Simple": {
                "Subject": {"Data": "Hello", "Charset": "UTF-8"},
                "Body": {"Text": {"Data": "Hello, Ann.\n", "Charset": "UTF-8"}},
            }
        },
        "EmailTags": [{"Name": "mailer-id", "Value": message.id}],
    }


def test_the_wire_form_is_json_with_attachments_in_base64() -> None:
    body = encode(a_message(**FULL))

    simple = json.loads(body)["Content"]["Simple"]
    assert simple["Body"]["Html"]["Data"] == FULL["html"]
    pdf, png = simple["Attachments"]
    assert base64.b64decode(pdf["RawContent"]) == b"\x00\xff"
    assert (pdf["ContentDisposition"], pdf.get("ContentId")) == ("ATTACHMENT", None)
    assert (png["ContentDisposition"], png["ContentId"]) == ("INLINE", "logo")
