"""The account's queue: whether it moves, and whether a worker serves it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import redis

from mailer.doctor.finding import Finding, note, ok, problem
from mailer.operations.status import AccountStatus
from mailer.queue.headers import TASK
from mailer.queue.keys import PRIORITY_SEPARATOR, Keys
from mailer.queue.status import foreign_keys
from mailer.settings import Settings
from mailer.worker.app import Application


def state(status: AccountStatus) -> Iterator[Finding]:
    """Whether the account sends."""
    waiting = f"{status.waiting:,} messages wait" if status.waiting != 1 else "1 message waits"
    if status.state == "paused":
        yield problem("account", f"{status.account} is paused: {status.reason}; {waiting}", "Run `mailer resume`")
    elif status.state == "stopped":
        remedy = "Mend that in SES; sending goes on by itself, or at once with `mailer resume`"
        yield problem("account", f"SES has stopped {status.account}: {status.reason}; {waiting}", remedy)
    elif status.state == "parked":
        yield note("account", f"{status.account} is parked by its quota; {waiting}", "It goes on by itself")
    elif status.state == "unknown":
        yield note(
            "account",
            f"{status.account}: no worker has written down its limits yet, and nothing is sent before; {waiting}",
            "Start a worker; if one runs, its log says why it could not read them",
        )
    elif status.state == "resting":
        remedy = "Mend one of the hosts below; its workers notice by themselves within half a minute"
        yield problem("account", f"no host can send for {status.account}; {waiting}", remedy)
    elif status.state == "unserved":
        remedy = (
            "Start a worker that serves them; to one that was told to leave a lane: celery control add_consumer LANE"
        )
        yield problem("account", f"{status.account}: {status.reason}; {waiting}", remedy)
    else:
        yield ok("account", f"{status.account} is sending; {waiting}")
    yield from hosts(status)
    for lane in status.lanes:
        if lane.paused is not None:
            yield note(f"lane {lane.name}", f"paused: {lane.paused}", f"Run `mailer resume --lane {lane.name}`")
    if status.overdue:
        yield note(
            "leases",
            f"{status.overdue:,} messages are past their lease: no worker has asked since",
            "Start a worker",
        )


def hosts(status: AccountStatus) -> Iterator[Finding]:
    """The hosts that cannot send, each with its remedy."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in status.hosts:
        alike.setdefault((each.host, each.why, each.remedy), []).append(each.worker)
    for (host, why, remedy), names in alike.items():
        who = ", ".join(names)
        yield problem(f"host {host}", f"{who} cannot send: {why}", f"{remedy}. `mailer doctor` there tells more")


def limits(status: AccountStatus, settings: Settings) -> Iterator[Finding]:
    """Whether all hosts agree on the account's limits."""
    remedy = "Give every host the same. `mailer rate` sets one rate for all at once"
    for difference in status.differences:
        yield problem("settings", str(difference), remedy)
    rate, own = status.rate, settings.rate_per_second
    if own is not None and rate.source == "settings" and rate.per_second not in (None, own):
        text = f"MAILER_RATE_PER_SECOND here is {own:g}, and the {rate.per_second:g} of {rate.source_host} holds"
        yield problem("limits", text, remedy)


def keys(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Keys of the account that another program wrote, and the rest of an old layout."""
    names = Keys.of(settings)
    for text in foreign_keys(client, names, settings.lanes):
        what, _, remedy = text.partition(": ")
        yield problem("keys", what, remedy)
    if left := [key.decode(errors="replace") for key in client.scan_iter(f"{names.prefix}@*", count=1000)]:
        yield problem(
            "keys",
            f"{len(left)} are left of an old layout, {min(left)} for one: nobody reads them",
            "With all workers stopped rename each from `:@` to `@`, or delete them",
        )


def strays(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Mail that a producer on stock Celery has put into a queue that is not a lane."""
    keys = Keys.of(settings)
    for key in client.scan_iter(f"{keys.prefix}*", count=1000, _type="list"):
        name = key.decode(errors="replace").removeprefix(keys.prefix).partition(PRIORITY_SEPARATOR)[0]
        if name in settings.lanes or f'"{TASK}"'.encode() not in (client.lindex(key, -1) or b""):
            continue
        yield problem(
            f"queue {name}",
            f"{client.llen(key):,} messages lie there, and it is no lane: nobody reads them",
            f"Have producers name one of {', '.join(settings.lanes)}, or add {name} to MAILER_LANES on every host",
        )


def workers(settings: Settings, seconds: float) -> Iterator[Finding]:
    """The workers that answer within ``seconds``, and the lanes they serve."""
    served = _served(settings, seconds)
    if not served:
        yield problem(
            "workers",
            f"none on any host answers within {seconds:g} s",
            "Start `mailer worker`; if one runs, see its log: it may be stuck, or work for another account or Redis",
        )
        return
    hosts = sorted({name.partition("@")[2] for name in served})
    yield ok("workers", f"{len(served)} answer{'s' if len(served) == 1 else ''}, on {', '.join(hosts)}")
    for lane in settings.lanes:
        by = sum(1 for lanes in served.values() if lane in lanes)
        if by:
            yield ok(f"lane {lane}", f"served by {by} of them")
        else:
            yield problem(f"lane {lane}", "served by nobody", f"Start a worker without --lane, or with --lane {lane}")


def _served(settings: Settings, seconds: float) -> dict[str, set[str]]:
    """The queues of each worker that answers in time."""
    # Celery's remote control warns of workers with the same name. That does not matter here.
    logging.getLogger("celery.app.control").setLevel(logging.CRITICAL)
    with Application(settings) as app:
        found = app.control.inspect(timeout=seconds).active_queues() or {}
    return {worker: {queue["name"] for queue in queues} for worker, queues in found.items()}
