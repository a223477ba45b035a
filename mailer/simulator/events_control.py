"""The control API's routes for events. Also serves SNS's subscribers: the certificate, and confirmations."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mailer.simulator.control_json import Json, json_object, page_limit
from mailer.simulator.events.destination import Destination
from mailer.simulator.events.event import KINDS, NOTIFIED

if TYPE_CHECKING:
    from starlette.requests import Request

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
            Route("/_sim/events", self.events, methods=["GET"]),
            Route("/_sim/events/newest", self.newest, methods=["GET"]),
            Route("/_sim/outcomes", self.outcomes, methods=["GET"]),
            Route("/_sim/outcomes", self.set_outcomes, methods=["PUT"]),
            Route("/_sim/auto-replies", self.auto_replies, methods=["GET"]),
            Route("/_sim/destinations", self.destinations, methods=["GET"]),
            Route("/_sim/destinations", self.add_destination, methods=["POST"]),
            Route("/_sim/destinations/{number:int}", self.remove_destination, methods=["DELETE"]),
            Route("/_sim/sns", self.confirm, methods=["GET"]),
            Route("/_sim/sns/{name}", self.certificate, methods=["GET"]),
        ]

    async def events(self, request: Request) -> Response:
        """``?after=&limit=&type=&recipient=&ses_id=&format=``: oldest first, each with ``number`` and ``event``.

        ``format=notification`` shows the older form, and only the kinds that it has.
        """
        query = request.query_params
        limit = page_limit(query.get("limit", "100"))
        kind, recipient, ses_id = query.get("type", ""), query.get("recipient", ""), query.get("ses_id", "")
        if kind and kind not in KINDS:
            raise ValueError(f"type must be one of {', '.join(KINDS)}")
        form: Format = "notification" if query.get("format") == "notification" else "event"
        wanted = (
            event
            for event in self._publisher.events(int(query.get("after", 0)))
            if (not kind or event.kind == kind)
            and (form == "event" or event.kind in NOTIFIED)
            and (not ses_id or event.sending.ses_id == ses_id)
            and (not recipient or any(recipient in each for each in event.recipients))
        )
        found = list(islice(wanted, limit))
        return Json(
            {
                "events": [self._shown(event, form) for event in found],
                "next": found[-1].number if len(found) == limit else None,
                "waiting": self._publisher.waiting,
            }
        )

    async def newest(self, request: Request) -> Response:
        """``?limit=``: newest first."""
        limit = page_limit(request.query_params.get("limit", "100"))
        found = islice(self._publisher.newest(), limit)
        return Json({"events": [self._shown(event, "event") for event in found]})

    def _shown(self, event: Event, form: Format) -> dict[str, Any]:
        return {"number": event.number, "at": event.at, "event": self._publisher.render(event, form)}

    async def outcomes(self, _request: Request) -> Response:
        return Json(self._publisher.fates.outcomes.to_json())

    async def set_outcomes(self, request: Request) -> Response:
        """Set any fields of ``Outcomes``. The others stay, and so do the outcomes of mail accepted before."""
        fates = self._publisher.fates
        fates.outcomes = fates.outcomes.changed(await json_object(request))
        return await self.outcomes(request)

    async def auto_replies(self, _request: Request) -> Response:
        """The replies of ``ooto@simulator.amazonses.com`` to the Return-Path."""
        return Json({"auto_replies": [reply._asdict() for reply in self._publisher.auto_replies]})

    async def destinations(self, _request: Request) -> Response:
        return Json({"destinations": self._subscriptions.to_json()})

    async def add_destination(self, request: Request) -> Response:
        return Json(self._subscriptions.add(Destination.from_json(await json_object(request))))

    async def remove_destination(self, request: Request) -> Response:
        if not self._subscriptions.remove(request.path_params["number"]):
            raise HTTPException(404, "no such destination")
        return Response(status_code=204)

    async def confirm(self, request: Request) -> Response:
        """Serve SubscribeURL and UnsubscribeURL."""
        query = request.query_params
        action = query.get("Action", "")
        if action == "Unsubscribe":
            self._subscriptions.unsubscribe(query.get("SubscriptionArn", ""))
            return Response(_XML.format(action, ""), media_type="text/xml")
        subscription = self._subscriptions.confirm(query.get("TopicArn", ""), query.get("Token", ""))
        if action != "ConfirmSubscription" or subscription is None:
            error = "<Error><Type>Sender</Type><Code>InvalidParameter</Code><Message>Invalid token</Message></Error>"
            return Response(_XML.format("Error", error), 400, media_type="text/xml")
        result = f"<{action}Result><SubscriptionArn>{subscription}</SubscriptionArn></{action}Result>"
        return Response(_XML.format(action, result), media_type="text/xml")

    async def certificate(self, request: Request) -> Response:
        signer = self._subscriptions.sns.signer
        if request.path_params["name"] != signer.name:
            raise HTTPException(404, "no such certificate")
        return PlainTextResponse(signer.certificate)
