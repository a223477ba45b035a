"""A real master, its replicas, and the sentinels that watch them. A trial kills, stops and commands them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from mailer.host.valkey import binary
from mailer.testbed.process import Process
from mailer.testbed.valkey import Valkey, durable
from mailer.testbed.waiting import free_port, until

NAME = "post"


class Sentinel(Process):
    """One of the three sentinels."""

    def __init__(self, folder: Path, master: Valkey, *, down_after_ms: int, quorum: int) -> None:
        self.port = free_port()
        folder.mkdir()
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {master.port} {quorum}\n"
            f"sentinel down-after-milliseconds {NAME} {down_after_ms}\n"
            f"sentinel failover-timeout {NAME} {max(3000, 6 * down_after_ms)}\n",
            encoding="utf-8",
        )
        super().__init__([binary(), str(config), "--sentinel"], folder / "sentinel.log")

    def ask(self, *command: str) -> Any:
        with redis.Redis(port=self.port, protocol=2, socket_timeout=5) as client:
            return client.execute_command("SENTINEL", *command)


class Watched:
    """One master, its replicas and three sentinels. A context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        replicas: int = 2,
        fsync: str = "always",
        options: Sequence[str],
        down_after_ms: int = 1000,
    ) -> None:
        self.servers: list[Valkey] = []
        for number in range(1 + replicas):
            own = folder / f"server-{number}"
            own.mkdir()
            quick = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
            self.servers.append(Valkey(own, *durable(fsync), *quick, *options))
        self.sentinels = [
            Sentinel(folder / f"sentinel-{number}", self.servers[0], down_after_ms=down_after_ms, quorum=2)
            for number in range(3)
        ]
        self.url = ";".join(f"sentinel://127.0.0.1:{each.port}" for each in self.sentinels) + "/0"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for each in self.servers:
                stack.enter_context(each)
            for each in self.servers[1:]:
                order(each, "REPLICAOF", "127.0.0.1", str(self.servers[0].port))
            until(lambda: self.replicas_of(self.servers[0]) == len(self.servers) - 1, "the replicas follow")
            for sentinel in self.sentinels:
                stack.enter_context(sentinel)
            until(self._is_known, "the sentinels know each other and the replicas")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def master(self) -> Valkey:
        """The server that the sentinel with the newest configuration names."""
        named: list[tuple[int, int]] = []
        for sentinel in self.sentinels:
            state = sentinel.ask("MASTER", NAME)
            known = dict(zip(state[::2], state[1::2], strict=True))
            _, port = sentinel.ask("GET-MASTER-ADDR-BY-NAME", NAME)
            named.append((int(known[b"config-epoch"]), int(port)))
        return next(each for each in self.servers if each.port == max(named)[1])

    def promoted(self, old: Valkey) -> Valkey | None:
        """A server other than ``old`` with the role of a master, or None."""
        for each in self.servers:
            if each is not old and each.running and _info(each).get("role") == "master":
                return each
        return None

    def until_promoted(self, old: Valkey) -> Valkey:
        """Wait until a server other than ``old`` is a master, and return it."""
        promoted = until(lambda: self.promoted(old), "a replica is promoted")
        assert promoted is not None
        return promoted

    def until_used(self, server: Valkey) -> float:
        """Wait until a client has run a script on ``server``. Returns the seconds."""
        start = time.monotonic()
        before = _scripts(server)
        until(lambda: _scripts(server) > before, "a client runs a script on the new master")
        return time.monotonic() - start

    def fail_over(self) -> None:
        """Order a failover, as for planned work. After a failover a sentinel refuses another one for a while."""
        until(self._orders_it, "a sentinel begins a failover")

    def until_whole(self, *, hasten: bool = False) -> None:
        """Wait until all sentinels name the same master and every running server follows it. With ``hasten``, order
        former masters to follow; the sentinels do so only after ten seconds."""
        until(self._agree, "the sentinels agree")
        if hasten:
            master = self.master
            for each in self.servers:
                if each is not master and each.running:
                    order(each, "REPLICAOF", "127.0.0.1", str(master.port))
        until(self._is_whole, "every server follows the master")

    def replicas_of(self, server: Valkey) -> int:
        info = _info(server)
        links = [info.get(f"slave{number}", {}) for number in range(int(info.get("connected_slaves", 0)))]
        return sum(1 for link in links if link.get("state") == "online")

    def _orders_it(self) -> bool:
        try:
            self.sentinels[0].ask("FAILOVER", NAME)
        except redis.exceptions.ResponseError:
            return False
        return True

    def _is_known(self) -> bool:
        try:
            states = [sentinel.ask("MASTER", NAME) for sentinel in self.sentinels]
        except redis.exceptions.ConnectionError:
            return False
        known = [dict(zip(state[::2], state[1::2], strict=True)) for state in states]
        replicas = len(self.servers) - 1
        return all(
            int(each[b"num-slaves"]) == replicas and int(each[b"num-other-sentinels"]) == len(self.sentinels) - 1
            for each in known
        )

    def _named(self) -> set[int]:
        return {int(sentinel.ask("GET-MASTER-ADDR-BY-NAME", NAME)[1]) for sentinel in self.sentinels}

    def _agree(self) -> bool:
        return len(self._named()) == 1

    def _is_whole(self) -> bool:
        named = self._named()
        running = [each for each in self.servers if each.running]
        masters = [each for each in running if _info(each).get("role") == "master"]
        return [each.port for each in masters] == list(named) and self.replicas_of(masters[0]) == len(running) - 1


def order(server: Valkey, *command: str) -> None:
    """Run a command on ``server``. The command may run twice."""
    with _patient(server) as client:
        client.execute_command(*command)


def _patient(server: Valkey) -> redis.Redis:
    """A client that retries, as a sentinel closes a server's client connections when it changes the server's role."""
    return server.client(retry=Retry(ConstantBackoff(0.05), 100))


def _info(server: Valkey) -> dict[str, Any]:
    try:
        with server.client(socket_timeout=0.5) as client:
            return dict(client.info("replication"))
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
        return {}


def _scripts(server: Valkey) -> int:
    with _patient(server) as client:
        stats: dict[str, Any] = client.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))
