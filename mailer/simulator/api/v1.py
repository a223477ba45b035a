"""The SES v1 API (Query and XML): its actions and their answers. It shares the account with v2."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from mailer.simulator import errors
from mailer.simulator.api import bulk, members, outbound, query, v1_resources
from mailer.simulator.api.door import Door
from mailer.simulator.api.query import Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailer.simulator.account import Account
    from mailer.simulator.api.bulk import Result
    from mailer.simulator.api.door import Answering
    from mailer.simulator.exchange import Reply, Request

    Operation: TypeAlias = Callable[[Account, Mapping[str, Any]], dict[str, Any] | None]

MAX_MESSAGE_BYTES = 10 * 1024 * 1024
"""The limit after base64. The v2 API and SMTP accept four times as much."""

_BULK_STATUSES = {
    "CONFIGURATION_SET_NOT_FOUND": "ConfigurationSetDoesNotExist",
    "TEMPLATE_NOT_FOUND": "TemplateDoesNotExist",
    "INVALID_PARAMETER": "InvalidParameterValue",
}
"""v1's names of bulk statuses that are not v2's names in camel case."""


class V1(Door):
    """The door for ``POST /``."""

    def operation(self, request: Request) -> tuple[str, Answering]:
        if request.method != "POST":
            raise errors.Refused(errors.UNKNOWN_OPERATION)
        call = query.call_in(request.body)
        action = call.get("Action")
        if not isinstance(action, str):
            raise errors.Refused(errors.UNKNOWN_ACTION.saying("Could not find operation"))
        if action in _SENDS:
            return action, partial(self._send, action, _SENDS[action](call))
        if action == "SendBulkTemplatedEmail":
            return action, partial(self._send_bulk, call)
        operation = _CONTROL.get(action)
        if operation is None:
            text = f"Could not find operation {action[:100]} for version {call.get('Version', 'NO_VERSION_SPECIFIED')}"
            raise errors.Refused(errors.UNKNOWN_ACTION.saying(text))
        return action, partial(self._control, action, operation, call)

    def error(self, error: errors.SesError) -> Reply:
        return query.error_reply(error, self.service.new_request_id())

    def _send(self, action: str, call: Mapping[str, Any], request: Request, account: Account) -> Reply:
        submission = outbound.submission(call, account, request.invocation_id, most_bytes=MAX_MESSAGE_BYTES)
        return self.send(request, submission, lambda ses_id: self._reply(action, {"MessageId": ses_id}))

    def _send_bulk(self, call: Mapping[str, Any], request: Request, account: Account) -> Reply:
        def write(results: list[Result]) -> Reply:
            shown = [
                {"Status": _camel(each.status), "Error": each.error or None, "MessageId": each.ses_id}
                for each in results
            ]
            return self._reply("SendBulkTemplatedEmail", {"Status": shown})

        calls = bulk.read(_bulk(call), account)
        return self.reply(bulk.send(self.service, account, calls, request.invocation_id, write))

    def _control(
        self, action: str, operation: Operation, call: Mapping[str, Any], request: Request, account: Account
    ) -> Reply:
        return self.control(action, request, account, lambda: self._reply(action, operation(account, call)))

    def _reply(self, action: str, result: Mapping[str, Any] | None) -> Reply:
        return query.reply(action, result, self.service.new_request_id())


# Conversion of a v1 call to the v2 API's SendEmail


def _email(call: Mapping[str, Any]) -> dict[str, Any]:
    message = members.mapping(call, "Message", required=True)
    return {**_envelope(call), "Content": {"Simple": {"Subject": message.get("Subject"), "Body": message.get("Body")}}}


def _raw_email(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "FromEmailAddress": members.optional(call, "Source"),
        # The call does not tell To from Bcc. The message's own headers do.
        "Destination": {"BccAddresses": members.strings(call, "Destinations")},
        "Content": {"Raw": members.mapping(call, "RawMessage", required=True)},
        "EmailTags": call.get("Tags"),
        "ConfigurationSetName": call.get("ConfigurationSetName"),
    }


def _templated_email(call: Mapping[str, Any]) -> dict[str, Any]:
    name = members.required(call, "Template")
    return {
        **_envelope(call),
        "Content": {"Template": {"TemplateName": name, "TemplateData": members.required(call, "TemplateData")}},
    }


def _envelope(call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "FromEmailAddress": members.required(call, "Source"),
        "Destination": members.mapping(call, "Destination", required=True),
        "ReplyToAddresses": call.get("ReplyToAddresses"),
        "FeedbackForwardingEmailAddress": call.get("ReturnPath"),
        "EmailTags": call.get("Tags"),
        "ConfigurationSetName": call.get("ConfigurationSetName"),
    }


def _bulk(call: Mapping[str, Any]) -> dict[str, Any]:
    name = members.required(call, "Template")
    entries = [
        {
            "Destination": entry.get("Destination"),
            "ReplacementTags": entry.get("ReplacementTags"),
            "ReplacementEmailContent": {
                "ReplacementTemplate": {"ReplacementTemplateData": entry.get("ReplacementTemplateData")}
            },
        }
        for entry in members.mappings(call, "Destinations", required=True)
    ]
    data = members.required(call, "DefaultTemplateData")
    return {
        **_envelope({**call, "Destination": {}}),
        "DefaultEmailTags": call.get("DefaultTags"),
        "DefaultContent": {"Template": {"TemplateName": name, "TemplateData": data}},
        "BulkEmailEntries": entries,
    }


def _camel(status: str) -> str:
    return _BULK_STATUSES.get(status) or "".join(word.capitalize() for word in status.split("_"))


_SENDS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "SendEmail": _email,
    "SendRawEmail": _raw_email,
    "SendTemplatedEmail": _templated_email,
}


# The account itself


def _send_quota(account: Account, _call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Max24HourSend": float(account.terms.quota),
        "MaxSendRate": float(account.terms.rate),
        "SentLast24Hours": float(account.sent_last_24_hours()),
    }


def _send_statistics(account: Account, _call: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "SendDataPoints": [
            {
                "Timestamp": Moment(point.start),
                "DeliveryAttempts": point.attempts,
                "Bounces": point.bounces,
                "Complaints": point.complaints,
                "Rejects": point.rejects,
            }
            for point in account.statistics.points(account.now())
        ]
    }


def _sending_enabled(account: Account, _call: Mapping[str, Any]) -> dict[str, Any]:
    return {"Enabled": account.terms.sending_enabled and account.terms.enforcement != "SHUTDOWN"}


def _set_sending_enabled(account: Account, call: Mapping[str, Any]) -> None:
    account.set_sending(enabled=members.boolean(call, "Enabled", default=False))


_CONTROL: dict[str, Operation] = {
    "GetSendQuota": _send_quota,
    "GetSendStatistics": _send_statistics,
    "GetAccountSendingEnabled": _sending_enabled,
    "UpdateAccountSendingEnabled": _set_sending_enabled,
    **v1_resources.OPERATIONS,
}
