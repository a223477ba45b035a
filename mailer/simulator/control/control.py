"""The control API under ``/_sim/``: it reads back the mail, changes the account and makes it fail.

Requests and answers are JSON. A wrong request gets 400 ``{"error": "what to change"}``. Where a Region matters, the
query parameter ``region`` names it. Without it, the simulator's default Region applies. Times are epoch seconds.
"""

from __future__ import annotations

import base64
from itertools import islice
from typing import TYPE_CHECKING, Any

from mailer.simulator import content
from mailer.simulator.clock import ClockChange
from mailer.simulator.control import pages
from mailer.simulator.control.events import EventsControl
from mailer.simulator.control.inbox import InboxControl
from mailer.simulator.control.routing import MOST_PER_PAGE, NO_CONTENT, NotThere, answered, as_json, route
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.outcomes import Outcomes
from mailer.simulator.events.sqs import TARGET
from mailer.simulator.fault import Fault
from mailer.simulator.latency import LatencyChange
from mailer.simulator.options import Options
from mailer.simulator.spec import Spec
from mailer.simulator.terms import Terms, TermsAndUse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailer.simulator.account import Account
    from mailer.simulator.control.routing import Call
    from mailer.simulator.exchange import Reply, Request
    from mailer.simulator.inbox import Message
    from mailer.simulator.service import Service


