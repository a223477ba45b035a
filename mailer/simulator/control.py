"""The control API under ``/_sim/``: it reads back the mail, changes the account and makes it fail.

Requests and answers are JSON. A wrong request gets 400 ``{"error": "what to change"}``. Where a Region matters, the
query parameter ``region`` names it. Without it, the simulator's default Region applies. Times are epoch seconds.
"""

from __future__ import annotations

import base64
from itertools import islice
from math import isfinite
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from mailer.simulator import content
from mailer.simulator.control_json import (
    MOST_PER_PAGE,
    Json,
    WrongRequest,
    json_object,
    json_value,
    page_limit,
    say,
    say_wrong,
)
from mailer.simulator.errors import Refused
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.outcomes import Outcomes
from mailer.simulator.events.sqs import SqsRoute
from mailer.simulator.events_control import EventsControl
from mailer.simulator.fault import Fault
from mailer.simulator.inbox_control import InboxControl
from mailer.simulator.latency import Latency
from mailer.simulator.options import Options
from mailer.simulator.spec import Spec
from mailer.simulator.terms import Terms, TermsAndUse
from mailer.simulator.web import pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from mailer.simulator.account import Account
    from mailer.simulator.inbox import Message
    from mailer.simulator.service import Service


class Control:
    """The routes of the control API, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def application(self) -> ASGIApp:
        return Starlette(
            routes=[
                Route("/_sim/messages", self.messages, methods=["GET"]),
                Route("/_sim/messages", self.clear_messages, methods=["DELETE"]),
                Route("/_sim/messages/{ses_id}", self.message, methods=["GET"]),
                Route("/_sim/rows", self.rows, methods=["GET"]),
                Route("/_sim/stats", self.stats, methods=["GET"]),
                Route("/_sim/stats", self.clear_stats, methods=["DELETE"]),
                Route("/_sim/schema", self.schema, methods=["GET"]),
                Route("/_sim/account", self.account, methods=["GET"]),
                Route("/_sim/account", self.change_account, methods=["PUT"]),
                Route("/_sim/faults", self.faults, methods=["GET"]),
                Route("/_sim/faults", self.set_faults, methods=["PUT"]),
                Route("/_sim/faults", self.add_faults, methods=["POST"]),
                Route("/_sim/faults", self.clear_faults, methods=["DELETE"]),
                Route("/_sim/secrets", self.set_secrets, methods=["PUT"]),
                Route("/_sim/latency", self.set_latency, methods=["PUT"]),
                Route("/_sim/clock", self.clock, methods=["GET"]),
                Route("/_sim/clock", self.set_clock, methods=["PUT"]),
                Route("/_sim/reset", self.reset, methods=["POST"]),
                *InboxControl(self._service).routes(),
                *EventsControl(self._service).routes(),
                *pages.routes(),
                SqsRoute(self._service.sqs),
            ],
            exception_handlers={HTTPException: say, WrongRequest: say_wrong, ValueError: say_wrong, Refused: say_wrong},
        )

    # Messages

    async def messages(self, request: Request) -> Response:
        """``?after=&limit=&recipient=&since=&fields=``: oldest first. ``next`` is the ``after`` of the next page.

        ``recipient`` matches a part of any recipient's address. ``fields`` is a comma-separated choice of ``number, at,
        ses_id, from, to, region, transport, tags, configuration_set, invocation_id, rendering_failure, size`` (the
        default) and ``subject, text, html, headers, attachments`` (each of these requires parsing the message).
        """
        query = request.query_params
        recipient = query.get("recipient", "")
        since = float(query.get("since", 0))
        limit = page_limit(query.get("limit", "100"))
        names = [name for name in query.get("fields", "").split(",") if name] or list(_PLAIN_FIELDS)
        unknown = [name for name in names if name not in _PLAIN_FIELDS and name not in _PARSED_FIELDS]
        if unknown:
            raise WrongRequest(f"fields has no {', '.join(unknown)}")
        wanted = (
            message
            for message in self._service.inbox.messages(int(query.get("after", 0)))
            if message.at >= since and (not recipient or _is_for(message, recipient))
        )
        found, more = _page(wanted, limit)
        return Json(
            {
                "messages": [_shown(message, names) for message in found],
                "next": found[-1].number if more else None,
                "kept": len(self._service.inbox),
            }
        )

    async def message(self, request: Request) -> Response:
        """All fields, parsed. ``raw`` is the message in the client's form, in base64."""
        message = self._service.inbox.get(request.path_params["ses_id"])
        if message is None:
            raise HTTPException(404, "no such message is kept")
        shown = _shown(message, [*_PLAIN_FIELDS, *_PARSED_FIELDS])
        shown["form"] = message.submission.form
        shown["raw"] = base64.b64encode(message.submission.data).decode()
        return Json(shown)

    async def clear_messages(self, _request: Request) -> Response:
        self._service.inbox.clear()
        return Response(status_code=204)

    async def rows(self, request: Request) -> Response:
        """``?after=&limit=``: ``[[at, recipient, ses_id, message_id], ...]``, far more than whole messages."""
        after = max(0, int(request.query_params.get("after", 0)))
        limit = page_limit(request.query_params.get("limit", str(MOST_PER_PAGE)))
        inbox = self._service.inbox
        first = max(after, inbox.rows_seen - inbox.rows_kept)
        rows = list(islice(inbox.rows(after), limit))
        following = first + len(rows)
        return Json(
            {
                "rows": rows,
                "next": following if following < inbox.rows_seen else None,
                "seen": inbox.rows_seen,
                "kept": inbox.rows_kept,
            }
        )

    # Counts

    async def stats(self, request: Request) -> Response:
        """Totals, also per Region. ``?slots=1`` adds ``[[start, accepted, refused], ...]`` recipients per 100 ms.

        ``&since=`` leaves out the slots that ended before that time.
        """
        service = self._service
        slots_since = float(request.query_params.get("since", 0)) if request.query_params.get("slots") else None
        accounts = list(service.accounts)
        return Json(
            {
                "now": service.clock.now(),
                "started_at": service.started_at,
                "accepted": sum(account.traffic.messages for account in accounts),
                "recipients": sum(account.traffic.recipients for account in accounts),
                "kept": len(service.inbox),
                "dropped": service.inbox.dropped,
                "refused": dict(service.refused),
                "requests": dict(service.requests),
                "faults": dict(service.faults.struck),
                "connections": {
                    transport: {
                        "opened": service.connections_opened[transport],
                        "open": service.connections_open[transport],
                    }
                    for transport in ("http", "smtp")
                },
                "injected": {"slots": [] if slots_since is None else service.injected.slots(slots_since)},
                "regions": {account.region: _traffic(account, slots_since) for account in accounts},
            }
        )

    async def clear_stats(self, _request: Request) -> Response:
        self._service.clear_counts()
        return Response(status_code=204)

    # The account

    async def schema(self, _request: Request) -> Response:
        """The JSON Schema of each noun: what PUT and POST take, with bounds, choices, defaults and meanings."""
        return Json({name: noun.model_json_schema() for name, noun in _NOUNS.items()})

    async def account(self, request: Request) -> Response:
        return Json(_described(self._account(request)))

    async def change_account(self, request: Request) -> Response:
        """Set any fields of ``TermsAndUse``. The others stay."""
        account = self._account(request)
        changes = {**dict(account.terms), **await json_object(request)}
        wanted = TermsAndUse.from_json(changes)
        account.change(Terms.part_of(wanted))
        if wanted.used is not None:
            account.set_used(wanted.used)
        return Json(_described(account))

    def _account(self, request: Request) -> Account:
        return self._service.accounts.in_region(request.query_params.get("region", self._service.options.region))

    # Failures and time

    async def faults(self, _request: Request) -> Response:
        return Json({"faults": [fault.to_json() for fault in self._service.faults]})

    async def set_faults(self, request: Request) -> Response:
        """Replace the faults in force with a fault or a list of faults."""
        self._service.faults.replace(await _faults(request))
        return await self._settled_faults(request)

    async def add_faults(self, request: Request) -> Response:
        """Add a fault or a list of faults to those in force."""
        self._service.faults.add(await _faults(request))
        return await self._settled_faults(request)

    async def _settled_faults(self, request: Request) -> Response:
        """Answer once an outage has begun or ended, so that the next connection meets the new faults."""
        await self._service.faults.settled.wait()
        return await self.faults(request)

    async def clear_faults(self, _request: Request) -> Response:
        self._service.faults.replace(())
        await self._service.faults.settled.wait()
        return Response(status_code=204)

    async def set_latency(self, request: Request) -> Response:
        """``{"latency": "20ms"}``: the duration of every answer, in the form of the flag."""
        text = (await json_object(request)).get("latency")
        if not isinstance(text, str):
            raise WrongRequest('send {"latency": "20ms"}')
        self._service.latency = Latency.parse(text)
        return Json({"latency": str(self._service.latency)})

    async def set_secrets(self, request: Request) -> Response:
        """Accept only the keys in ``{"ACCESS_KEY_ID": "SECRET"}`` from now on. ``{}`` accepts every signature. No route
        returns the secrets."""
        secrets = await json_object(request)
        if not all(key and isinstance(secret, str) and secret for key, secret in secrets.items()):
            raise WrongRequest('send {"ACCESS_KEY_ID": "SECRET"}')
        self._service.set_secrets(secrets)
        return Json({"keys": sorted(secrets)})

    async def clock(self, _request: Request) -> Response:
        clock = self._service.clock
        return Json({"now": clock.now(), "frozen": clock.frozen, "skew": clock.skew})

    async def set_clock(self, request: Request) -> Response:
        """``{"frozen": bool, "advance": seconds, "skew": seconds}``: jumps, then stops or runs."""
        wanted = await json_object(request)
        clock = self._service.clock
        frozen, advance, skew = wanted.get("frozen"), wanted.get("advance", 0), wanted.get("skew", clock.skew)
        numbers = (advance, skew)
        if not isinstance(frozen, bool | None) or not all(isinstance(n, int | float) and isfinite(n) for n in numbers):
            raise WrongRequest('send {"frozen": true or false, "advance": seconds, "skew": seconds}')
        if abs(skew) > _MOST_SKEW_SECONDS:
            raise WrongRequest("skew is a day at most")
        clock.advance(advance)
        clock.skew = skew
        if frozen is not None:
            (clock.freeze if frozen else clock.resume)()
        self._service.events.wake()
        return await self.clock(request)

    async def reset(self, _request: Request) -> Response:
        self._service.reset()
        await self._service.faults.settled.wait()
        return Response(status_code=204)


