"""Summaries of messages, to list them, to search them and to find duplicates. Made on demand.

Parsing MIME takes a tenth of a millisecond or more. So it happens once per message, and in small portions. Looking
through ten thousand summaries has pauses too: a look at the inbox must not slow down a sender.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from mailer.simulator import content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from mailer.simulator.inbox import Inbox, Message

_PORTION = 500
_PARSING = 25
"""As much work as looking at so many summaries."""


class Summary(NamedTuple):
    """``digest`` covers the visible content: subject, text, HTML and attachments. No address, tag or date."""

    subject: str
    digest: bytes
    attachments: int


class Summaries:
    """Summaries of the messages in ``inbox``. A summary is forgotten with its message."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._made: dict[int, Summary] = {}

    async def of(self, messages: Iterable[Message]) -> AsyncIterator[tuple[Message, Summary]]:
        self._forget()
        work = 0
        for message in messages:
            summary = self._made.get(message.number)
            work += 1
            if summary is None:
                summary = self._made[message.number] = _summary(message)
                work += _PARSING
            if work >= _PORTION:
                work = 0
                await asyncio.sleep(0)
            yield message, summary

    def _forget(self) -> None:
        """Forget summaries of dropped messages, once they are more than half of all."""
        if len(self._made) > 2 * len(self._inbox):
            kept = {message.number for message in self._inbox.messages()}
            self._made = {number: summary for number, summary in self._made.items() if number in kept}


def _summary(message: Message) -> Summary:
    parsed = content.parse(message.submission)
    digest = hashlib.blake2b(digest_size=16)
    for part in (parsed["subject"], parsed["text"] or "", parsed["html"] or ""):
        digest.update(part.encode(errors="surrogatepass") + b"\0")
    for attachment in parsed["attachments"]:
        digest.update(attachment["content"].encode(errors="surrogatepass") + b"\0")
    return Summary(parsed["subject"], digest.digest(), len(parsed["attachments"]))


async def duplicates(inbox: Inbox, summaries: Summaries) -> list[dict[str, Any]]:
    """Groups of kept messages that are one message sent more than once, the newest group first.

    By ``content``: the same recipient got the same subject, text, HTML and attachments. By ``tag``: the sender's own
    id of the message (the inbox's ``row_tag``) came more than once.
    """
    groups: dict[tuple[str, str, bytes], list[tuple[Message, Summary]]] = {}
    async for message, summary in summaries.of(list(inbox.messages())):
        tag = message.submission.tags.get(inbox.row_tag)
        if tag:
            groups.setdefault(("tag", tag, b""), []).append((message, summary))
        for recipient in set(message.submission.recipients):
            groups.setdefault(("content", recipient, summary.digest), []).append((message, summary))
    found = [
        {
            "by": by,
            "of": of,
            "subject": group[0][1].subject,
            "ses_ids": [message.ses_id for message, _ in group],
            "at": [message.at for message, _ in group],
        }
        for (by, of, _), group in groups.items()
        if len(group) > 1
    ]
    return sorted(found, key=lambda each: -max(each["at"]))
