"""The hosts' settings that concern their common account, and the differences between them.

Each worker process writes its settings to the hash `Keys.wishes`. ``limits.lua`` decides which of them hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mailer.queue.number import number_or
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
class Wish:
    """The settings of one worker process, or of several processes of one host with equal settings.

    ``at`` is when one of them last wrote its settings, epoch seconds on Redis's clock. ``says`` are the settings that
    concern the account, by their names; None means not set.
    """

    host: str
    at: float
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


def wish_of(settings: Settings) -> str:
    """The JSON that this process writes for its settings."""
    says: dict[str, Any] = {name: getattr(settings, name) for name in _NAMES}
    says["on_unknown"] = {lane: settings.unknown_policy(lane) for lane in settings.lanes}
    said = {name: value for name, value in says.items() if value is not None}
    return json.dumps(said)


def new_process(host: str) -> str:
    """A name for this process: its host's name, and a part that no other process there has."""
    return f"{host}:{os.urandom(4).hex()}"


def read(living: Iterable[tuple[str, str, str]]) -> tuple[Wish, ...]:
    """The wishes of processes, sorted by host; equal wishes of one host become one.

    Each of ``living`` is a process, its JSON, and when it wrote that (epoch microseconds).
    """
    found: dict[str, Wish] = {}
    for process, text, at in living:
        try:
            said = dict(json.loads(text))
        except (ValueError, TypeError, RecursionError):
            continue
        wish = Wish(host_of(process), number_or(0, at) / 1e6, {name: said.get(name) for name in _NAMES})
        key = json.dumps([wish.host, *wish.says.values()])
        if key not in found or found[key].at < wish.at:
            found[key] = wish
    return tuple(found[key] for key in sorted(found))


def host_of(process: str) -> str:
    """The host in a process name that `new_process` made."""
    return process.rpartition(":")[0]


def differences(wishes: Iterable[Wish]) -> tuple[Difference, ...]:
    """The settings that differ between ``wishes``."""
    found = []
    for name in _NAMES:
        hosts: dict[str, dict[str, None]] = {}
        for wish in wishes:
            hosts.setdefault(_shown(wish.says[name]), {})[wish.host] = None
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
