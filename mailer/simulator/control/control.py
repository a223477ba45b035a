"""The control API under ``/_sim/``: it reads back the mail, changes the account and makes it fail.

Requests and answers are JSON. A wrong request gets 400 ``{"error": "what to change"}``. Where a Region matters, the
query parameter ``region`` names it. Without it, the simulator's default Region applies. Times are epoch seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailer.simulator.clock import ClockChange
from mailer.simulator.control import pages
from mailer.simulator.control.events import EventsControl
from mailer.simulator.control.inbox import InboxControl
from mailer.simulator.control.messages import MessagesControl
from mailer.simulator.control.routing import NO_CONTENT, answered, as_json, route
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.outcomes import Outcomes
from mailer.simulator.events.sqs import TARGET
from mailer.simulator.fault import Fault
from mailer.simulator.latency import LatencyChange
from mailer.simulator.options import Options
from mailer.simulator.spec import Spec
from mailer.simulator.terms import Terms, TermsAndUse

if TYPE_CHECKING:
    from mailer.simulator.account import Account
    from mailer.simulator.control.routing import Call
    from mailer.simulator.exchange import Reply, Request
    from mailer.simulator.service import Service


class Control:
    """The routes of the control API, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._routes = (
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
            *MessagesControl(service).routes(),
            *InboxControl(service).routes(),
            *EventsControl(service).routes(),
            *pages.routes(),
        )

    async def answer(self, request: Request) -> Reply:
        """SQS's clients post to the endpoint, older ones to a queue's URL."""
        if request.method == "POST" and TARGET in request.headers:
            return await self._service.sqs.handle(request)
        return await answered(self._routes, request)

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


_NOUNS: dict[str, type[Spec]] = {
    "account": TermsAndUse,
    "fault": Fault,
    "outcomes": Outcomes,
    "destination": Destination,
    "latency": LatencyChange,
    "clock": ClockChange,
    "options": Options,
}


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
