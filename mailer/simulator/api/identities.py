"""The v2 API's operations on identities: those made over the API, and those in the account's terms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mailer.simulator.address import mailbox
from mailer.simulator.api import members
from mailer.simulator.api.page import Paging
from mailer.simulator.api.route import route
from mailer.simulator.errors import ALREADY_EXISTS, BAD_REQUEST, NOT_FOUND, Refused
from mailer.simulator.resources.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.account import Account

_DOMAIN = re.compile(r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}")
_PAGING = Paging(
    "identity",
    usual=25,
    most=1000,
    size_text="Value {size} for parameter PageSize is invalid. PageSize must be between 1 and 1000.",
)


def names_of(account: Account) -> list[str]:
    """The names of all identities of the account, sorted."""
    return sorted(account.resources.identities.names() | (account.terms.verified or frozenset()))


def find(account: Account, name: str) -> Identity | None:
    given = account.terms.verified or frozenset()
    return account.resources.identities.get(name) or (Identity(name) if name in given else None)


def checked(name: str) -> str:
    """The name of an identity in SES's form. Raises ``Refused`` if it is invalid."""
    if "@" in name:
        address = mailbox(name)
        local, _, domain = address.rpartition("@")
        return f"{local}@{domain.lower()}"
    if not _DOMAIN.fullmatch(name):
        raise Refused(BAD_REQUEST.saying(f"Invalid domain name {name}."))
    return name.lower()


def remove(account: Account, name: str) -> None:
    account.resources.identities.discard(name)
    given = account.terms.verified
    if given is not None and name in given:
        account.change(account.terms.changed({"verified": given - {name}}))


def _existing(account: Account, call: Mapping[str, Any]) -> Identity:
    name = members.required(call, "EmailIdentity")
    found = find(account, name)
    if found is None:
        raise Refused(NOT_FOUND.saying(f"Email identity {name} does not exist."))
    return found


def _create(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    name = checked(members.required(call, "EmailIdentity"))
    if find(account, name) is not None:
        raise Refused(ALREADY_EXISTS.saying(f"Email identity {name} already exist."))
    configuration_set = members.optional(call, "ConfigurationSetName")
    if configuration_set is not None:
        account.resources.configuration_sets.get(configuration_set)
    identity = Identity(name, members.mappings(call, "Tags"), configuration_set)
    account.resources.identities.add(identity)
    return {"IdentityType": _type(identity), "VerifiedForSendingStatus": True, "DkimAttributes": _dkim(identity)}


def _get(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = _existing(account, call)
    answer: dict[str, Any] = {
        "IdentityType": _type(found),
        "FeedbackForwardingStatus": True,
        "VerifiedForSendingStatus": True,
        "DkimAttributes": _dkim(found),
        "Policies": {},
        "Tags": found.tags,
        "VerificationStatus": "SUCCESS",
    }
    return answer | ({} if found.configuration_set is None else {"ConfigurationSetName": found.configuration_set})


def _delete(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    remove(account, _existing(account, call).name)
    return {}


def _list(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    page, token = _PAGING.page(names_of(account), call)
    shown = [
        {
            "IdentityName": name,
            "IdentityType": _type(Identity(name)),
            "SendingEnabled": True,
            "VerificationStatus": "SUCCESS",
        }
        for name in page
    ]
    return {"EmailIdentities": shown} if token is None else {"EmailIdentities": shown, "NextToken": token}


def _type(identity: Identity) -> str:
    return "DOMAIN" if identity.is_domain else "EMAIL_ADDRESS"


def _dkim(identity: Identity) -> dict[str, Any]:
    if not identity.is_domain:
        return {"SigningEnabled": False, "Status": "NOT_STARTED"}
    return {
        "SigningEnabled": True,
        "Status": "SUCCESS",
        "Tokens": identity.dkim_tokens,
        "SigningAttributesOrigin": "AWS_SES",
        "CurrentSigningKeyLength": "RSA_2048_BIT",
        "NextSigningKeyLength": "RSA_2048_BIT",
    }


ROUTES = (
    route("CreateEmailIdentity", "POST", "identities", _create),
    route("ListEmailIdentities", "POST", "list-identities", _list),
    # Older clients use this path.
    route("ListEmailIdentities", "GET", "identities", _list),
    route("GetEmailIdentity", "GET", "identities/{EmailIdentity}", _get),
    route("DeleteEmailIdentity", "DELETE", "identities/{EmailIdentity}", _delete),
)
