"""Header text: the characters that a mail header allows, and the encoding of all others.

The limits are those of `MessageHeader` in botocore's model of SES v2: 15 headers, with at most 126 characters in a name
and 995 in a value, all printable ASCII. botocore enforces no limit, and lets a line break pass.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence

from mailer.errors import InvalidMessage

Pairs = tuple[tuple[str, str], ...]
"""Names and values."""

MAX_HEADERS = 15
MAX_NAME_CHARS = 126
MAX_VALUE_CHARS = 995
MAX_LINE_CHARS = 996  # name and value together

# C0, DEL, C1 and the Unicode line breaks. `str.splitlines` ends a line at many of them, so a library that builds a mail
# may do so too.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAME = re.compile(r"[!-9;-@A-~]+")
_ENCODED_WORD_BYTES = 45  # 60 characters in base64; with `=?utf-8?b??=` within the 75 of RFC 2047

_OWNED = {
    "from": "sender=",
    "to": "to=",
    "cc": "to=, with one message per recipient",
    "bcc": "to=, with one message per recipient",
    "subject": "subject=",
    "reply-to": "reply_to=",
    "x-ses-configuration-set": "configuration_set=",
    "x-ses-message-tags": "tags=",
}
_HOLDING_AN_ADDRESS = frozenset({"sender", "disposition-notification-to", "return-receipt-to", "errors-to"})
_WRITTEN_BY_SES = frozenset({"date", "message-id", "return-path", "mime-version", "dkim-signature", "received"})
_HTTPS = re.compile(r"https://[!-;=?-~]+")
_MAILTO = re.compile(r"mailto:[!-;=?-~]+@[!-;=?-~]+")


def check_text(field: str, value: object, *, empty: bool = False) -> str:
    """``value`` if it is one line of text without control characters, and (unless ``empty``) not blank.

    Raises InvalidMessage for ``field``.
    """
    if not isinstance(value, str):
        raise InvalidMessage(field, f"is {kind(value)}, not text", "Pass a str")
    if not value.isascii() or not value.isprintable():
        if found := _CONTROL.search(value):
            raise InvalidMessage(
                field,
                f"contains the control character U+{ord(found[0]):04X} at position {found.start()}",
                "Remove it; a header is one line",
            )
        utf8(field, value)
    if not empty and (not value or value.isspace()):
        raise InvalidMessage(field, "is empty", "Pass at least one visible character")
    return value


def utf8(field: str, text: str) -> bytes:
    """``text`` in UTF-8. Raises InvalidMessage if it contains half of a surrogate pair."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidMessage(field, "contains half of a surrogate pair", "Pass text that UTF-8 can encode") from error


def encode_words(text: str) -> str:
    """``text`` as RFC 2047 encoded words (UTF-8, base64) of at most 75 characters, separated by spaces."""
    words = []
    chunk = b""
    for character in text:
        encoded = character.encode()
        if len(chunk) + len(encoded) > _ENCODED_WORD_BYTES:
            words.append(chunk)
            chunk = b""
        chunk += encoded
    words.append(chunk)
    return " ".join(f"=?utf-8?b?{base64.b64encode(word).decode()}?=" for word in words)


def check_header_names(headers: object) -> list[tuple[str, object]]:
    """Extra headers (None, a mapping or pairs) as pairs. A caller may set each name, and only once.

    Raises InvalidMessage for ``headers[<name>]``.
    """
    named: list[tuple[str, object]] = []
    seen: set[str] = set()
    for name, value in pairs("headers", () if headers is None else headers):
        key = _check_name(name)
        if key in seen:
            raise InvalidMessage(f"headers[{name}]", "is given twice (case does not matter)", "Keep one of them")
        seen.add(key)
        named.append((name, value))
    return named


