"""Each way to break things, by name."""

from __future__ import annotations

from ops.soak.faults import (
    clock,
    connections,
    credentials,
    half_open,
    host,
    hostile,
    hosts,
    kill,
    quota,
    redis,
    restart,
    sentinel,
    ses,
    stall,
    stop,
    suspects,
    unreachable,
)
from ops.soak.trial import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        kill.FAULT,
        stall.FAULT,
        stop.FAULT,
        suspects.FAULT,
        connections.FAULT,
        restart.RESTART,
        restart.AWAY,
        restart.EVERYSEC,
        half_open.FAULT,
        hosts.FAULT,
        hostile.FAULT,
        clock.FAULT,
        host.FAULT,
        unreachable.FAULT,
        credentials.ROTATED,
        credentials.SHORT_LIVED,
        ses.FAULT,
        quota.FAULT,
        redis.FULL,
        redis.READ_ONLY,
        redis.FORGETFUL,
        redis.SLOW,
        sentinel.SENTINEL,
        sentinel.BARE,
        sentinel.UNCONFIRMED,
    )
}
