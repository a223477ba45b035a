"""The SES account: SES's report on it, and this host's way to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from botocore import xform_name

from mailer.account import Account
from mailer.doctor import wire
from mailer.doctor.finding import Finding, note, ok, problem
from mailer.doctor.server import apart
from mailer.errors import HostUnfit, Misdated, RateExceeded, SendError, SettingsError, Unreachable
from mailer.mail.address import parse
from mailer.ses import remedies
from mailer.ses.access import FOR_QUESTIONS, Access, ClientConfig, find_access, open_client
from mailer.ses.account import NO_RATE_REMEDY, AccountLimits, read_account
from mailer.ses.credentials import look_up
from mailer.ses.curl.connection import CurlConnection, tls_sessions
from mailer.ses.errors import boto_error, credentials_error, raised_as
from mailer.ses.signer import Credentials
from mailer.ses.transports import configured
from mailer.settings import Settings

_NEARLY = 0.9
_TRIES, _TRY_AGAIN_SECONDS = 4, 1.1


def credentials(settings: Settings) -> tuple[Access | None, list[Finding]]:
    """This host's way to SES, and its identity there."""
    try:
        access = find_access(ClientConfig.of(settings))
        found = _credentials(settings)
    except SendError as error:
        remedy = (
            "Set AWS_REGION and AWS_PROFILE (or the keys), or give the host a role; --no-ses for mailer up's simulator"
        )
        return None, [problem("credentials", str(error), remedy)]
    key = found.access_key
    kind = "temporary" if found.token else "long-term"
    return access, [ok("credentials", f"{key[:4]}...{key[-4:]} ({kind}), Region {access.region}")]


def _credentials(account: Account) -> Credentials:
    with raised_as(credentials_error):
        return look_up(account).credentials


def endpoint(access: Access, settings: Settings) -> Iterator[Finding]:
    """Connect to SES as the workers do: with TLS, and through the proxy if there is one."""
    start = time.monotonic()
    try:
        CurlConnection(access, ClientConfig.of(settings), tls_sessions()).close()
    except SendError as error:
        yield problem(
            "endpoint",
            f"{access.place}: {error}",
            "Open the way to it (firewall, VPC endpoint, proxy, AWS_CA_BUNDLE), or correct AWS_ENDPOINT_URL_SESV2",
        )
        return
    text = f"{access.place}, connected in {(time.monotonic() - start) * 1000:.0f} ms"
    yield wire.ses(access.endpoint_url, _credentials(settings).access_key, text)


def smtp(settings: Settings) -> Iterator[Finding]:
    """Check MAILER_TRANSPORT=smtp, as far as possible without a mail."""
    try:
        with configured(settings) as transport:
            transport.prepare()
    except (SendError, SettingsError) as error:
        yield problem("SMTP", str(error), "Correct MAILER_SMTP_URL, or give a long-term AWS key to derive it from")
    else:
        yield ok("SMTP", "server and login are known; the connection is made with the first mail")


def limits(settings: Settings) -> tuple[AccountLimits | None, list[Finding]]:
    """GetAccount. The workers call it as well, unless both limits are set."""
    try:
        account = read_account(_way(settings))
    except (HostUnfit, Unreachable, Misdated) as error:
        return None, [problem("GetAccount", f"this host cannot ask SES: {error}", remedies.remedy(str(error)))]
    except SendError as error:
        if settings.rate_per_second is not None and settings.quota_per_day is not None:
            remedy = "Allow ses:GetAccount: the workers can do without, this check cannot"
            return None, [note("GetAccount", str(error), remedy)]
        remedy = "Allow ses:GetAccount, or set MAILER_RATE_PER_SECOND and MAILER_QUOTA_PER_DAY"
        return None, [problem("GetAccount", str(error), remedy)]
    return account, [ok("GetAccount", "SES answers")]


def standing(account: AccountLimits) -> Iterator[Finding]:
    """Whether the account may send."""
    if account.production_access:
        yield ok("production", "production access")
    else:
        yield problem(
            "production",
            "the account is in the sandbox: only verified recipients get mail, all other becomes dead letters",
            "Request production access in the SES console of this Region",
        )
    if account.sending_enabled:
        yield ok("sending", "enabled")
    else:
        yield problem(
            "sending", "disabled for the whole account", "Enable it in the SES console, once its cause is gone"
        )
    status = account.enforcement_status
    remedy = "See the account's reputation page in the SES console, and answer AWS's case"
    if status == "HEALTHY":
        yield ok("enforcement", "healthy")
    elif status == "PROBATION":
        yield note("enforcement", "AWS reviews the account for bounces or complaints; it still sends", remedy)
    else:
        yield problem("enforcement", f"{status}: AWS has stopped the account", remedy)