class Control:
    """The routes of the control API, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._routes = (
            route("GET", "/_sim/messages", self.messages),
            route("DELETE", "/_sim/messages", self.clear_messages),
            route("GET", "/_sim/messages/{ses_id}", self.message),
            route("GET", "/_sim/rows", self.rows),
            route("GET", "/_sim/stats", self.stats),
            route("DELETE", "/_sim/stats", self.clear_stats),
            route("GET", "/_sim/schema", self.schema),
            route("GET", "/_sim/account", self.account),
            route("PUT", "/_sim/account", self.change_account),
            route("GET", "/_sim/faults", self.faults),
            route("PUT", "/_sim/faults", self.set_faults),
            route("POST", "/_sim/faults", self.add_faults),
            route("DELETE", "/_sim/faults", self.clear_faults),
            route("PUT", "/_sim/secrets", self.set_secrets),
            route("PUT", "/_sim/latency", self.set_latency),
            route("GET", "/_sim/clock", self.clock),
            route("PUT", "/_sim/clock", self.set_clock),
            route("POST", "/_sim/reset", self.reset),
            *InboxControl(service).routes(),
            *EventsControl(service).routes(),
            *pages.routes(),
        )

    async def answer(self, request: Request) -> Reply:
        """SQS's clients post to the endpoint, older ones to a queue's URL."""
        if request.method == "POST" and TARGET in request.headers:
            return await self._service.sqs.handle(request)
        return await answered(self._routes, request)

    # Messages

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
            for message in self._service.inbox.messages(call.whole("after"))
            if message.at >= since and (not recipient or _is_for(message, recipient))
        )
        found, more = _page(wanted, limit)
        return as_json(
            {
                "messages": [_shown(message, names) for message in found],
                "next": found[-1].number if more else None,
                "kept": len(self._service.inbox),
            }
        )

    async def message(self, call: Call) -> Reply:
        """All fields, parsed. ``raw`` is the message in the client's form, in base64."""
        message = self._service.inbox.get(call.path["ses_id"])
        if message is None:
            raise NotThere("no such message is kept")
        shown = _shown(message, [*_PLAIN_FIELDS, *_PARSED_FIELDS])
        shown["form"] = message.submission.form
        shown["raw"] = base64.b64encode(message.submission.data).decode()
        return as_json(shown)

    async def clear_messages(self, _call: Call) -> Reply:
        self._service.inbox.clear()
        return NO_CONTENT

    async def rows(self, call: Call) -> Reply:
        """``?after=&limit=``: ``[[at, recipient, ses_id, message_id], ...]``, far more than whole messages."""
        after = max(0, call.whole("after"))
        limit = call.limit(MOST_PER_PAGE)
        inbox = self._service.inbox
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

    # Counts

    async def stats(self, call: Call) -> Reply:
        """Totals, also per Region. ``?slots=1`` adds ``[[start, accepted, refused], ...]`` recipients per 100 ms.

        ``&since=`` leaves out the slots that ended before that time.
        """
        service = self._service
        slots_since = call.number("since") if call.text("slots") else None
        accounts = list(service.accounts)
        return as_json(
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

    async def clear_stats(self, _call: Call) -> Reply:
        self._service.clear_counts()
        return NO_CONTENT

    # The account

    async def schema(self, _call: Call) -> Reply:
        """The JSON Schema of each noun: what PUT and POST take, with bounds, choices, defaults and meanings."""
        return as_json({name: noun.model_json_schema() for name, noun in _NOUNS.items()})

    async def account(self, call: Call) -> Reply:
        return as_json(_described(self._account(call)))

    async def change_account(self, call: Call) -> Reply:
        """Set any fields of ``TermsAndUse``. The others stay."""
        account = self._account(call)
        changes = {**dict(account.terms), **call.json_object()}
        wanted = TermsAndUse.from_json(changes)
        account.change(Terms.part_of(wanted))
        if wanted.used is not None:
            account.set_used(wanted.used)
        return as_json(_described(account))

    def _account(self, call: Call) -> Account:
        return self._service.accounts.in_region(call.text("region", self._service.options.region))

    # Failures and time

    async def faults(self, _call: Call) -> Reply:
        return as_json({"faults": [fault.to_json() for fault in self._service.faults]})

    async def set_faults(self, call: Call) -> Reply:
        """Replace the faults in force with a fault or a list of faults."""
        self._service.faults.replace(_faults(call))
        return await self._settled_faults(call)

    async def add_faults(self, call: Call) -> Reply:
        """Add a fault or a list of faults to those in force."""
        self._service.faults.add(_faults(call))
        return await self._settled_faults(call)

    async def _settled_faults(self, call: Call) -> Reply:
        """Answer once an outage has begun or ended, so that the next connection meets the new faults."""
        await self._service.faults.settled.wait()
        return await self.faults(call)

    async def clear_faults(self, _call: Call) -> Reply:
        self._service.faults.replace(())
        await self._service.faults.settled.wait()
        return NO_CONTENT

    async def set_latency(self, call: Call) -> Reply:
        """``{"latency": "20ms"}``: the duration of every answer, in the form of the flag."""
        self._service.latency = LatencyChange.from_json(call.json()).latency
        return as_json({"latency": str(self._service.latency)})

    async def set_secrets(self, call: Call) -> Reply:
        """Accept only the keys in ``{"ACCESS_KEY_ID": "SECRET"}`` from now on. ``{}`` accepts every signature. No route
        returns the secrets."""
        secrets = call.json_object()
        if not all(key and isinstance(secret, str) and secret for key, secret in secrets.items()):
            raise ValueError('send {"ACCESS_KEY_ID": "SECRET"}')
        self._service.set_secrets(secrets)
        return as_json({"keys": sorted(secrets)})

    async def clock(self, _call: Call) -> Reply:
        clock = self._service.clock
        return as_json({"now": clock.now(), "frozen": clock.frozen, "skew": clock.skew})

    async def set_clock(self, call: Call) -> Reply:
        """``{"frozen": bool, "advance": seconds, "skew": seconds}``: jumps, then stops or runs."""
        clock, change = self._service.clock, ClockChange.from_json(call.json())
        clock.advance(change.advance)
        if change.skew is not None:
            clock.skew = change.skew
        if change.frozen is not None:
            (clock.freeze if change.frozen else clock.resume)()
        self._service.events.wake()
        return await self.clock(call)

    async def reset(self, _call: Call) -> Reply:
        self._service.reset()
        await self._service.faults.settled.wait()
        return NO_CONTENT


def _faults(call: Call) -> list[Fault]:
    value = call.json()
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
    "latency": LatencyChange,
    "clock": ClockChange,
    "options": Options,
}
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
