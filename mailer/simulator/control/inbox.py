"""The control API for people: the inbox, newest first and with search, and the views of one message."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mailer.simulator import content
from mailer.simulator.control import preview
from mailer.simulator.control.routing import NotThere, as_json, route
from mailer.simulator.control.summaries import Summaries, Summary, duplicates
from mailer.simulator.exchange import Reply

if TYPE_CHECKING:
    from mailer.simulator.control.routing import Call, Route
    from mailer.simulator.inbox import Message
    from mailer.simulator.service import Service

_LONGEST_NAME = 60  # in any script, this stays below the 255 bytes of file systems
_DOWNLOAD = {"Content-Security-Policy": "sandbox; default-src 'none'"}


class InboxControl:
    """The routes for the inbox, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._summaries = Summaries(service.inbox)

    def routes(self) -> list[Route]:
        return [
            route("GET", "/_sim/inbox", self.inbox),
            route("GET", "/_sim/duplicates", self.duplicates),
            route("GET", "/_sim/resends", self.resends),
            route("GET", "/_sim/messages/{ses_id}/html", self.html),
            route("GET", "/_sim/messages/{ses_id}/raw", self.raw),
            route("GET", "/_sim/messages/{ses_id}/attachments/{index}", self.attachment),
        ]

    async def inbox(self, call: Call) -> Reply:
        """``?search=&before=&limit=&bodies=``: newest first. ``next`` is the ``before`` of the next page.

        Each word of ``search`` must be in an address, the subject, a tag or the id. With ``bodies=1`` it may also be in
        the text or the HTML.
        """
        limit = call.limit(50)
        before = call.whole("before")
        words = call.text("search").lower().split()
        bodies = call.text("bodies") == "1"
        kept = [message for message in self._service.inbox.messages() if not before or message.number < before]
        found: list[dict[str, Any]] = []
        more = False
        looked_into = 0
        async for message, summary in self._summaries.of(reversed(kept)):
            looked_into += bodies
            if looked_into % 20 == 19:
                await asyncio.sleep(0)  # sends come first
            if words and not _has(message, summary, words, bodies=bodies):
                continue
            if len(found) == limit:
                more = True
                break
            found.append(_listed(message, summary))
        return as_json(
            {
                "messages": found,
                "next": found[-1]["number"] if more else None,
                "kept": len(self._service.inbox),
                "dropped": self._service.inbox.dropped,
            }
        )

    async def duplicates(self, call: Call) -> Reply:
        """``?limit=``: messages, among those kept, that were sent more than once. See ``summaries.duplicates``."""
        limit = call.limit()
        found = await duplicates(self._service.inbox, self._summaries)
        return as_json({"duplicates": found[:limit], "count": len(found), "kept": len(self._service.inbox)})

    async def resends(self, call: Call) -> Reply:
        """``?limit=``: calls that an SDK repeated without its caller's knowledge, newest first."""
        resends = self._service.resends
        limit = call.limit()
        return as_json({"hidden": resends.hidden, "calls": resends.resent(limit)})

    async def html(self, call: Call) -> Reply:
        page = preview.html(self._message(call).submission)
        if page is None:
            raise NotThere("the message has no HTML")
        return Reply(200, page, content_type=b"text/html; charset=utf-8", headers=preview.HEADERS)

    async def raw(self, call: Call) -> Reply:
        """The message in the client's form: MIME, or the JSON of its call."""
        return Reply(
            200, self._message(call).submission.data, content_type=b"text/plain; charset=utf-8", headers=_DOWNLOAD
        )

    async def attachment(self, call: Call) -> Reply:
        attachments = content.parse(self._message(call).submission)["attachments"]
        index = call.index("index")
        if index >= len(attachments):
            raise NotThere("the message has no such attachment")
        name = quote(_file_name(attachments[index]["filename"]), safe="", errors="replace")
        headers = _DOWNLOAD | {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        data = base64.b64decode(attachments[index]["content"])
        return Reply(200, data, content_type=b"application/octet-stream", headers=headers)

    def _message(self, call: Call) -> Message:
        message = self._service.inbox.get(call.path["ses_id"])
        if message is None:
            raise NotThere("no such message is kept")
        return message


def _file_name(given: str) -> str:
    """A safe file name: it names no other folder, hides no part of itself, and is not too long for file systems."""
    last = given.replace("\\", "/").rpartition("/")[2]
    kept = "".join(each for each in last if each.isprintable() and each not in '<>:"|?*').strip(" .")
    stem, dot, ending = kept.rpartition(".")
    if len(kept) > _LONGEST_NAME:
        kept = f"{stem[: _LONGEST_NAME - 11]}.{ending[:10]}" if dot else kept[:_LONGEST_NAME]
    return kept or "attachment"


def _has(message: Message, summary: Summary, words: list[str], *, bodies: bool) -> bool:
    submission = message.submission
    parts = [summary.subject, submission.sender, message.ses_id, *submission.recipients, *submission.tags.values()]
    text = "\n".join(parts).lower()
    if bodies and not all(word in text for word in words):
        parsed = content.parse(submission)
        text += f"\n{parsed['text'] or ''}\n{parsed['html'] or ''}".lower()
    return all(word in text for word in words)


def _listed(message: Message, summary: Summary) -> dict[str, Any]:
    submission = message.submission
    return {
        "number": message.number,
        "at": message.at,
        "ses_id": message.ses_id,
        "from": submission.sender,
        "to": submission.recipients,
        "subject": summary.subject,
        "attachments": summary.attachments,
        "size": len(submission.data),
        "region": submission.region,
        "transport": submission.transport,
    }
