"""The v1 API's operations on identities, configuration sets and templates: v2's operations under older names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailer.simulator.address import mailbox
from mailer.simulator.api import configuration_sets, identities, members, templates
from mailer.simulator.api.page import Paging
from mailer.simulator.api.query import Entries, Moment
from mailer.simulator.errors import BAD_REQUEST, Refused
from mailer.simulator.resources.configuration_set import ConfigurationSet
from mailer.simulator.resources.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailer.simulator.account import Account

_IDENTITIES = Paging(
    "identity",
    usual=1000,
    most=1000,
    size_name="MaxItems",
    size_text="Value {size} for parameter MaxItems is invalid. MaxItems must be between 1 and 1000.",
)
_V2_OF_TEMPLATE = {"SubjectPart": "Subject", "TextPart": "Text", "HtmlPart": "Html"}


def _verify(account: Account, name: str) -> Identity:
    """Verify an identity. Unlike v2, v1 allows repeating this."""
    found = identities.find(account, name)
    if found is None:
        found = Identity(name)
        account.resources.identities.add(found)
    return found


def _verify_email(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    address = members.required(call, "EmailAddress")
    try:
        mailbox(address)
    except Refused:
        raise Refused(BAD_REQUEST.saying(f"Invalid email address<{address}>.")) from None
    _verify(account, identities.checked(address))
    return {}


def _verify_email_of_old(account: Account, call: Mapping[str, Any]) -> None:
    _verify_email(account, call)


def _verify_domain(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = _verify(account, identities.checked(members.required(call, "Domain")))
    return {"VerificationToken": "".join(found.dkim_tokens)[:43] + "="}


def _list_identities(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    kind = members.chosen(call, "IdentityType", ("EmailAddress", "Domain")) if call.get("IdentityType") else None
    names = [name for name in identities.names_of(account) if kind is None or ("@" in name) is (kind == "EmailAddress")]
    page, token = _IDENTITIES.page(names, call)
    return {"Identities": page, "NextToken": token}


def _list_addresses(account: Account, _call: Mapping[str, Any]) -> dict[str, Any]:
    return {"VerifiedEmailAddresses": [name for name in identities.names_of(account) if "@" in name]}


def _delete_identity(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    identities.remove(account, members.required(call, "Identity"))
    return {}


def _delete_address(account: Account, call: Mapping[str, Any]) -> None:
    identities.remove(account, members.required(call, "EmailAddress"))


def _verification_attributes(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = [identities.find(account, name) for name in members.strings(call, "Identities")]
    shown = {
        each.name: {
            "VerificationStatus": "Success",
            "VerificationToken": "".join(each.dkim_tokens)[:43] + "=" if each.is_domain else None,
        }
        for each in found
        if each is not None
    }
    return {"VerificationAttributes": Entries(shown)}


def _create_set(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    wanted = members.mapping(call, "ConfigurationSet", required=True)
    account.resources.configuration_sets.create(ConfigurationSet(members.required(wanted, "Name")))
    return {}


def _describe_set(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = account.resources.configuration_sets.get(members.required(call, "ConfigurationSetName"))
    return {
        "ConfigurationSet": {"Name": found.name},
        "ReputationOptions": {"SendingEnabled": found.sending_enabled},
    }


def _list_sets(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    names = sorted(each.name for each in account.resources.configuration_sets)
    page, token = configuration_sets.PAGING.page(names, {**call, "PageSize": call.get("MaxItems")})
    return {"ConfigurationSets": [{"Name": name} for name in page], "NextToken": token}


def _delete_set(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    account.resources.configuration_sets.delete(members.required(call, "ConfigurationSetName"))
    return {}


def _set_sending(account: Account, call: Mapping[str, Any]) -> None:
    found = account.resources.configuration_sets.get(members.required(call, "ConfigurationSetName"))
    found.sending_enabled = members.boolean(call, "Enabled", default=False)


def _of_v2(call: Mapping[str, Any]) -> dict[str, Any]:
    wanted = members.mapping(call, "Template", required=True)
    content = {v2: wanted.get(v1) for v1, v2 in _V2_OF_TEMPLATE.items()}
    return {"TemplateName": members.required(wanted, "TemplateName"), "TemplateContent": content}


def _create_template(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    return templates.create(account, _of_v2(call))


def _update_template(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    return templates.update(account, _of_v2(call))


def _get_template(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = templates.get(account, call)
    content = found["TemplateContent"]
    return {
        "Template": {
            "TemplateName": found["TemplateName"],
            **{v1: content.get(v2) for v1, v2 in _V2_OF_TEMPLATE.items()},
        }
    }


def _delete_template(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a template. No error if it does not exist."""
    try:
        return templates.delete(account, call)
    except Refused:
        return {}


def _list_templates(account: Account, call: Mapping[str, Any]) -> dict[str, Any]:
    found = templates.listed(account, {**call, "PageSize": call.get("MaxItems")})
    shown = [
        {"Name": each["TemplateName"], "CreatedTimestamp": Moment(each["CreatedTimestamp"])}
        for each in found["TemplatesMetadata"]
    ]
    return {"TemplatesMetadata": shown, "NextToken": found.get("NextToken")}


OPERATIONS: dict[str, Callable[[Account, Mapping[str, Any]], dict[str, Any] | None]] = {
    "VerifyEmailIdentity": _verify_email,
    "VerifyEmailAddress": _verify_email_of_old,
    "VerifyDomainIdentity": _verify_domain,
    "ListIdentities": _list_identities,
    "ListVerifiedEmailAddresses": _list_addresses,
    "DeleteIdentity": _delete_identity,
    "DeleteVerifiedEmailAddress": _delete_address,
    "GetIdentityVerificationAttributes": _verification_attributes,
    "CreateConfigurationSet": _create_set,
    "DescribeConfigurationSet": _describe_set,
    "ListConfigurationSets": _list_sets,
    "DeleteConfigurationSet": _delete_set,
    "UpdateConfigurationSetSendingEnabled": _set_sending,
    "CreateTemplate": _create_template,
    "UpdateTemplate": _update_template,
    "GetTemplate": _get_template,
    "DeleteTemplate": _delete_template,
    "ListTemplates": _list_templates,
    "TestRenderTemplate": templates.test_render,
}
