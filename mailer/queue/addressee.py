"""Whom messages are to: what tells those to one address, or to a whole domain, from all others."""

from __future__ import annotations

from mailer.queue.enveloped import Enveloped
from mailer.queue.record import normalised

_ESCAPED = frozenset('"\\/')
"""What JSON escapes, or may: other characters of ASCII too, but these by their number."""


class Addressee:
    """An address, or ``@example.com`` for all of a domain; however it is written here and there.

    ``texts``: one of them at least stands in the envelope of a message to it, in small letters or capitals.
    """

    def __init__(self, to: str) -> None:
        self._is_domain = to.startswith("@")
        self._wanted = normalised(f"all{to}")[len("all") :] if self._is_domain else normalised(to)
        known = self._wanted if self._is_domain else self._wanted[: self._wanted.rfind("@") + 1]
        # A domain in Punycode may stand there in its own letters. Stock Celery writes bodies in base64.
        is_plain = known.isascii() and _ESCAPED.isdisjoint(known) and "@xn--" not in known and ".xn--" not in known
        self.texts = [known, '"base64"', "\\u00"] if is_plain else [""]

    def has(self, message: Enveloped) -> bool:
        """Whether the message is to it."""
        if not self._may_have(message.envelope) or not message.to:
            return False
        to = normalised(message.to)
        return to.endswith(self._wanted) if self._is_domain else to == self._wanted

    def _may_have(self, envelope: bytes) -> bool:
        # Reading a message takes as long as a dozen looks at its bytes.
        small = envelope.lower()
        return any(text.encode() in small for text in self.texts)
