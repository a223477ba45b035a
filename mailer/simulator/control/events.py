"""The control API's routes for events. Also serves SNS's subscribers: the certificate, and confirmations."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from mailer.simulator.control.routing import NO_CONTENT, NotThere, as_json, route
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.event import KINDS, NOTIFIED
from mailer.simulator.exchange import Reply

if TYPE_CHECKING:
    from mailer.simulator.control.routing import Call, Route
    from mailer.simulator.events.event import Event, Format
    from mailer.simulator.service import Service

_XML = '<{0}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{1}</{0}Response>'


class EventsControl:
    """The routes for events, over one service."""

    def __init__(self, service: Service) -> None:
        self._publisher = service.events
        self._subscriptions = service.subscriptions

    def routes(self) -> list[Route]:
        return [
            route("GET", "/_sim/events", self.events),
            route("GET", "/_sim/events/newest", self.newest),
            route("GET", "/_sim/outcomes", self.outcomes),
            route("PUT", "/_sim/outcomes", self.set_outcomes),
            route("GET", "/_sim/auto-replies", self.auto_replies),
            route("GET", "/_sim/destinations", self.destinations),
            route("POST", "/_sim/destinations", self.add_destination),
            route("DELETE", "/_sim/destinations/{number}", self.remove_destination),
            route("GET", "/_sim/sns", self.confirm),
            route("GET", "/_sim/sns/{name}", self.certificate),
        ]

    async def events(self, call: Call) -> Reply:
        """``?after=&limit=&type=&recipient=&ses_id=&format=``: oldest first, each with ``number`` and ``event``.

        ``format=notification`` shows the older form, and only the kinds that it has.
        """
        limit = call.limit()
        kind, recipient, ses_id = call.text("type"), call.text("recipient"), call.text("ses_id")
        if kind and kind not in KINDS:
            raise ValueError(f"type must be one of {', '.join(KINDS)}")
        form: Format = "notification" if call.text("format") == "notification" else "event"
        wanted = (
            event
            for event in self._publisher.events(call.whole("after"))
            if (not kind or event.kind == kind)
            and (form == "event" or event.kind in NOTIFIED)
            and (not ses_id or event.sending.ses_id == ses_id)
            and (not recipient or any(recipient in each for each in event.recipients))
        )
        found = list(islice(wanted, limit))
        return as_json(
            {
                "events": [self._shown(event, form) for event in found],
                "next": found[-1].number if len(found) == limit else None,
                "waiting": self._publisher.waiting,
            }
        )

    async def newest(self, call: Call) -> Reply:
        """``?limit=``: newest first."""
        limit = call.limit()
        found = islice(self._publisher.newest(), limit)
        return as_json({"events": [self._shown(event, "event") for event in found]})

    def _shown(self, event: Event, form: Format) -> dict[str, Any]:
        return {"number": event.number, "at": event.at, "event": self._publisher.render(event, form)}

    async def outcomes(self, _call: Call) -> Reply:
        return as_json(self._publisher.fates.outcomes.to_json())

    async def set_outcomes(self, call: Call) -> Reply:
        """Set any fields of ``Outcomes``. The others stay, and so do the outcomes of mail accepted before."""
        fates = self._publisher.fates
        fates.outcomes = fates.outcomes.changed(call.json_object())
        return await self.outcomes(call)

    async def auto_replies(self, _call: Call) -> Reply:
        """The replies of ``ooto@simulator.amazonses.com`` to the Return-Path."""
        return as_json({"auto_replies": [reply._asdict() for reply in self._publisher.auto_replies]})

    async def destinations(self, _call: Call) -> Reply:
        return as_json({"destinations": self._subscriptions.to_json()})

    async def add_destination(self, call: Call) -> Reply:
        return as_json(self._subscriptions.add(Destination.from_json(call.json_object())))

    async def remove_destination(self, call: Call) -> Reply:
        if not self._subscriptions.remove(call.index("number")):
            raise NotThere("no such destination")
        return NO_CONTENT

    async def confirm(self, call: Call) -> Reply:
        """Serve SubscribeURL and UnsubscribeURL."""
        action = call.text("Action")
        if action == "Unsubscribe":
            self._subscriptions.unsubscribe(call.text("SubscriptionArn"))
            return _xml(_XML.format(action, ""))
        subscription = self._subscriptions.confirm(call.text("TopicArn"), call.text("Token"))
        if action != "ConfirmSubscription" or subscription is None:
            error = "<Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>Invalid token</Message></Error>"
            return _xml(_XML.format("Error", error), 400)
        result = f"<{action}Result><SubscriptionArn>{subscription}</SubscriptionArn></{action}Result>"
        return _xml(_XML.format(action, result))

    async def certificate(self, call: Call) -> Reply:
        signer = self._subscriptions.sns.signer
        if call.path["name"] != signer.name:
            raise NotThere("no such certificate")
        return Reply(200, signer.certificate, content_type=b"text/plain; charset=utf-8")


def _xml(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), content_type=b"text/xml; charset=utf-8")
