"""The Redis server: whether it keeps its data, and serves this user in time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from mailer.doctor.finding import Finding, note, ok, problem
from mailer.queue.connection import redis_url
from mailer.queue.keys import Keys
from mailer.settings import Settings

Info = Mapping[str, Any]
"""The reply to INFO."""

_OLDEST = {"Redis": (7, 2), "Valkey": (8, 0)}
_SENDABLE_BYTES = 64 * 1024 * 1024
_PINGS = 15
_SLOW_SECONDS, _TOO_SLOW_SECONDS = 0.02, 0.2
_OFF_SECONDS, _TOO_FAR_OFF_SECONDS = 2.0, 300.0


def version(info: Info) -> Iterator[Finding]:
    name = "Valkey" if "valkey_version" in info else "Redis"
    number = str(info.get("valkey_version") or info.get("redis_version", "0"))
    oldest = _OLDEST[name]
    if tuple(int(part) for part in number.split(".")[:2] if part.isdigit()) < oldest:
        yield problem(
            "version",
            f"{name} {number}",
            "Upgrade to Redis 7.2 or Valkey 8, or later: the scripts need what came with these",
        )
    else:
        yield ok("version", f"{name} {number}")


def role(info: Info) -> Iterator[Finding]:
    """Whether the server is a primary, alone or with replicas, and not a cluster."""
    if int(info.get("cluster_enabled", 0)):
        yield problem(
            "role",
            "a node of a cluster, which answers for its own slots only",
            "Use a server that is no cluster, or one cluster node that has all slots through a proxy",
        )
        return
    if info.get("role") != "master":
        yield problem(
            "role",
            f"a replica of {info.get('master_host', 'another server')}, which takes no writes",
            "Point MAILER_REDIS_URL at the primary, or at the sentinels that know it",
        )
        return
    yield ok("role", "primary")


def replicas(info: Info, least: int | None, settings: Settings) -> Iterator[Finding]:
    """Mail that a failover to a replica would lose, and mail that it would send twice. ``least`` is
    min-replicas-to-write, or None if it could not be read.
    """
    count, wanted = int(info.get("connected_slaves", 0)), settings.redis_replicas
    follow = f"{count} {'follows' if count == 1 else 'follow'}"
    if wanted > count:
        yield problem(
            "replicas",
            f"MAILER_REDIS_REPLICAS is {wanted}, and {follow}: nothing is accepted and nothing is sent",
            "Start the replicas again, or lower MAILER_REDIS_REPLICAS",
        )
    if not count and not redis_url(settings).startswith("sentinel://"):
        return
    if least is None:
        yield note(
            "replicas",
            f"{follow}; min-replicas-to-write could not be read",
            "Allow this user `+config|get`, or see yourself that it is 1 or more, and min-replicas-max-lag 10",
        )
    elif not least:
        yield problem(
            "replicas",
            f"{follow}, and min-replicas-to-write is off: after a failover the old primary takes mail that is lost",
            "On every server: CONFIG SET min-replicas-to-write 1 min-replicas-max-lag 10, then CONFIG REWRITE",
        )
    else:
        yield ok("replicas", f"{follow}, and min-replicas-to-write is {least}")
    if not wanted:
        # min-replicas-to-write does not help in a planned failover: the second replica still follows the old primary.
        yield problem(
            "replicas",
            f"{follow}, and MAILER_REDIS_REPLICAS is 0: a failover loses what was accepted in its last moment, and "
            "sends again what was sent in it, with min-replicas-to-write too",
            "Set MAILER_REDIS_REPLICAS=1 on every host, producers and workers"
            + ("" if count else ", once a replica follows: before that it stops all mail"),
        )


def memory(info: Info) -> Iterator[Finding]:
    """Whether Redis evicts nothing and has room."""
    policy, limit, used = str(info["maxmemory_policy"]), int(info["maxmemory"]), int(info["used_memory"])
    if policy != "noeviction":
        text = f"maxmemory-policy {policy} throws mail away" + ("" if limit else " as soon as a maxmemory is set")
        remedy = "Set maxmemory-policy noeviction: a full queue must refuse, not forget"
        yield problem("eviction", text, remedy) if limit else note("eviction", text, remedy)
    else:
        yield ok("eviction", "maxmemory-policy noeviction")
    whole = limit or int(info.get("total_system_memory", 0))
    if not whole:
        return
    text = f"{used / 1e6:,.0f} MB used of {whole / 1e6:,.0f} MB ({'maxmemory' if limit else 'the machine has'})"
    remedy = "Raise maxmemory, or see what waits with `mailer status`: a message takes about 1 KB"
    if used >= 0.95 * whole:
        yield problem("memory", text, remedy)
    elif used >= 0.75 * whole:
        yield note("memory", text, remedy)
    else:
        yield ok("memory", text)


def largest(client: redis.Redis) -> Iterator[Finding]:
    """The largest message that somebody could store. Redis blocks while it moves one."""
    try:
        most = int(client.config_get("proto-max-bulk-len")["proto-max-bulk-len"] or 0)
    except (redis.exceptions.ResponseError, LookupError):
        return
    if most > _SENDABLE_BYTES:
        yield note(
            "sizes",
            f"proto-max-bulk-len is {most / 1e6:,.0f} MB: who enqueues so much at once holds all others up",
            "CONFIG SET proto-max-bulk-len 64mb, then CONFIG REWRITE: SES takes nothing larger",
        )
    else:
        yield ok("sizes", f"proto-max-bulk-len is {most / 1e6:,.0f} MB")


def persistence(info: Info, fsync: str | None) -> Iterator[Finding]:
    """Whether the data survives a restart. ``fsync`` is appendfsync, or None if this user may not read it."""
    if int(info.get("loading", 0)):
        yield problem("persistence", "the server is still loading its data", "Wait for it")
        return
    if not int(info.get("aof_enabled", 0)):
        yield problem(
            "persistence",
            "appendonly no: what is queued is lost, or sent twice, when the server ends",
            "Set appendonly yes and appendfsync everysec",
        )
    elif fsync == "no":
        yield problem(
            "persistence",
            "appendfsync no: a power cut loses what the system had not written, up to half a minute",
            "Set appendfsync everysec or always",
        )
    elif fsync is None:
        yield note(
            "persistence",
            "append-only file; appendfsync could not be read",
            "Allow this user `+config|get`, or see yourself that it is everysec or always",
        )
    elif fsync == "everysec":
        yield ok("persistence", "append-only file, appendfsync everysec: a power cut costs up to a second")
    else:
        yield ok("persistence", f"append-only file, appendfsync {fsync}")
    for field, what in (
        ("aof_last_write_status", "the append-only file"),
        ("aof_last_bgrewrite_status", "the append-only file anew"),
        ("rdb_last_bgsave_status", "the snapshot"),
    ):
        if info.get(field, "ok") != "ok":
            yield problem(
                "persistence",
                f"the last time it wrote {what} failed ({field}: {info[field]}); it may refuse every write",
                "See the server's log: most often its disk is full",
            )


def latency(client: redis.Redis) -> Iterator[Finding]:
    """Time a few round trips. A message takes about three."""
    seconds = []
    for _ in range(_PINGS):
        start = time.perf_counter()
        client.ping()
        seconds.append(time.perf_counter() - start)
    middle, worst = statistics.median(seconds), max(seconds)
    text = f"{middle * 1000:.1f} ms, at worst {worst * 1000:.1f} ms of {_PINGS}"
    remedy = "Run the workers near Redis: permits that arrive late are given back"
    if middle > _TOO_SLOW_SECONDS:
        yield problem("latency", text, remedy)
    elif middle > _SLOW_SECONDS:
        yield note("latency", text, remedy)
    else:
        yield ok("latency", text)


def clock(client: redis.Redis) -> Iterator[Finding]:
    """This host's clock, compared with Redis's."""
    before = time.time()
    seconds, microseconds = client.time()
    yield apart("clock", (before + time.time()) / 2 - (seconds + microseconds / 1e6), "Redis's")


def apart(about: str, ahead: float, whose: str) -> Finding:
    """The finding for a host clock that is ``ahead`` seconds of another."""
    if abs(ahead) < _OFF_SECONDS:
        return ok(about, f"within {max(0.1, math.ceil(abs(ahead) * 10) / 10):g} s of {whose}")
    text = f"this host's clock is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} {whose}"
    remedy = "Keep both in time (NTP): mail goes out all the same, other programs' calls to AWS do not"
    if abs(ahead) < _TOO_FAR_OFF_SECONDS:
        return note(about, text, "Keep both in time (NTP); send_at and expires_at go by Redis's clock")
    return problem(about, text, remedy)


# Each command has the minimum of keys and arguments that makes it legal. The keys are the account's.
COMMANDS = (
    *("BLPOP KEY 1", "BRPOP KEY 1", "DEL KEY", "EXISTS KEY", "GET KEY", "HDEL KEY f", "HEXISTS KEY f", "HGET KEY f"),
    *("HGETALL KEY", "HINCRBY KEY f 1", "HLEN KEY", "HMGET KEY f", "HSET KEY f 1", "HSETNX KEY f 1"),
    *("HSCAN KEY 0", "INCR KEY", "LLEN KEY", "LMOVE KEY KEY LEFT RIGHT", "LPUSH KEY 1", "LRANGE KEY 0 1"),
    *(
        "HSTRLEN KEY f",
        "LREM KEY 1 m",
        "LTRIM KEY 0 1",
        "PEXPIREAT KEY 1",
        "RPUSH KEY 1",
        "SADD KEY 1",
        "SET KEY 1",
    ),
    *("SMEMBERS KEY", "SREM KEY 1", "UNLINK KEY", "ZADD KEY 1 m"),
    *("ZCARD KEY", "ZCOUNT KEY 1 2", "ZRANGE KEY 0 1", "ZRANGEBYSCORE KEY 1 2", "ZREM KEY m", "ZSCAN KEY 0"),
    *("ZREVRANGE KEY 0 1", "ZREVRANGEBYSCORE KEY 2 1", "ZSCORE KEY m", "EVALSHA sha 1 KEY", "INFO", "MULTI", "EXEC"),
    *("PING", "TIME"),
    *("PUBLISH KEY m", "SUBSCRIBE KEY", "PSUBSCRIBE KEY*"),
)
_ASK_RIGHTS = """
local refused = {}
for i = 1, #ARGV do
  local command = {}
  for word in string.gmatch(ARGV[i], '%S+') do
    local filled = string.gsub(word, 'KEY', function() return KEYS[1] end)
    command[#command + 1] = filled
  end
  if not redis.acl_check_cmd(unpack(command)) then refused[#refused + 1] = string.match(ARGV[i], '%S+') end
end
return refused
"""


_ASK_LANE = """
return {redis.acl_check_cmd('LPUSH', ARGV[1], '1') and 1 or 0, redis.acl_check_cmd('RPOP', ARGV[1]) and 1 or 0}
"""


def only_enqueues(client: redis.Redis, settings: Settings) -> bool:
    """Whether this user may put mail into a lane but take none out, like a producer's user."""
    try:
        return bool(client.eval(_ASK_LANE, 0, Keys.of(settings).lane(settings.lanes[-1])) == [1, 0])
    except redis.exceptions.RedisError:
        return False


def enqueuing() -> Finding:
    """The finding about the rights of a producer's user."""
    return note(
        "rights",
        "this user may only enqueue, as a producer's should: the account, the queue and the workers are not looked at",
        "Look at those with the operator's user (docs/operate/deploy.md), and give this one no more rights",
    )


def rights(client: redis.Redis, settings: Settings) -> Iterator[Finding]:
    """Whether this user may run the commands of workers and producers. The server answers without running them."""
    keys = Keys.of(settings)
    wanted = f"~{settings.key_prefix}* &* +@all -@admin -@dangerous +info"
    remedy = f"Give the user of workers and operators `{wanted}`; a producer's needs less (docs/operate/deploy.md)"
    try:
        refused = client.eval(_ASK_RIGHTS, 1, keys.account, *COMMANDS)
    except redis.exceptions.NoPermissionError as error:
        yield problem("rights", f"this user may not run scripts on keys under {keys.prefix}: {error}", remedy)
        return
    if refused:
        missing = ", ".join(sorted({each.decode() for each in refused}))
        yield problem("rights", f"this user may not {missing} (with keys under {keys.prefix})", remedy)
    else:
        yield ok("rights", f"all that is needed, on keys under {keys.prefix}")


def fsync_policy(client: redis.Redis) -> str | None:
    """appendfsync, or None if this user may not read it."""
    try:
        return client.config_get("appendfsync").get("appendfsync")
    except redis.exceptions.ResponseError:
        return None


def least_replicas(client: redis.Redis) -> int | None:
    """min-replicas-to-write: 0 if it is off, None if this user may not read it."""
    try:
        found = client.config_get("min-replicas-*")
    except redis.exceptions.ResponseError:
        return None
    return int(found["min-replicas-to-write"] or 0) if int(found["min-replicas-max-lag"] or 0) else 0
