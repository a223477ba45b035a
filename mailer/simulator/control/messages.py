"""The control API for programs: the messages kept, oldest first, and a row for each recipient."""

from __future__ import annotations

import base64
from itertools import islice
from typing import TYPE_CHECKING, Any

from mailer.simulator import content
from mailer.simulator.control.routing import MOST_PER_PAGE, NO_CONTENT, NotThere, as_json, route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailer.simulator.control.routing import Call, Route
    from mailer.simulator.exchange import Reply
    from mailer.simulator.inbox import Message
    from mailer.simulator.service import Service


class MessagesControl:
    """The routes for messages, over one service."""

    def __init__(self, service: Service) -> None:
        self._inbox = service.inbox

    def routes(self) -> list[Route]:
        return [
            route("GET", "/_sim/messages", self.messages),
            route("DELETE", "/_sim/messages", self.clear_messages),
            route("GET", "/_sim/messages/{ses_id}", self.message),
            route("GET", "/_sim/rows", self.rows),
        ]

    async def messages(self, call: Call) -> Reply:
        """``?after=&limit=&recipient=&since=&fields=``: oldest first. ``next`` is the ``after`` of the next page.

        ``recipient`` matches a part of any recipient's address. ``fields`` is a comma-separated choice of ``number, at,
        ses_id, from, to, region, transport, tags, configuration_set, invocation_id, rendering_failure, size`` (the
        default) and ``subject, text, html, headers, attachments`` (each of these requires parsing the message).
        """
        recipient = call.text("recipient")
        since = call.number("since")
        limit = call.limit()
        names = [name for name in call.text("fields").split(",") if name] or list(_PLAIN_FIELDS)
        unknown = [name for name in names if name not in _PLAIN_FIELDS and name not in _PARSED_FIELDS]
        if unknown:
            raise ValueError(f"fields has no {', '.join(unknown)}")
        wanted = (
            message
            for message in self._inbox.messages(call.whole("after"))
            if message.at >= since and (not recipient or _is_for(message, recipient))
        )
        found, more = _page(wanted, limit)
        return as_json(
            {
                "messages": [_shown(message, names) for message in found],
                "next": found[-1].number if more else None,
                "kept": len(self._inbox),
            }
        )

    async def message(self, call: Call) -> Reply:
        """All fields, parsed. ``raw`` is the message in the client's form, in base64."""
        message = self._inbox.get(call.path["ses_id"])
        if message is None:
            raise NotThere("no such message is kept")
        shown = _shown(message, [*_PLAIN_FIELDS, *_PARSED_FIELDS])
        shown["form"] = message.submission.form
        shown["raw"] = base64.b64encode(message.submission.data).decode()
        return as_json(shown)

    async def clear_messages(self, _call: Call) -> Reply:
        self._inbox.clear()
        return NO_CONTENT

    async def rows(self, call: Call) -> Reply:
        """``?after=&limit=``: ``[[at, recipient, ses_id, message_id], ...]``, far more than whole messages."""
        after = max(0, call.whole("after"))
        limit = call.limit(MOST_PER_PAGE)
        inbox = self._inbox
        first = max(after, inbox.rows_seen - inbox.rows_kept)
        rows = list(islice(inbox.rows(after), limit))
        following = first + len(rows)
        return as_json(
            {
                "rows": rows,
                "next": following if following < inbox.rows_seen else None,
                "seen": inbox.rows_seen,
                "kept": inbox.rows_kept,
            }
        )


def _page(messages: Iterable[Message], limit: int) -> tuple[list[Message], bool]:
    """Up to ``limit`` messages, fewer if they are large. The flag says whether there may be more."""
    found: list[Message] = []
    room = _MOST_BYTES_PER_PAGE
    for message in messages:
        found.append(message)
        room -= len(message.submission.data)
        if len(found) == limit or room <= 0:
            return found, True
    return found, False


def _is_for(message: Message, part: str) -> bool:
    return any(part in recipient for recipient in message.submission.recipients)


_MOST_BYTES_PER_PAGE = 32 * 1024 * 1024

_PLAIN_FIELDS: dict[str, Callable[[Message], object]] = {
    "number": lambda message: message.number,
    "at": lambda message: message.at,
    "ses_id": lambda message: message.ses_id,
    "from": lambda message: message.submission.sender,
    "to": lambda message: message.submission.recipients,
    "region": lambda message: message.submission.region,
    "transport": lambda message: message.submission.transport,
    "tags": lambda message: dict(message.submission.tags),
    "configuration_set": lambda message: message.submission.configuration_set,
    "invocation_id": lambda message: message.submission.invocation_id,
    "rendering_failure": lambda message: (
        None if message.submission.rendering_failure is None else message.submission.rendering_failure._asdict()
    ),
    "size": lambda message: len(message.submission.data),
}
_PARSED_FIELDS = ("subject", "text", "html", "headers", "attachments")


def _shown(message: Message, names: list[str]) -> dict[str, Any]:
    shown = {name: _PLAIN_FIELDS[name](message) for name in names if name in _PLAIN_FIELDS}
    if any(name in _PARSED_FIELDS for name in names):
        parsed = content.parse(message.submission)
        shown.update({name: value for name, value in parsed.items() if name in names})
    return shown
