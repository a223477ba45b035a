"""Configuration sets by name, with the options from their creation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailer.simulator import members
from mailer.simulator.errors import (
    BAD_REQUEST,
    CONFIGURATION_SET_EXISTS,
    CONFIGURATION_SET_MISSING,
    CONFIGURATION_SET_PAUSED,
    LIMIT,
    Refused,
    SesError,
)
from mailer.simulator.page import Paging
from mailer.simulator.resources.route import Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailer.simulator.resources.route import Account

_MOST = 10_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OPTIONS = (
    "TrackingOptions",
    "DeliveryOptions",
    "ReputationOptions",
    "SuppressionOptions",
    "VdmOptions",
    "ArchivingOptions",
)
PAGING = Paging("configuration-set", usual=50, most=1000, unknown_text="invalid nextToken {token}")


@dataclass(slots=True)
class ConfigurationSet:
    """``options`` are stored as given, only to be read back. Only ``sending_enabled`` changes what SES does."""

    name: str
    sending_enabled: bool = True
    tags: list[Mapping[str, Any]] = field(default_factory=list)
    options: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class ConfigurationSets:
    def __init__(self) -> None:
        self._by_name: dict[str, ConfigurationSet] = {}

    def __iter__(self) -> Iterator[ConfigurationSet]:
        return iter(self._by_name.values())

    def create(self, made: ConfigurationSet) -> None:
        if not _NAME.fullmatch(made.name):
            text = f"Invalid configuration set name <{made.name}>: only alphanumeric ASCII characters, '_', and '-'"
            raise Refused(BAD_REQUEST.saying(f"{text} are allowed, at most 64."))  # U
        if made.name in self._by_name:
            raise Refused(CONFIGURATION_SET_EXISTS.about(made.name))
        if len(self._by_name) >= _MOST:
            raise Refused(LIMIT)
        self._by_name[made.name] = made

    def get(self, name: str) -> ConfigurationSet:
        found = self._by_name.get(name)
        if found is None:
            raise Refused(CONFIGURATION_SET_MISSING.about(name))
        return found

    def delete(self, name: str) -> None:
        self.get(name)
        del self._by_name[name]

    def refusal(self, name: str) -> SesError | None:
        """Why nothing can be sent with the set ``name``. None if it can."""
        found = self._by_name.get(name)
        if found is None:
            return CONFIGURATION_SET_MISSING.about(name)
        return None if found.sending_enabled else CONFIGURATION_SET_PAUSED.about(name)


def _create(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    made = ConfigurationSet(
        members.required(call, "ConfigurationSetName"),
        members.boolean(members.mapping(call, "SendingOptions"), "SendingEnabled", default=True),
        members.mappings(call, "Tags"),
        {name: members.mapping(call, name) for name in _OPTIONS if call.get(name) is not None},
    )
    pool = members.optional(made.options.get("DeliveryOptions", {}), "SendingPoolName")
    if pool is not None:
        # The simulator has no dedicated addresses, so it has no pool either.
        raise Refused(BAD_REQUEST.saying(f"SendingPool <{pool}> doesn't exist"))
    account.resources.configuration_sets.create(made)
    return {}


def _get(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = account.resources.configuration_sets.get(members.required(call, "ConfigurationSetName"))
    return {
        "ConfigurationSetName": found.name,
        "SendingOptions": {"SendingEnabled": found.sending_enabled},
        "Tags": found.tags,
        **found.options,
    }


def _delete(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    account.resources.configuration_sets.delete(members.required(call, "ConfigurationSetName"))
    return {}


def _list(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    names = sorted(each.name for each in account.resources.configuration_sets)
    page, token = PAGING.page(names, call)
    return {"ConfigurationSets": page} if token is None else {"ConfigurationSets": page, "NextToken": token}


def _put_sending(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = account.resources.configuration_sets.get(members.required(call, "ConfigurationSetName"))
    found.sending_enabled = members.boolean(call, "SendingEnabled", default=False)
    return {}


ROUTES = (
    Route("CreateConfigurationSet", "POST", "configuration-sets", _create),
    Route("ListConfigurationSets", "POST", "list-configuration-sets", _list),
    # Older clients use this path.
    Route("ListConfigurationSets", "GET", "configuration-sets", _list),
    Route("GetConfigurationSet", "GET", "configuration-sets/{ConfigurationSetName}", _get),
    Route("DeleteConfigurationSet", "DELETE", "configuration-sets/{ConfigurationSetName}", _delete),
    Route(
        "PutConfigurationSetSendingOptions", "PUT", "configuration-sets/{ConfigurationSetName}/sending", _put_sending
    ),
)
