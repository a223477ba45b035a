"""The account's suppression list. SES accepts mail to these addresses and does not send it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from mailer.simulator import members
from mailer.simulator.address import mailbox
from mailer.simulator.errors import BAD_REQUEST, LIMIT, NOT_FOUND, NOT_JSON, Refused, SesError
from mailer.simulator.page import Paging
from mailer.simulator.resources.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailer.simulator.resources.route import Account

Reason = Literal["BOUNCE", "COMPLAINT"]
REASONS: tuple[Reason, ...] = ("BOUNCE", "COMPLAINT")
_MOST = 1_000_000
# Only this list has InvalidNextTokenException.
_PAGING = Paging(
    "suppression",
    usual=1000,
    most=1000,
    token_error=SesError("bad-request", 400, "InvalidNextTokenException", "{}", "500 Error"),
)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """One address, suppressed since ``at`` (epoch seconds)."""

    address: str
    reason: Reason
    at: float


class SuppressionList:
    """Entries by address. The domain's case does not matter, the local part's case does."""

    def __init__(self) -> None:
        self._by_address: dict[str, Suppressed] = {}
        self.reasons: tuple[Reason, ...] = REASONS
        """The reasons for which the account suppresses."""

    def __iter__(self) -> Iterator[Suppressed]:
        return iter(self._by_address.values())

    def put(self, address: str, reason: Reason, at: float) -> None:
        key = _key(address)
        if key not in self._by_address and len(self._by_address) >= _MOST:
            raise Refused(LIMIT)
        self._by_address[key] = Suppressed(key, reason, at)

    def get(self, address: str) -> Suppressed:
        found = self._by_address.get(_key(address))
        if found is None:
            raise Refused(NOT_FOUND.saying(f"Email address {_key(address)} does not exist on your suppression list."))
        return found

    def delete(self, address: str) -> None:
        del self._by_address[self.get(address).address]

    def reason(self, address: str) -> Reason | None:
        """Why SES sends nothing to ``address``. None if it sends."""
        entry = self._by_address.get(_key(address)) if self._by_address else None
        return None if entry is None or entry.reason not in self.reasons else entry.reason


def _key(address: str) -> str:
    local, at, domain = address.strip().rpartition("@")
    return local + at + domain.lower()


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
    Route("PutSuppressedDestination", "PUT", "suppression/addresses", _put),
    Route("ListSuppressedDestinations", "GET", "suppression/addresses", _list),
    Route("GetSuppressedDestination", "GET", "suppression/addresses/{EmailAddress}", _get),
    Route("DeleteSuppressedDestination", "DELETE", "suppression/addresses/{EmailAddress}", _delete),
    Route("PutAccountSuppressionAttributes", "PUT", "account/suppression", _put_attributes),
)
