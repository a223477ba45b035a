"""This host: its settings and its limits."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping

from mailer.doctor.finding import Finding, note, ok, problem
from mailer.errors import SettingsError
from mailer.settings import MARGIN_SECONDS, Settings, strangers
from mailer.worker import environment as celery

# Open files of a worker process besides one connection to SES per send: libraries, Redis, logs, the event loop.
_OTHER_FILES = 64
_USUAL_BURST = 2.0


def names(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Variables that look like settings but are not."""
    given = [name for name in environment if name.startswith("MAILER_")]
    if found := strangers(environment):
        yield note(
            "settings",
            f"{', '.join(found)}: not a setting, so nothing reads it",
            "Correct the name (docs/reference/settings.md), or remove it",
        )
    else:
        yield ok("settings", f"{len(given)} from the environment, the rest are defaults")


def timeouts(settings: Settings) -> Iterator[Finding]:
    """The lease, compared with the maximum duration of a send."""
    margin = settings.lease_seconds - settings.send_seconds
    # If the answer to a take comes late, its leases are shorter by that time.
    late = settings.answer_seconds
    text = f"{settings.lease_seconds:g} s, {margin:g} s more than a send may take"
    if margin < min(late, 10 * MARGIN_SECONDS):
        yield note(
            "lease",
            f"{text}: messages that Redis hands out later than that are returned unsent and taken again",
            f"Set MAILER_LEASE_SECONDS to {settings.send_seconds + late:g} or more",
        )
    else:
        yield ok("lease", text)


def contradictions(settings: Settings, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Settings that disable each other."""
    if settings.smtp_url is not None and settings.transport != "smtp":
        yield note(
            "transport",
            f"MAILER_SMTP_URL is set and MAILER_TRANSPORT is {settings.transport}, so nothing uses it",
            "Set MAILER_TRANSPORT=smtp, or remove it",
        )
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    if settings.redis_sentinel_master and not url.startswith("sentinel://"):
        yield note(
            "Redis URL",
            "MAILER_REDIS_SENTINEL_MASTER is set and MAILER_REDIS_URL no sentinel:// URL, so nothing asks a sentinel",
            "Name the sentinels in MAILER_REDIS_URL, or remove it",
        )
    yield from _burst(settings.burst, settings.rate_per_second)
    yield from _celery(settings, environment)


def _celery(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        names = celery.contradictions(settings, environment)
    except SettingsError:  # the address of Redis is unknown: another check reports that
        return
    if names:
        remedy = f"Unset {' and '.join(names)} here if it was meant for mailer: it reads MAILER_REDIS_URL alone"
        yield note("Celery", celery.told(names), remedy)


def _burst(burst: float | None, rate: float | None) -> Iterator[Finding]:
    if burst is None:
        return
    unset = "unset, it is 2, or a tenth of the rate if that is more"
    if rate is not None and burst > max(_USUAL_BURST, rate):
        yield problem(
            "burst", f"MAILER_BURST={burst:g} lets out more in a second than the rate of {rate:g}", f"Lower it; {unset}"
        )
    elif burst < _USUAL_BURST:
        yield note(
            "burst",
            f"MAILER_BURST={burst:g} leaves little for permits that a worker uses late: not all of the rate is used",
            f"Raise it; {unset}",
        )


def open_files(threads: int) -> Iterator[Finding]:
    """The limit of open files, compared with the connections of a worker process."""
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = threads + _OTHER_FILES
    if limit != resource.RLIM_INFINITY and limit < needed:
        how = "ulimit -n" if hard == resource.RLIM_INFINITY or hard >= needed else "LimitNOFILE or limits.conf"
        yield problem(
            "open files",
            f"{limit:,} for each process; a worker with --threads {threads} needs about {needed:,}",
            f"Raise it with {how}, or run more processes with fewer threads",
        )
    else:
        shown = "no limit" if limit == resource.RLIM_INFINITY else f"{limit:,}"
        yield ok("open files", f"{shown} for each process; a worker with --threads {threads} needs about {needed:,}")
