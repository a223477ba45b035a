"""The v2 API's operations on the account's suppression list."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from mailer.simulator.address import mailbox
from mailer.simulator.api import members
from mailer.simulator.api.page import Paging
from mailer.simulator.api.route import route
from mailer.simulator.errors import BAD_REQUEST, NOT_JSON, Refused, SesError
from mailer.simulator.resources.suppression import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.account import Account
    from mailer.simulator.resources.suppression import Reason, Suppressed

# Only this list has InvalidNextTokenException.
_PAGING = Paging(
    "suppression",
    usual=1000,
    most=1000,
    token_error=SesError("bad-request", 400, "InvalidNextTokenException", "{}", "500 Error"),
)


def _put(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    if account.terms.sandbox:
        # AWS documents that this is not possible, but not the wording of the refusal.
        raise Refused(BAD_REQUEST.saying("The suppression list is not available while the account is in the sandbox."))
    address = members.required(call, "EmailAddress")
    mailbox(address.strip())
    reason = members.chosen(call, "Reason", REASONS)
    account.resources.suppression.put(address, cast("Reason", reason), account.now())
    return {}


def _get(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = account.resources.suppression.get(members.required(call, "EmailAddress"))
    return {"SuppressedDestination": _summary(found)}


def _delete(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    account.resources.suppression.delete(members.required(call, "EmailAddress"))
    return {}


def _list(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    given = call.get("Reason")
    reasons = members.chosen_list({"Reasons": given if isinstance(given, list | None) else [given]}, "Reasons", REASONS)
    start, end = _moment(call, "StartDate"), _moment(call, "EndDate")
    found = {
        entry.address: entry
        for entry in account.resources.suppression
        if (not reasons or entry.reason in reasons)
        and (start is None or entry.at >= start)
        and (end is None or entry.at <= end)
    }
    page, token = _PAGING.page(sorted(found), call)
    answer: dict[str, Any] = {"SuppressedDestinationSummaries": [_summary(found[address]) for address in page]}
    return answer if token is None else {**answer, "NextToken": token}


def _put_attributes(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    reasons = members.chosen_list(call, "SuppressedReasons", REASONS)
    account.resources.suppression.reasons = tuple(reason for reason in REASONS if reason in reasons)
    return {}


def _summary(entry: Suppressed) -> dict[str, Any]:
    return {"EmailAddress": entry.address, "Reason": entry.reason, "LastUpdateTime": entry.at}


def _moment(call: Mapping[str, Any], name: str) -> float | None:
    """Parse a member in ISO 8601, as queries carry it. None if it is missing."""
    text = members.optional(call, name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refused(NOT_JSON.saying(f"{name} is not a date and time")) from None


ROUTES = (
    route("PutSuppressedDestination", "PUT", "suppression/addresses", _put),
    route("ListSuppressedDestinations", "GET", "suppression/addresses", _list),
    route("GetSuppressedDestination", "GET", "suppression/addresses/{EmailAddress}", _get),
    route("DeleteSuppressedDestination", "DELETE", "suppression/addresses/{EmailAddress}", _delete),
    route("PutAccountSuppressionAttributes", "PUT", "account/suppression", _put_attributes),
)
