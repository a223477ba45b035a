"""The account's sending limits: each host's settings and SES's answer, written in Redis for all workers.

Each worker process writes its settings to the hash `Keys.wishes`. ``limits.lua`` decides which limits hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis

from mailer.document import Moment
from mailer.errors import InvalidRequest
from mailer.queue.keys import Keys
from mailer.queue.layout import microseconds
from mailer.queue.number import number_or
from mailer.queue.pause import now_and_end
from mailer.queue.queue import translated
from mailer.queue.script import script
from mailer.rules import Rules
from mailer.settings import Settings

_DECIDED = {
    "rate_per_second": "the lowest holds",
    "quota_per_day": "the lowest holds",
    "rate_headroom": "the largest holds",
    "burst": "the lowest holds",
    "quota_reserve": "the largest holds",
}
_NAMES = (*_DECIDED, *Rules.model_fields)


@dataclass(frozen=True, slots=True)
class SesLimits:
    """SES's answer about the account.

    ``rate`` is in recipients per second. ``quota`` is in recipients per 24 hours (-1: no quota). ``sent`` is the number
    of recipients that SES counts in the last 24 hours (None: not said). ``allows``: whether the account may send.
    """

    rate: float
    quota: float
    sent: float | None = None
    allows: bool = True


def write(client: redis.Redis, settings: Settings, process: str, ses: SesLimits | None = None, **shown: object) -> None:
    """Write the settings of ``process``, and SES's answer if SES was asked.

    Every worker's next take obeys the resulting limits. ``process`` is a name from `new_process`.
    ``shown`` are further fields for ``mailer status``. Raises redis-py's errors.
    """
    arguments: list[object] = ["wish", process, settings_text(settings)]
    if ses is not None:
        sent = "" if ses.sent is None else int(ses.sent)
        arguments += ("ses", repr(float(ses.rate)), int(ses.quota), sent, int(ses.allows))
    for field, value in shown.items():
        arguments += ("show", field, int(value) if isinstance(value, bool) else value)
    _run(client, Keys.of(settings), arguments)


def unanswered(client: redis.Redis, settings: Settings, process: str, why: str) -> None:
    """SES did not answer ``process`` about the limits: another process may ask at once. Raises redis-py's errors."""
    _run(client, Keys.of(settings), ["unanswered", process, why])


def forget(client: redis.Redis, settings: Settings, process: str) -> None:
    """``process`` has ended: its settings count no more. Raises redis-py's errors."""
    _run(client, Keys.of(settings), ["gone", process])


def set_rate(
    client: redis.Redis,
    keys: Keys,
    per_second: float,
    *,
    until: datetime | timedelta | None = None,
    reason: str = "",
    by: str = "",
) -> datetime | None:
    """Make all hosts send ``per_second`` recipients a second, whatever their settings say; returns when that ends.

    The next take of every worker obeys it, also after restarts. `reset_rate` ends it. With ``until`` (an aware
    datetime, or a timedelta from now) it also ends by itself then, on Redis's clock. If SES is asked for its limits,
    SES's rate is never exceeded. Raises InvalidRequest and QueueUnavailable.
    """
    if not 0 < per_second < float("inf"):
        raise InvalidRequest("rate: is not above 0. To send nothing, pause")
    _, end = now_and_end(client, until)
    with translated("write", "changed"):
        _run(client, keys, ["set", repr(float(per_second)), "" if end is None else microseconds(end), by, reason])
    return end


def reset_rate(client: redis.Redis, keys: Keys) -> bool:
    """End the rate that a person set; returns whether there was one. Raises QueueUnavailable."""
    with translated("write", "changed"):
        was_set = client.hexists(keys.account, "set_rate")
        _run(client, keys, ["reset"])
    return bool(was_set)


def _run(client: redis.Redis, keys: Keys, arguments: list[object]) -> None:
    script("limits").run(client, [keys.account, keys.quota, keys.wishes], arguments)


@dataclass(frozen=True, slots=True)
class HostSettings:
    """The settings of one worker process, or of several processes of one host with equal settings.

    ``at`` is when one of them last wrote its settings, on Redis's clock. ``says`` are the settings that
    concern the account, by their names; None means not set.
    """

    host: str
    at: Moment
    says: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that differs between hosts: its ``values``, each with its hosts. ``holds`` says which value holds."""

    variable: str
    values: tuple[tuple[str, tuple[str, ...]], ...]
    holds: str

    def __str__(self) -> str:
        values = ", ".join(f"{value} on {_listed(hosts)}" for value, hosts in self.values)
        return f"{self.variable} is {values}: {self.holds}"


def settings_text(settings: Settings) -> str:
    """The JSON that this process writes for its settings."""
    says: dict[str, Any] = {name: getattr(settings, name) for name in _NAMES}
    says["on_unknown"] = {lane: settings.unknown_policy(lane) for lane in settings.lanes}
    return json.dumps({name: value for name, value in says.items() if value is not None})


def new_process(host: str) -> str:
    """A name for this process: its host's name, and a part that no other process there has."""
    return f"{host}:{os.urandom(4).hex()}"


def read_settings(living: Iterable[tuple[str, str, str]]) -> tuple[HostSettings, ...]:
    """The settings of processes, sorted by host; equal settings of one host become one.

    Each of ``living`` is a process, its JSON, and when it wrote that (epoch microseconds).
    """
    found: dict[str, HostSettings] = {}
    for process, text, at in living:
        try:
            said = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            continue
        its = HostSettings(host_of(process), number_or(0, at) / 1e6, {name: said.get(name) for name in _NAMES})
        key = json.dumps([its.host, *its.says.values()])
        if key not in found or found[key].at < its.at:
            found[key] = its
    return tuple(found[key] for key in sorted(found))


def host_of(process: str) -> str:
    """The host in a process name that `new_process` made."""
    return process.rpartition(":")[0]


def differences(hosts_settings: Iterable[HostSettings]) -> tuple[Difference, ...]:
    """The settings that differ between ``hosts_settings``."""
    found = []
    for name in _NAMES:
        hosts: dict[str, dict[str, None]] = {}
        for each in hosts_settings:
            hosts.setdefault(_shown(each.says[name]), {})[each.host] = None
        if len(hosts) > 1:
            values = tuple((value, tuple(names)) for value, names in sorted(hosts.items()))
            variable = "MAILER_ON_UNKNOWN_<LANE>" if name == "on_unknown" else f"MAILER_{name.upper()}"
            found.append(Difference(variable, values, _DECIDED.get(name, "each host goes by its own")))
    return tuple(found)


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, dict):
        return ",".join(f"{key}={each}" for key, each in sorted(value.items()))
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _listed(hosts: tuple[str, ...]) -> str:
    shown = 3
    return ", ".join(hosts[:shown]) + (f" and {len(hosts) - shown} more" if len(hosts) > shown else "")
