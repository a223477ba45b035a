"""Checks requests to a page of this host, so that no other web page can read the page or act on it.

Any web page can make a browser on this host send requests to loopback. By rebinding its own name it can even read the
answers. So a request must meet two conditions. Its Host must be one of our names, which a rebound name is not. And its
headers must not name another page as its source: browsers send these headers, other programs do not.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HOST = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9._-]{1,253}))(?::\d{1,5})?", re.ASCII)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_LONGEST_SHOWN = 100


class Guard:
    """Our names are loopback's names and addresses, the address of the connection's own end, and ``names``.

    ``elsewhere`` matches further allowed names, under which nobody can publish a page.
    """

    def __init__(self, names: Iterable[str] = (), elsewhere: re.Pattern[str] | None = None) -> None:
        self._names = frozenset(map(checked_name, names))
        self._elsewhere = elsewhere

    def refusal(self, header: Callable[[str], str], *, address: str = "", opens: bool = False) -> str | None:
        """The reason for refusing a request; None to allow it.

        ``header`` returns a header's value, empty for a missing header. ``address`` is our own address of the
        connection. ``opens`` says that a link from another page may open this path, as the path only shows a page.
        """
        host, origin, site = header("host").lower(), header("origin"), header("sec-fetch-site")
        if host and not self._is_ours(host, address):
            return (
                f"{_shown(host)} is not a name of this service. If it is to be reached by that name, say so at its "
                "start with --allow-host"
            )
        by_link = (
            opens and not origin and header("sec-fetch-mode") == "navigate" and header("sec-fetch-dest") == "document"
        )
        if site not in {"", "same-origin", "none"} and not by_link:
            return f"a page of {_shown(origin) if origin else 'another site'} made this request. Only our own page may"
        if origin and origin.lower().partition("://")[2] != host:
            return f"a page of {_shown(origin)} made this request. Only our own page may"
        return None

    def _is_ours(self, host: str, address: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found[1] or found[2]).removesuffix(".")
        if name == "localhost" or name.endswith(".localhost") or name in self._names:
            return True
        number = _address(name)
        if number is not None:
            return number.is_loopback or number == _address(address)
        return self._elsewhere is not None and self._elsewhere.fullmatch(name) is not None


def is_loopback(host: str) -> bool:
    """Whether a server that listens on ``host`` can be reached from this host only."""
    number = _address(host)
    return host == "localhost" if number is None else number.is_loopback


def checked_name(text: str) -> str:
    """The host name or address in ``text``, as a browser writes it. Raises ValueError for other text."""
    name = text.strip().lower().removesuffix(".").strip("[]")
    number = _address(name)
    if number is not None:
        return str(number)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not the name of a host: write it without scheme and port, as mail.example.com")
    return name


@lru_cache(maxsize=256)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _shown(text: str) -> str:
    """``text`` made safe for a log and a terminal, and cut short."""
    return ascii(text[:_LONGEST_SHOWN])[1:-1]