def allowance(account: AccountLimits, settings: Settings) -> Iterator[Finding]:
    """The account's rate and quota, compared with the settings."""
    own = settings.rate_per_second
    if account.no_rate:
        yield problem("rate", f"{account.no_rate}: nothing is sent", NO_RATE_REMEDY)
    elif own is not None and own > account.max_send_rate:
        yield problem(
            "rate",
            f"MAILER_RATE_PER_SECOND={own:g} is above the account's {account.max_send_rate:g} a second",
            "Lower it, or unset it to follow SES: where every host sets both limits nobody asks SES, and it refuses",
        )
    else:
        used = "" if own is None else f", of which MAILER_RATE_PER_SECOND uses {own:g}"
        yield ok("rate", f"{account.max_send_rate:g} recipients a second{used}")
    quota, sent = account.max_24_hour_send, account.sent_last_24_hours
    if quota is None:
        yield ok("quota", f"none; {sent:,.0f} sent in 24 hours")
        return
    if settings.quota_per_day is not None and (settings.quota_per_day > quota or settings.quota_per_day < 0):
        yield problem(
            "quota",
            f"MAILER_QUOTA_PER_DAY={settings.quota_per_day} is above the account's {quota:,.0f}",
            "Lower it, or unset it to follow SES",
        )
    text = f"{max(0.0, quota - sent):,.0f} left of {quota:,.0f} in 24 hours"
    remedy = "Wait for the window to roll, or ask AWS for a higher quota"
    if quota <= 0:
        yield problem("quota", "SES allows this account 0 recipients in 24 hours: nothing is sent", NO_RATE_REMEDY)
    elif sent >= quota:
        yield problem("quota", text, remedy)
    elif sent >= _NEARLY * quota:
        yield note("quota", text, remedy)
    else:
        yield ok("quota", text)


def clock(account: AccountLimits) -> Iterator[Finding]:
    """This host's clock, compared with AWS's."""
    if account.ahead is not None:
        yield apart("AWS's clock", -account.ahead, "AWS's")


def sender(address: str, settings: Settings) -> Iterator[Finding]:
    """Whether this account may send from ``address``: the address itself or its domain must be verified."""
    bare = parse(address, "--from").address
    domain = bare.rpartition("@")[2]
    parents = domain.split(".")
    candidates = [bare, *(".".join(parents[first:]) for first in range(len(parents) - 1))]
    unverified = []
    for name in candidates:
        try:
            found = _asked(settings, "GetEmailIdentity", EmailIdentity=name)
        except SendError as error:
            if error.code == "NotFoundException":
                continue
            yield note("sender", f"{name}: {error}", "Allow ses:GetEmailIdentity to have it checked")
            return
        if found.get("VerifiedForSendingStatus"):
            yield ok("sender", f"{bare} may send: {name} is verified")
            yield from _dkim(name, found.get("DkimAttributes", {}))
            return
        unverified.append(name)
    what = (
        f"{' and '.join(unverified)} not verified yet"
        if unverified
        else "neither it nor its domain is an identity here"
    )
    yield problem("sender", f"{bare}: {what}", f"Verify {domain} in the SES console of this Region")


def _dkim(name: str, dkim: dict[str, Any]) -> Iterator[Finding]:
    if dkim.get("SigningEnabled") and dkim.get("Status") != "SUCCESS":
        yield note("DKIM", f"{name}: {dkim.get('Status')}", "Publish the three CNAME records that the console shows")


def configuration_set(name: str, settings: Settings) -> Iterator[Finding]:
    """Whether the configuration set exists and sends."""
    try:
        found = _asked(settings, "GetConfigurationSet", ConfigurationSetName=name)
    except SendError as error:
        if error.code == "NotFoundException":
            yield problem("configuration set", f"there is no {name} in this Region", "Create it, or correct its name")
        else:
            yield note("configuration set", f"{name}: {error}", "Allow ses:GetConfigurationSet to have it checked")
        return
    if found.get("SendingOptions", {}).get("SendingEnabled", True):
        yield ok("configuration set", f"{name} is there and sends")
    else:
        yield problem("configuration set", f"sending with {name} is disabled", "Enable it in the SES console")


def _asked(settings: Settings, operation: str, **call: str) -> dict[str, Any]:
    """SES's answer. Raises a `SendError`."""
    for _ in range(_TRIES - 1):
        try:
            return _ask(settings, operation, call)
        except RateExceeded:
            # Apart from sends, SES answers one call per second.
            time.sleep(_TRY_AGAIN_SECONDS)
    return _ask(settings, operation, call)


def _ask(settings: Settings, operation: str, call: Mapping[str, str]) -> dict[str, Any]:
    with raised_as(partial(boto_error, operation=operation)), closing(open_client(_way(settings))) as client:
        answer: dict[str, Any] = getattr(client, xform_name(operation))(**call)
        return answer


def _way(settings: Settings) -> ClientConfig:
    """The way for calls that send nothing."""
    return replace(FOR_QUESTIONS, account=settings)
