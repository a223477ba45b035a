"""List-Unsubscribe: the button that Gmail and Yahoo require of bulk senders."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailer.errors import InvalidMessage
from mailer.mail.header import Pairs, check_header_value

_HTTPS = re.compile(r"https://[!-;=?-~]+")
_MAILTO = re.compile(r"mailto:[!-;=?-~]+@[!-;=?-~]+")


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
    """``List-Unsubscribe`` and, if one of ``uris`` is an https: URL, ``List-Unsubscribe-Post``.

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