def _check_name(name: object) -> str:
    """The name of a header that a caller may set, in lower case. Raises InvalidMessage."""
    shown = name if isinstance(name, str) and name.isprintable() else repr(name)
    field = f"headers[{shown:.140}]"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise InvalidMessage(
            field,
            "is not a header name",
            f"Use 1 to {MAX_NAME_CHARS} printable ASCII characters without spaces and colons",
        )
    key = name.lower()
    if key in _OWNED:
        raise InvalidMessage(field, "is set from its own argument", f"Use {_OWNED[key]}")
    if key in _WRITTEN_BY_SES or key.startswith(("content-", "resent-")):
        raise InvalidMessage(field, "is written by SES or when the mail is built", "Remove it")
    return key


def check_header_value(name: str, value: object) -> str:
    """``value`` as it is sent under the valid header ``name``: printable ASCII.

    RFC 2047 encoded words replace text that is not ASCII. They would break a URL or an address, so headers that contain
    one (``List-*`` and a few others) must be ASCII. Raises InvalidMessage for ``headers[<name>]``.
    """
    field = f"headers[{name}]"
    text = check_text(field, value)
    if not text.isascii():
        if name.lower().startswith("list-"):
            raise InvalidMessage(field, "is not ASCII", "Percent-encode the URL in it")
        if name.lower() in _HOLDING_AN_ADDRESS:
            raise InvalidMessage(field, "is not ASCII", "Write the address alone, without a name")
        text = encode_words(text)
    if len(text) > MAX_VALUE_CHARS or len(name) + len(text) > MAX_LINE_CHARS:
        raise InvalidMessage(
            field,
            f"is {len(text)} characters long once encoded",
            f"Shorten it: SES takes {MAX_VALUE_CHARS}, and {MAX_LINE_CHARS} together with the name",
        )
    return text


def check_uris(value: object) -> tuple[str, ...]:
    """``value`` (one URL, or one of each kind) as a tuple. `unsubscribe_headers` checks the form of the URLs."""
    if value is None or value == ():
        return ()
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, Sequence) or not all(isinstance(uri, str) for uri in value) or len(value) > 2:
        raise InvalidMessage("list_unsubscribe", "is not a URL or two", "Pass an https: URL, a mailto: URL or both")
    return tuple(value)


def unsubscribe_headers(uris: tuple[str, ...]) -> Pairs:
    """``List-Unsubscribe``, the button that Gmail and Yahoo require of bulk senders. If one of ``uris`` is an https:
    URL, ``List-Unsubscribe-Post`` too.

    The URL must accept a POST with the form body ``List-Unsubscribe=One-Click``, and a GET must not unsubscribe (RFC
    8058). Raises InvalidMessage.
    """
    if not uris:
        return ()
    one_click = False
    for uri in uris:
        if _HTTPS.fullmatch(uri):
            one_click = True
        elif not _MAILTO.fullmatch(uri):
            raise InvalidMessage(
                "list_unsubscribe",
                "is not an https: or mailto: URL",
                "Begin it with https: or mailto:, and percent-encode what goes into it: {{ token | urlencode }}",
            )
    value = check_header_value("List-Unsubscribe", ", ".join(f"<{uri}>" for uri in uris))
    headers = (("List-Unsubscribe", value),)
    return (*headers, ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")) if one_click else headers


def pairs(field: str, value: object) -> list[tuple[str, object]]:
    """The (name, value) pairs of a mapping or a sequence of pairs. Raises InvalidMessage for ``field``."""
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        pairs: list[tuple[str, object]] = []
        for item in value:
            if not isinstance(item, Sequence) or isinstance(item, str | bytes) or len(item) != 2:
                raise InvalidMessage(field, "is not made of (name, value) pairs", "Pass a dict of names to values")
            pairs.append((item[0], item[1]))
        return pairs
    raise InvalidMessage(field, f"is {kind(value)}", "Pass a dict of names to values")


def kind(value: object) -> str:
    """The type of ``value``, for the text of an error."""
    return "None" if value is None else f"of type {type(value).__name__}"
