"""The last settlements of a worker that stops, while its Redis comes and goes."""

from __future__ import annotations

import math
import socket
import threading

from pydantic import SecretStr

from mailer.queue.leases import Leases
from mailer.queue.settlement import Settlement
from mailer.queue.take import Take
from mailer.settings import Settings
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from mailer.worker.lifecycle import LastFlush
from tests.support.account import SENT, Account
from tests.support.servers import RawServer

WORKER = "w1@web-3"


def holding_one(settings: Settings) -> tuple[Account, Leases, str]:
    """An account, a process that holds its only message, and the message's tag."""
    account, leases = Account(settings), Leases()
    account.allow(rate=1000)
    account.put("transactional")
    _, (tag,) = leases.ask(account.client, Take(account.keys, settings), 1, settings.lanes)
    return account, leases, tag


def test_it_waits_for_the_flush_under_way_and_repeats_it(settings: Settings, valkey: Valkey) -> None:
    """Its connection leads nowhere, and the process would end while what it carries seems to be sent."""
    account, leases, tag = holding_one(settings)
    leases.start(tag)

    first = threading.Event()

    def serve(client: socket.socket) -> None:
        if not first.is_set():
            first.set()
            while client.recv(65536):
                continue
            return
        with socket.create_connection(("127.0.0.1", valkey.port)) as server:
            threading.Thread(target=_copy, args=(server, client), daemon=True).start()
            _copy(client, server)

    with RawServer(serve) as nowhere:
        url = SecretStr(f"redis://127.0.0.1:{nowhere.port}/0")
        flush = LastFlush(settings.model_copy(update={"redis_url": url, "redis_timeout_seconds": 1.0}), leases)
        leases.settle(tag, SENT)
        flush.start()
        until(first.is_set, "the flush is under way")
        flush.stop(WORKER)
        assert account.client.zcard(account.keys.leases) == 0
    account.client.close()


def test_a_worker_that_ends_is_named_no_more_as_one_that_cannot_send(settings: Settings) -> None:
    account, leases, tag = holding_one(settings)
    flush = LastFlush(settings, leases)
    flush.start()
    # Its last try ends while it stops.
    assert leases.fitness.failed(math.inf)
    leases.settle(tag, Settlement("unfit", WORKER, "ExpiredTokenException: expired"))
    until(lambda: account.client.hexists(account.keys.hosts, WORKER), "it is named")
    flush.stop(WORKER)
    assert not account.client.exists(account.keys.hosts)
    assert account.length("transactional") == 1
    account.client.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
