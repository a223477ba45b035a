"""The wire format of the v1 API: forms in requests (AWS Query), XML in answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from mailer.simulator.errors import NOT_JSON, Refused
from mailer.simulator.exchange import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.errors import SesError

_NAMESPACE = "http://ses.amazonaws.com/doc/2010-12-01/"
_CONTENT_TYPE = b"text/xml"
_MOST_FIELDS = 5000
# An empty list is one field without a value. These names tell it from an empty string.
_LISTS = frozenset(
    {
        "BccAddresses",
        "CcAddresses",
        "DefaultTags",
        "Destinations",
        "Identities",
        "ReplacementTags",
        "ReplyToAddresses",
        "Tags",
        "ToAddresses",
    }
)
_MOST_DEPTH = 10
# Characters that XML 1.0 cannot hold, escaped or not.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Entries(dict[str, Any]):
    """A map in the model's sense. Its XML has ``entry`` elements with ``key`` and ``value``."""


class Moment(float):
    """Epoch seconds. The XML has them in ISO 8601."""


def call_in(body: bytes) -> dict[str, Any]:
    """The members of a form: ``A.B.member.1=x`` is ``{"A": {"B": ["x"]}}``. Values are strings."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise _malformed("The form cannot be read") from None
    root: dict[str, Any] = {}
    for name, value in pairs:
        steps = name.split(".")
        if len(steps) > _MOST_DEPTH:
            raise _malformed(f"{name[:100]} is nested too deeply")
        node = root
        for step in steps[:-1]:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise _malformed(f"{name[:100]} is given twice")
        if isinstance(node.get(steps[-1]), dict):
            raise _malformed(f"{name[:100]} is given twice")
        node[steps[-1]] = [] if not value and steps[-1] in _LISTS else value
    return {name: _with_lists(value) for name, value in root.items()}


def reply(action: str, result: Mapping[str, Any] | None, request_id: str) -> Reply:
    """A success. Without ``result`` the action has no output."""
    inner = "" if result is None else f"<{action}Result>{_xml(result)}</{action}Result>"
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    text = f'<{action}Response xmlns="{_NAMESPACE}">{inner}{metadata}</{action}Response>'
    return Reply(200, text.encode(), content_type=_CONTENT_TYPE, request_id=request_id)


def error_reply(error: SesError, request_id: str) -> Reply:
    fault = "Receiver" if error.status >= 500 else "Sender"
    members = {"Type": fault, "Code": error.v1 or error.code, "Message": error.v1_text or error.text}
    text = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error>{_xml(members)}</Error>'
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Reply(error.v1_status, text.encode(), content_type=_CONTENT_TYPE, request_id=request_id)


def _malformed(text: str) -> Refused:
    return Refused(NOT_JSON.saying(text))


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    items = node.get("member")
    if len(node) == 1 and isinstance(items, dict) and all(re.fullmatch(r"\d{1,9}", number) for number in items):
        return [_with_lists(items[number]) for number in sorted(items, key=int)]
    return {name: _with_lists(value) for name, value in node.items()}


def _xml(value: Any) -> str:
    if isinstance(value, Entries):
        return "".join(
            f"<entry><key>{_xml(key)}</key><value>{_xml(each)}</value></entry>" for key, each in value.items()
        )
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(each)}</{name}>" for name, each in value.items() if each is not None)
    if isinstance(value, list):
        return "".join(f"<member>{_xml(each)}</member>" for each in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Moment):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return escape(_NOT_XML.sub("", str(value)), {"\r": "&#13;"})