async def _faults(request: Request) -> list[Fault]:
    value = await json_value(request)
    return [Fault.from_json(item) for item in (value if isinstance(value, list) else [value])]


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


_NOUNS: dict[str, type[Spec]] = {
    "account": TermsAndUse,
    "fault": Fault,
    "outcomes": Outcomes,
    "destination": Destination,
    "options": Options,
}
_MOST_BYTES_PER_PAGE = 32 * 1024 * 1024
_MOST_SKEW_SECONDS = 86_400.0

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


def _traffic(account: Account, slots_since: float | None) -> dict[str, Any]:
    traffic = account.traffic
    shown: dict[str, Any] = {
        "accepted": traffic.messages,
        "recipients": traffic.recipients,
        "refused": dict(traffic.refused),
        "most_in_one_second": traffic.most_in_one_second,
        "first_accepted_at": traffic.first_accepted_at,
        "last_accepted_at": traffic.last_accepted_at,
        "sent_last_24_hours": account.sent_last_24_hours(),
    }
    if slots_since is not None:
        shown["slots"] = traffic.slots(slots_since)
    return shown


def _described(account: Account) -> dict[str, Any]:
    """``bucket`` is null if it follows the rate; ``capacity`` is what it is now."""
    return {
        "region": account.region,
        **account.terms.to_json(),
        "capacity": account.terms.capacity,
        "tokens": account.tokens(),
        "used": account.sent_last_24_hours(),
    }
