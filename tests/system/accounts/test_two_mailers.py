"""Two accounts in one process: each has its own producer, worker, leases, limits, Region, credentials and end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import mailer
from mailer.operations.status import read_status
from mailer.producer.producer import Producer
from mailer.queue.connection import connect
from mailer.queue.keys import Keys
from mailer.settings import Settings, load
from mailer.simulator.client import Simulator
from mailer.testbed.valkey import Valkey
from mailer.testbed.waiting import until
from mailer.worker.app import create_app
from tests.support.post import PATIENT

LETTER: dict[str, Any] = {"sender": "Shop <shop@example.com>", "subject": "Hello", "text": "Hello."}
REGIONS = ("us-east-1", "eu-west-1")
RATES = (300.0, 200.0)
TRANSPORTS = ("ses", "boto3")
"""The one sends on the loop, the other in threads."""


class Mailer:
    """One account of this process, with a worker in a thread of its own."""

    def __init__(self, settings: Settings, simulator: Simulator) -> None:
        self.settings, self.simulator = settings, simulator
        self.client, self.keys = connect(settings), Keys.of(settings)
        self.producer = Producer.of(settings)
        self.app = create_app(settings)
        self.start()

    def start(self) -> None:
        self.worker = self.app.WorkController(
            hostname=f"{self.settings.account}@host",
            pool_cls="mailer.worker.pool:TaskPool",
            concurrency=4,
            without_gossip=True,
            without_mingle=True,
        )
        self._thread = threading.Thread(target=self.worker.start, daemon=True)
        self._thread.start()

    def arrivals(self) -> list[str]:
        return sorted(row.recipient for row in self.simulator.rows())

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        (answer,) = self.app.control.broadcast(name, arguments, reply=True, limit=1, timeout=30)
        return dict(answer[self.worker.hostname])

    def stop(self) -> None:
        until(lambda: self.app.control.ping(destination=[self.worker.hostname]), "it listens to commands")
        self.app.control.shutdown(destination=[self.worker.hostname])
        self._thread.join(60)
        assert not self._thread.is_alive()

    def close(self) -> None:
        if self._thread.is_alive():
            self.stop()
        self.producer.close()
        self.client.close()
        self.app.close()


@pytest.fixture(params=TRANSPORTS, ids=["loop", "threads"])
def pair(
    request: pytest.FixtureRequest, valkey: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Mailer, Mailer]]:
    for name in ("AWS_ENDPOINT_URL_SESV2", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    files = tmp_path / "config", tmp_path / "credentials"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(files[0]))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(files[1]))
    with ExitStack() as stack:
        simulators = [stack.enter_context(Simulator(smtp=False, quota=-1, control_rate=0)) for _ in REGIONS]
        profiles = {f"of-{number}": simulator.url for number, simulator in enumerate(simulators)}
        files[0].write_text("".join(f"[profile {name}]\nendpoint_url = {url}\n" for name, url in profiles.items()))
        keys = "[of-{0}]\naws_access_key_id = AKIAEXAMPLE{0}\naws_secret_access_key = secret-{0}\n"
        files[1].write_text(keys.format(0) + keys.format(1))
        opened = []
        for number, (simulator, region, rate) in enumerate(zip(simulators, REGIONS, RATES, strict=True)):
            name = f"of-{number}"
            simulator.set_account(region, rate=rate)
            simulator.set_secrets({f"AKIAEXAMPLE{number}": f"secret-{number}"})
            account = f"{request.node.name}-{name}".replace("[", "-").replace("]", "")[-60:]
            given = {"redis_url": valkey.url, "account": account, "aws_profile": name, "aws_region": region}
            mailer_of_it = Mailer(load(**given, transport=request.param, **PATIENT), simulator)
            stack.callback(mailer_of_it.close)
            opened.append(mailer_of_it)
        first, second = opened
        yield first, second


def test_each_sends_its_own_by_its_own_limits_and_ends_by_itself(pair: tuple[Mailer, Mailer]) -> None:
    first, second = pair
    with mailer.configure(**first.settings.model_dump()):
        mailer.send(to="first@example.com", **LETTER)
        second.producer.send(to="second@example.com", **LETTER)
        until(lambda: (first.arrivals(), second.arrivals()) == (["first@example.com"], ["second@example.com"]), "sent")
    rates = [read_status(each.client, each.settings).rate.per_second for each in pair]
    assert rates == list(RATES), "each goes by what its own account's GetAccount says"

    assert first.app.leases is not second.app.leases
    until(lambda: not any(each.client.zcard(each.keys.leases) for each in pair), "both are settled")

    pools = [len(each.command("stats")["broker"]["transport_options"]["rules"]["lanes"]) for each in pair]
    assert pools == [2, 2]
    assert "MAILER_LANES" in first.command("add_consumer", queue="other")["error"]

    for number in range(20):
        first.producer.send(to=f"{number}@example.com", **LETTER)
    until(lambda: len(first.arrivals()) > 1, "more goes out")
    first.stop()
    assert not first.client.zcard(first.keys.leases), "what it had taken is settled, or back in its lane"
    assert not first.client.hlen(first.keys.wishes), "and nobody obeys its settings any more"
    sent, waiting = len(first.arrivals()) - 1, int(first.client.llen(first.keys.lane("transactional")))
    assert sent + waiting == 20

    first.start()
    until(lambda: len(first.arrivals()) == 21, "its next worker sends what waits")
    first.stop()

    second.producer.send(to="later@example.com", **LETTER)
    until(lambda: second.arrivals() == ["later@example.com", "second@example.com"], "the other goes on")
    second.stop()
    assert not second.client.zcard(second.keys.leases)


def test_a_forked_child_holds_none_of_its_parent_s_leases(settings: Settings) -> None:
    app = create_app(settings)
    owner = app.leases.owner
    if (child := os.fork()) == 0:
        os._exit(app.leases.owner == owner)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert app.leases.owner == owner
