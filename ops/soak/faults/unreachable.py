"""Nobody reaches SES for six hours, then one host of four does not for an hour. Mail waits, and that is all."""

from __future__ import annotations

import json
import time
from urllib.parse import urlsplit

from ops.soak.pace import per_second
from ops.soak.passage import hold, let_pass
from ops.soak.proxy import Proxy
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

_OUTAGE_MINUTES, _HOST_MINUTES = 6 * 60, 60
_STEP_MINUTES, _SHORT_STEP_MINUTES = 10, 180
# So long in real time that each worker tries meanwhile.
_TRIES_SECONDS = 2.0
_AGAIN_SECONDS = 60.0
_USED = 98.0
_SECONDS, _SHORT_SECONDS = 6, 2


def run(trial: Trial) -> None:
    trial.enough()
    # The answers under way when a wire is cut, which is done twice: whether SES has those mails nobody can know.
    trial.holds_allowed = 5 * trial.stage.wanted.concurrency
    stage, is_long = trial.stage, trial.size == FAULT.long
    if not is_long:
        # Workers that a busy machine stops for a moment send what they hold in one bunch.
        trial.throttled_allowed = 4 * stage.wanted.concurrency
    step = _STEP_MINUTES if is_long else _SHORT_STEP_MINUTES
    port = urlsplit(stage.simulator.url).port or 0
    with Proxy(port) as route, Proxy(port) as route_of_one:
        for way in (route, route, route, route_of_one):
            stage.start_worker(environment={"AWS_ENDPOINT_URL_SESV2": f"http://127.0.0.1:{way.port}"})
        trial.enqueue("a", 4)
        stage.until(lambda: stage.sent() > 0, "the first mail arrives")

        route.cut()
        route_of_one.cut()
        trial.enqueue("u", trial.size.messages)
        stage.until(lambda: len(trial.status().hosts) == 4, "all four hosts rest")
        sent = stage.sent()
        for _ in range(0, _OUTAGE_MINUTES, step):
            time.sleep(_TRIES_SECONDS)
            _pass(trial, step)
            trial.pull()
        trial.expect("sent while nobody reached SES", stage.sent() - sent, 0)
        trial.expect("attempts spent while nobody reached SES", _attempts(trial), 0)
        route.mend()
        route_of_one.mend()
        again = stage.until(lambda: stage.sent() > sent and not trial.status().hosts, "all four send again", 120)
        trial.expect("all four send again after", again, _AGAIN_SECONDS, " s")

        seconds = _SECONDS if is_long else _SHORT_SECONDS
        could, used = min(_per_second(trial, seconds), stage.wanted.rate), []
        route_of_one.cut()
        stage.until(lambda: len(trial.status().hosts) == 1, "one host rests")
        for _ in range(0, _HOST_MINUTES, step):
            used.append(100 * _per_second(trial, seconds) / could)
            _pass(trial, step)
            trial.pull()
        trial.expect("of what four could send, by the other three", min(used), _USED, " %", at_most=False)
        trial.expect("attempts spent beside a host that was cut off", _attempts(trial), 0)
        route_of_one.mend()
        trial.note(f"{could:.1f} a second by four hosts; {_OUTAGE_MINUTES // 60} h and {_HOST_MINUTES // 60} h passed")
        trial.rest()


def _per_second(trial: Trial, seconds: int) -> float:
    """`per_second`, with mail for twice its time: hosts that come back late have sent the rest by then."""
    stage = trial.stage
    with stage.client() as client:
        waiting = int(client.llen(stage.keys.lane(stage.settings.lanes.least_urgent)))
    trial.enqueue("more", max(0, int(4 * seconds * stage.wanted.rate) - waiting))
    return per_second(stage, seconds)


def _pass(trial: Trial, minutes: int) -> None:
    hold(trial.stage)
    let_pass(trial.stage, minutes)


def _attempts(trial: Trial) -> int:
    """How many of the messages that wait have been tried in vain."""
    with trial.stage.client() as client:
        waiting: list[bytes] = client.lrange(trial.stage.keys.lane("bulk"), 0, -1)
        scheduled = client.zcard(trial.stage.keys.schedule)
    return int(scheduled + sum(json.loads(each)["headers"]["retries"] > 0 for each in waiting))


FAULT = Fault(
    name="unreachable",
    what="SES is reached by nobody for 6 h, then not by one host of four for 1 h",
    run=run,
    long=Size(messages=10_000, times=1),
    short=Size(messages=1_000, times=1),
    # An attempt that is spent makes a dead letter at once.
    set=Set(rate=100, workers=0, settings={"retry_hours": 0}),
)
