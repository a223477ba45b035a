"""Checks mail addresses as SES does.

SES's texts are those of JavaMail's ``InternetAddress`` in strict mode. Section 2 of the facts sheet lists those seen
in public; the others come from that class.
"""

from __future__ import annotations

import re
from email.utils import parseaddr

from mailer.simulator.errors import BAD_REQUEST, Refused

MAILBOX_SIMULATOR = "simulator.amazonses.com"
_AT_MAILBOX_SIMULATOR = "@" + MAILBOX_SIMULATOR
_LONGEST = 320
_PLAIN_ADDRESS = (
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)
_PLAIN = re.compile(_PLAIN_ADDRESS)
# The usual display names need no parser. A parser takes longer than all other work on a message.
_NAMED = re.compile(rf"[^\x00-\x1f\x7f\"<>(),:;@\\\[\]]*<({_PLAIN_ADDRESS})>")
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]")
_SPECIALS = re.compile(r"[()<>,;:\\\"\[\]\x80-\U0010ffff]")
_NOT_IN_DOMAIN = re.compile(r"[^A-Za-z0-9.-]")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f-\U0010ffff]|\\[\x20-\x7e])*"')


def is_mailbox_simulator(address: str) -> bool:
    """Whether the recipient is one of SES's own test addresses, with or without a ``+label``."""
    return address.lower().endswith(_AT_MAILBOX_SIMULATOR)


def mailbox(text: str) -> str:
    """The bare address in ``text`` (``a@b.example`` or ``Name <a@b.example>``). Raises ``Refused`` in SES's words."""
    if len(text) <= _LONGEST and _PLAIN.fullmatch(text):
        return text
    named = _NAMED.fullmatch(text)
    address = named[1] if named else _without_display_name(text)
    problem = _problem(address)
    if problem is not None:
        raise Refused(BAD_REQUEST.saying(problem))
    return address


def _without_display_name(text: str) -> str:
    text = text.strip()
    start = text.rfind("<")
    if not text.endswith(">") or start < 0 or "\r" in text or "\n" in text:
        return text
    try:
        return parseaddr(text)[1] or text[start + 1 : -1]
    except RecursionError:  # a thousand brackets
        return text


def _problem(address: str) -> str | None:
    """JavaMail's error for ``address``, or None."""
    if not address:
        return "Invalid email address ."
    if len(address) > _LONGEST:
        return f"Address length is more than {_LONGEST} characters long: '{len(address)}'."
    quoted = _QUOTED.match(address)
    if quoted:
        local, at, domain = quoted.group(), address[quoted.end() : quoted.end() + 1], address[quoted.end() + 1 :]
        if at != "@":
            return "Quote not at end of local address" if at else "Missing final '@domain'"
    else:
        local, at, domain = address.partition("@")
        problem = _local_problem(local, has_domain=bool(at))
        if problem is not None:
            return problem
    return _domain_problem(domain)


def _local_problem(local: str, *, has_domain: bool) -> str | None:
    checks: tuple[tuple[bool, str], ...] = (
        (local.startswith('"'), "Unterminated quote"),
        (local.startswith("."), "Local address starts with dot"),
        (".." in local, "Local address contains dot-dot"),
        (has_domain and not local, "Missing local name"),
        (_CONTROL_OR_SPACE.search(local) is not None, "Local address contains control or whitespace"),
        (_SPECIALS.search(local) is not None, "Local address contains illegal character"),
        (not has_domain, "Missing final '@domain'"),
        (local.endswith("."), "Local address ends with dot"),
    )
    return next((text for fails, text in checks if fails), None)


def _domain_problem(domain: str) -> str | None:
    checks: tuple[tuple[bool, str], ...] = (
        (not domain, "Missing domain"),
        (domain.startswith("."), "Domain starts with dot"),
        # One entry with more than one address: JavaMail parses the list and refuses the count.
        (re.search(r"[,;].*@", domain) is not None, "Illegal address"),
        (_CONTROL_OR_SPACE.search(domain) is not None, "Domain contains control or whitespace"),
        (_NOT_IN_DOMAIN.search(domain) is not None, "Domain contains illegal character"),
        (".." in domain, "Domain contains dot-dot"),
        (domain.endswith("."), "Domain ends with dot"),
    )
    return next((text for fails, text in checks if fails), None)
