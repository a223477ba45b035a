"""The v2 API's operations on configuration sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailer.simulator.api import members
from mailer.simulator.api.page import Paging
from mailer.simulator.api.route import route
from mailer.simulator.errors import BAD_REQUEST, Refused
from mailer.simulator.resources.configuration_set import ConfigurationSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailer.simulator.account import Account

_OPTIONS = (
    "TrackingOptions",
    "DeliveryOptions",
    "ReputationOptions",
    "SuppressionOptions",
    "VdmOptions",
    "ArchivingOptions",
)
PAGING = Paging("configuration-set", usual=50, most=1000, unknown_text="invalid nextToken {token}")


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
    route("CreateConfigurationSet", "POST", "configuration-sets", _create),
    route("ListConfigurationSets", "POST", "list-configuration-sets", _list),
    # Older clients use this path.
    route("ListConfigurationSets", "GET", "configuration-sets", _list),
    route("GetConfigurationSet", "GET", "configuration-sets/{ConfigurationSetName}", _get),
    route("DeleteConfigurationSet", "DELETE", "configuration-sets/{ConfigurationSetName}", _delete),
    route(
        "PutConfigurationSetSendingOptions", "PUT", "configuration-sets/{ConfigurationSetName}/sending", _put_sending
    ),
)
