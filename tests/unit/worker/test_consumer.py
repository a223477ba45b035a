"""What a worker tells people of a Redis that refuses it."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser

from mailer.worker.consumer import remedy


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("READONLY You can't write against a read only replica.", "a replica"),
        ("UNBLOCKED force unblock from blocking operation, instance state changed", "a replica"),
        ("NOPERM User producer has no permissions to run the 'evalsha' command", "a worker's user"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "more memory"),
        ("MOVED 3999 127.0.0.1:6381", "a cluster"),
        ("CLUSTERDOWN The cluster is down", "the missing nodes"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "lost its master"),
        ("NOREPLICAS Not enough good replicas to write.", "min-replicas-to-write"),
        ("MISCONF Valkey is configured to save RDB snapshots", "its disk"),
        ("BUSY Valkey is busy running a script.", "SCRIPT KILL"),
        ("UNKILLABLE Sorry the script already executed write commands", "does not end"),
    ],
)
def test_each_refusal_of_redis_has_its_remedy(words: str, part: str) -> None:
    assert part in (remedy(BaseParser.parse_error(words)) or "")
