"""``mailer bench``: what it measures against a simulator, what it concludes, and to whom it does not send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from mailer.bench.ladder import climb
from mailer.bench.regions import endpoints
from mailer.bench.stage import Measured
from mailer.bench.verdict import Limit, advise, find_limit
from mailer.settings import Settings
from mailer.simulator.client import Simulator
from mailer.testbed.stats import Quantiles
from tests.support.command import Mailer, completed, environment

SHORT = ("--seconds", "2", "--most-threads", "1", "--most-processes", "1")
SES_KEY = {"MAILER_AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


def a_stage(processes: int = 1, threads: int = 1, per_second: float = 10.0, **changes: object) -> Measured:
    given: dict[str, object] = {
        "round_trips": Quantiles(1, 0.08, 0.1, 0.12, 0.2),
        "worker_cpu": 0.0003 * per_second,
        "redis_cpu": 0.00003 * per_second,
        "busy": 0.3,
        "place_cpu": None,
        "failures": {},
    }
    return Measured(processes, threads, per_second, **{**given, **changes})  # type: ignore[arg-type]


@pytest.mark.timing
def test_it_measures_workers_on_a_redis_of_its_own_and_draws_and_advises(tmp_path: Path) -> None:
    arguments = ("bench", *SHORT, "--latency", "10ms", "--want", "50", "--plot", "bench.svg")
    done = completed(*arguments, env=environment(MAILER_LANES="only", MAILER_ACCOUNT="mine"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answering after 10ms" in done.stdout
    assert "What limits it" in done.stdout
    assert "50 mails per second: mailer worker --processes " in done.stdout
    assert (tmp_path / "bench.svg").read_text().startswith("<?xml")
    assert not list(tmp_path.glob("mailer-bench-*"))


@pytest.mark.timing
def test_an_account_that_allows_little_is_what_limits_it_and_redis_is_left_as_it_was(
    mailer: Mailer, client: redis.Redis, settings: Settings
) -> None:
    client.set("somebody-elses", 1)
    before = set(client.scan_iter("*@account")) | set(client.scan_iter("*bench-*"))
    with Simulator(rate=20, bucket=2, quota=-1, control_rate=0, smtp=False, latency="5ms") as ses:
        # Where all stood still while it measured, it rightly finds something else, and is asked again.
        for _ in range(5):
            done = mailer(
                *("bench", *SHORT, "--json"),
                *("--ses", "--yes", "--from", "me@example.com"),
                AWS_ENDPOINT_URL_SESV2=ses.url,
                **SES_KEY,
            )
            assert done.returncode == 0, done.stderr
            if json.loads(done.stdout)["finding"]["limit"] == "account":
                break
        assert {row.recipient for row in ses.rows()} == {"success@simulator.amazonses.com"}
        assert sum(ses.stats()["refused"].values()) == 0
    assert "This sends real mail through SES in us-east-1" in done.stderr
    found = json.loads(done.stdout)
    assert found["finding"]["limit"] == "account"
    assert found["advice"]["rate"] == 20
    assert found["stages"][0]["threads"] == 1
    assert set(client.scan_iter("*@account")) | set(client.scan_iter("*bench-*")) == before


def test_it_sends_to_nobody_but_the_mailbox_simulator(mailer: Mailer) -> None:
    done = mailer("bench", "--ses", "--yes", "--from", "me@example.com", "--to", "jane@example.com")
    assert done.returncode == 2
    assert done.stderr.startswith("mailer: --to jane@example.com: a benchmark sends to SES's mailbox simulator only.")


def test_it_sends_no_real_mail_unasked(mailer: Mailer) -> None:
    with Simulator(rate=20, quota=-1, control_rate=0, smtp=False) as ses:
        done = mailer("bench", "--ses", "--from", "me@example.com", AWS_ENDPOINT_URL_SESV2=ses.url, **SES_KEY)
        assert done.returncode == 1
        assert "Send them?" in done.stderr
        assert ses.stats()["regions"]["us-east-1"]["recipients"] == 0


def test_a_simulator_that_cannot_start_says_what_to_write(mailer: Mailer) -> None:
    done = mailer("bench", "--latency", "soon", *SHORT)
    assert done.returncode == 2
    assert "The simulator did not start: its own lines above say why. Write --latency as 80ms" in done.stderr


def test_real_mail_needs_a_sender_and_a_plot_a_suffix(mailer: Mailer) -> None:
    assert mailer("bench", "--ses").stderr.startswith("mailer: --ses needs --from")
    assert "name a file that ends in .svg or .png" in mailer("bench", "--plot", "here.txt").stderr


def test_regions_are_compared_by_their_answers_and_the_nearest_comes_first(mailer: Mailer) -> None:
    with (
        Simulator(smtp=False, control_rate=0, latency="60ms") as far,
        Simulator(smtp=False, control_rate=0, tls=True) as near,
    ):
        assert near.ca_file is not None
        arguments = ("bench", "--regions", "--endpoint", far.url, "--endpoint", near.url, "--json")
        done = mailer(*arguments, AWS_CA_BUNDLE=near.ca_file)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {each["url"]: each["error"] for each in found} == {near.url: None, far.url: None}
    assert found == sorted(found, key=lambda each: each["connect"] + each["first_byte"])
    secure = {each["url"]: each["secure"] for each in found}
    assert secure[far.url] is None
    assert secure[near.url] > 0
    assert all(each["connect"] > 0 and each["first_byte"] > 0 for each in found)


def test_all_regions_are_those_of_botocores_data() -> None:
    found = endpoints()
    assert found["us-east-1"] == "https://email.us-east-1.amazonaws.com"
    assert len(found) > 20


def test_where_no_region_can_be_reached_it_says_so(mailer: Mailer) -> None:
    done = mailer("bench", "--regions", "--endpoint", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "none of 1 SES endpoints could be reached from this host" in done.stdout


def test_threads_are_raised_until_more_bring_no_more_then_processes() -> None:
    def measure(processes: int, threads: int, expected: float) -> Measured:
        assert expected > 0
        return a_stage(processes, threads, min(12.0 * processes * threads, 600.0 * min(processes, 2)))

    steps = [(stage.processes, stage.threads) for stage in climb(measure, most_threads=256, most_processes=8)]
    assert steps == [(1, 1), (1, 4), (1, 16), (1, 64), (1, 256), (2, 64), (4, 64)]


@pytest.mark.parametrize(
    ("limit", "changes"),
    [
        (Limit.LATENCY, {}),
        (Limit.CPU, {"worker_cpu": 0.95}),
        (Limit.CPU, {"busy": 0.99, "place_cpu": 1.2}),
        (Limit.REDIS, {"redis_cpu": 0.9}),
        (Limit.NETWORK, {"round_trips": Quantiles(1, 0.3, 0.4, 0.5, 0.6)}),
        (Limit.ACCOUNT, {"failures": {"RateExceeded": 3}}),
    ],
)
def test_what_limits_a_host_is_read_from_its_best_stage(limit: Limit, changes: dict[str, Any]) -> None:
    stages = [a_stage(), a_stage(threads=32, per_second=300, **changes)]
    assert find_limit(stages, None, cores=2).limit is limit
    assert find_limit(stages, 310, cores=2).limit is Limit.ACCOUNT


def test_advice_has_threads_for_the_round_trips_and_processes_for_the_processor_time() -> None:
    stages = [a_stage(), a_stage(threads=64, per_second=700)]
    small, large = (advise(stages, rate, allowed=1000, cores=2) for rate in (14.0, 50_000.0))
    assert (small.processes, small.threads, small.hosts, small.beyond_account) == (1, 4, 1, False)
    # 0.3 ms of processor time each, at seven tenths of a processor; 0.1 s of round trip and half as much again.
    assert large.processes == 22
    assert large.threads == 341
    assert (large.hosts, large.beyond_account) == (11, True)
    assert large.redis_cpu == pytest.approx(1.5)
