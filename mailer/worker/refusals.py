"""Remedies for people where Redis refuses a worker."""

from __future__ import annotations

from redis import exceptions

OTHERWISE = "`mailer doctor` tells what it misses of this server"
_REPLICA = "It is a replica: have MAILER_REDIS_URL name the master, or the sentinels that know it"
_BY_KIND: tuple[tuple[type[exceptions.ResponseError], str], ...] = (
    (exceptions.ReadOnlyError, _REPLICA),
    (
        exceptions.NoPermissionError,
        "Use a worker's user (README, Settings): a producer's may only enqueue. `mailer doctor` names what one lacks",
    ),
    (
        exceptions.OutOfMemoryError,
        "Give it more memory, or drop what is not needed: `mailer dead`, `held`, `scheduled`",
    ),
    (exceptions.MovedError, "It is a node of a cluster: name a server that has all of the keys"),
)
_BY_CODE = {
    # Redis ends a wait for the doorbell with this code when the master becomes a replica.
    "UNBLOCKED": _REPLICA,
    "NOREPLICAS": "Too few of its replicas are connected for its min-replicas-to-write: bring them back",
    "MISCONF": "It cannot save to its disk: make room there, or see its log",
    "MASTERDOWN": "It is a replica that has lost its master: have MAILER_REDIS_URL name the master",
    "CLUSTERDOWN": "Its cluster is down: bring the missing nodes back",
    "BUSY": "A script runs in it and does not end: SCRIPT KILL ends it",
    "UNKILLABLE": "A script runs in it and does not end",
}


def remedy(refused: exceptions.ResponseError) -> str:
    """The remedy for a person; empty for an unknown refusal."""
    for kind, words in _BY_KIND:
        if isinstance(refused, kind):
            return words
    return _BY_CODE.get(str(refused).partition(" ")[0], "")
