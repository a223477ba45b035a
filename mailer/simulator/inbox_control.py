"""The control API for people: the inbox, newest first and with search, and the views of one message."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailer.simulator import content, preview
from mailer.simulator.control_json import Json, page_limit
from mailer.simulator.summaries import Summaries, Summary, duplicates

if TYPE_CHECKING:
    from starlette.requests import Request

    from mailer.simulator.inbox import Message
    from mailer.simulator.service import Service

_LONGEST_NAME = 60  # in any script, this stays below the 255 bytes of file systems
_DOWNLOAD = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


class InboxControl:
    """The routes for the inbox, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._summaries = Summaries(service.inbox)

    def routes(self) -> list[Route]:
        return [
            Route("/_sim/inbox", self.inbox, methods=["GET"]),
            Route("/_sim/duplicates", self.duplicates, methods=["GET"]),
            Route("/_sim/resends", self.resends, methods=["GET"]),
            Route("/_sim/messages/{ses_id}/html", self.html, methods=["GET"]),
            Route("/_sim/messages/{ses_id}/raw", self.raw, methods=["GET"]),
            Route("/_sim/messages/{ses_id}/attachments/{index:int}", self.attachment, methods=["GET"]),
        ]

    async def inbox(self, request: Request) -> Response:
        """``?search=&before=&limit=&bodies=``: newest first. ``next`` is the ``before`` of the next page.

        Each word of ``search`` must be in an address, the subject, a tag or the id. With ``bodies=1`` it may also be in
        the text or the HTML.
        """
        query = request.query_params
        limit = page_limit(query.get("limit", "50"))
        before = int(query.get("before", 0))
        words = query.get("search", "").lower().split()
        bodies = query.get("bodies") == "1"
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
        return Json(
            {
                "messages": found,
                "next": found[-1]["number"] if more else None,
                "kept": len(self._service.inbox),
                "dropped": self._service.inbox.dropped,
            }
        )

    async def duplicates(self, request: Request) -> Response:
        """``?limit=``: messages, among those kept, that were sent more than once. See ``summaries.duplicates``."""
        limit = page_limit(request.query_params.get("limit", "100"))
        found = await duplicates(self._service.inbox, self._summaries)
        return Json({"duplicates": found[:limit], "count": len(found), "kept": len(self._service.inbox)})

    async def resends(self, request: Request) -> Response:
        """``?limit=``: calls that an SDK repeated without its caller's knowledge, newest first."""
        resends = self._service.resends
        limit = page_limit(request.query_params.get("limit", "100"))
        return Json({"hidden": resends.hidden, "calls": resends.resent(limit)})

    async def html(self, request: Request) -> Response:
        page = preview.html(self._message(request).submission)
        if page is None:
            raise HTTPException(404, "the message has no HTML")
        return Response(page, headers=preview.HEADERS, media_type="text/html; charset=utf-8")

    async def raw(self, request: Request) -> Response:
        """The message in the client's form: MIME, or the JSON of its call."""
        return PlainTextResponse(self._message(request).submission.data, headers=_DOWNLOAD)

    async def attachment(self, request: Request) -> Response:
        attachments = content.parse(self._message(request).submission)["attachments"]
        index = request.path_params["index"]
        if index >= len(attachments):
            raise HTTPException(404, "the message has no such attachment")
        name = quote(_file_name(attachments[index]["filename"]), safe="", errors="replace")
        headers = _DOWNLOAD | {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        data = base64.b64decode(attachments[index]["content"])
        return Response(data, headers=headers, media_type="application/octet-stream")

    def _message(self, request: Request) -> Message:
        message = self._service.inbox.get(request.path_params["ses_id"])
        if message is None:
            raise HTTPException(404, "no such message is kept")
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
