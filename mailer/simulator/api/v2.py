"""The SES v2 API (REST-JSON): its operations and their answers."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from mailer.simulator import errors
from mailer.simulator.api import bulk, configuration_sets, identities, members, outbound, suppression, templates
from mailer.simulator.api.door import Door
from mailer.simulator.api.route import route
from mailer.simulator.exchange import Reply
from mailer.simulator.paths import SEND, SEND_BULK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.account import Account
    from mailer.simulator.api.bulk import Result
    from mailer.simulator.api.door import Answering
    from mailer.simulator.api.route import Route
    from mailer.simulator.exchange import Request

_PREFIX = "/v2/email/"
_MOST_DEPTH = 10
_OF_LISTS = frozenset({"Reason"})
"""Query members that may occur more than once."""


class V2(Door):
    """The door for everything under ``/v2/email/``."""

    def operation(self, request: Request) -> tuple[str, Answering]:
        if request.path == SEND and request.method == "POST":
            return "SendEmail", self._send_email
        if request.path == SEND_BULK and request.method == "POST":
            return "SendBulkEmail", self._send_bulk_email
        path = request.path.removeprefix(_PREFIX) if request.path.startswith(_PREFIX) else ""
        for each in _ROUTES:
            given = each.path.match(path) if each.method == request.method else None
            if given is not None:
                return each.name, partial(self._control, each, given)
        return "Unknown", _unknown

    def error(self, error: errors.SesError) -> Reply:
        return Reply.of_error(error)

    def _send_email(self, request: Request, account: Account) -> Reply:
        submission = outbound.read(request.body, account, request.invocation_id)
        return self.send(request, submission, lambda ses_id: Reply(200, b'{"MessageId":"%s"}' % ses_id.encode()))

    def _send_bulk_email(self, request: Request, account: Account) -> Reply:
        def write(results: list[Result]) -> Reply:
            shown = [
                {"Status": status, **({"Error": error} if ses_id is None else {"MessageId": ses_id})}
                for status, error, ses_id in results
            ]
            return _json({"BulkEmailEntryResults": shown})

        calls = bulk.read(members.call_in(request.body), account)
        return self.reply(bulk.send(self.service, account, calls, request.invocation_id, write))

    def _control(self, called: Route, given: dict[str, str], request: Request, account: Account) -> Reply:
        return self.control(
            called.name, request, account, lambda: _json(called.operation(account, _call(request) | given))
        )


def _call(request: Request) -> dict[str, Any]:
    """The members of a control call, including those of its query."""
    call = members.call_in(request.body) if request.body else {}
    if _is_deep(call, _MOST_DEPTH):
        raise errors.Refused(errors.NOT_JSON.saying("The request is nested too deeply"))
    try:
        query = parse_qs(request.query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise errors.Refused(errors.NOT_JSON.saying("The query has too many fields")) from None
    return call | {name: values if name in _OF_LISTS else values[-1] for name, values in query.items()}


def _is_deep(value: Any, room: int) -> bool:
    """Whether ``value`` is nested too deeply. Tags and options are kept as given: they must be fit to read and save."""
    if not isinstance(value, dict | list):
        return False
    return room == 0 or any(_is_deep(each, room - 1) for each in (value.values() if isinstance(value, dict) else value))


def _json(answer: Mapping[str, Any]) -> Reply:
    return Reply(200, json.dumps(answer).encode())


def _unknown(_request: Request, _account: Account) -> Reply:
    raise errors.Refused(errors.UNKNOWN_OPERATION)


def _get_account(account: Account, _call: Mapping[str, Any]) -> dict[str, Any]:
    terms = account.terms
    return {
        "DedicatedIpAutoWarmupEnabled": False,
        "EnforcementStatus": terms.enforcement,
        "ProductionAccessEnabled": not terms.sandbox,
        "SendQuota": {
            "Max24HourSend": float(terms.quota),
            "MaxSendRate": float(terms.rate),
            "SentLast24Hours": float(account.sent_last_24_hours()),
        },
        "SendingEnabled": terms.sending_enabled and terms.enforcement != "SHUTDOWN",
        "SuppressionAttributes": {"SuppressedReasons": list(account.resources.suppression.reasons)},
    }


def _put_sending(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    account.set_sending(enabled=members.boolean(call, "SendingEnabled", default=False))
    return {}


_ROUTES = (
    route("GetAccount", "GET", "account", _get_account),
    route("PutAccountSendingAttributes", "PUT", "account/sending", _put_sending),
    *identities.ROUTES,
    *configuration_sets.ROUTES,
    *templates.ROUTES,
    *suppression.ROUTES,
)
