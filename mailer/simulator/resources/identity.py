"""Verified identities: the addresses and domains that the account may send from.

The simulator has no mailbox and no DNS, so an identity is verified as soon as it is made. Identities in the account's
terms (``--verified``) are like any other.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailer.simulator import members
from mailer.simulator.address import mailbox
from mailer.simulator.errors import ALREADY_EXISTS, BAD_REQUEST, LIMIT, NOT_FOUND, Refused
from mailer.simulator.page import Paging
from mailer.simulator.resources.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailer.simulator.resources.route import Account

_MOST = 10_000
_DOMAIN = re.compile(r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}")
PAGING = Paging(
    "identity",
    usual=25,
    most=1000,
    size_text="Value {size} for parameter PageSize is invalid. PageSize must be between 1 and 1000.",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """An address (with an ``@``) or a domain."""

    name: str
    tags: list[Mapping[str, Any]] = field(default_factory=list)
    configuration_set: str | None = None

    @property
    def is_domain(self) -> bool:
        return "@" not in self.name

    @property
    def dkim_tokens(self) -> list[str]:
        """Three tokens, as SES gives for a domain's DNS. Here they depend only on the name."""
        return [hashlib.sha256(f"{self.name} {number}".encode()).hexdigest()[:32] for number in range(3)]


class Identities:
    """The identities made by calls, by name. ``Terms.verified`` holds more: ``find`` looks at both."""

    def __init__(self) -> None:
        self._by_name: dict[str, Identity] = {}

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._by_name.values())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def add(self, identity: Identity) -> None:
        """Add or replace ``identity``. A caller that must not replace one checks first."""
        if identity.name not in self._by_name and len(self._by_name) >= _MOST:
            raise Refused(LIMIT)
        self._by_name[identity.name] = identity

    def get(self, name: str) -> Identity | None:
        return self._by_name.get(name)

    def discard(self, name: str) -> None:
        self._by_name.pop(name, None)

    def names(self) -> set[str]:
        return set(self._by_name)


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
    page, token = PAGING.page(names_of(account), call)
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
    Route("CreateEmailIdentity", "POST", "identities", _create),
    Route("ListEmailIdentities", "POST", "list-identities", _list),
    # Older clients use this path.
    Route("ListEmailIdentities", "GET", "identities", _list),
    Route("GetEmailIdentity", "GET", "identities/{EmailIdentity}", _get),
    Route("DeleteEmailIdentity", "DELETE", "identities/{EmailIdentity}", _delete),
)
