"""One host of four that cannot send, for each reason that there is: the others send what the account allows."""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median

from mailer.doctor import queue
from mailer.monitor import RestingHost, read_status
from ops.bench.processes import free_port
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

_KEY = "AKIAONEHOSTSKEY"
_USED = 98.0
_AGAIN_SECONDS = 60.0
_SECONDS, _SHORT_SECONDS = 15, 5

_CODES = {
    "UnrecognizedClientException": 403,
    "InvalidClientTokenId": 403,
    "InvalidSignatureException": 403,
    "SignatureDoesNotMatch": 403,
    "IncompleteSignature": 400,
    "ExpiredTokenException": 403,
    "InvalidToken": 403,
    "MissingAuthenticationToken": 403,
    "AccessDeniedException": 403,
}
_SHORT_CODES = ("UnrecognizedClientException", "AccessDeniedException")
_WAYS = {"COULDNT_CONNECT": "http://127.0.0.1:{port}", "COULDNT_RESOLVE_HOST": "http://ses.invalid"}
_SHORT_WAYS = ("COULDNT_CONNECT",)


def run(trial: Trial) -> None:
    is_long = trial.size == FAULT.long
    trial.stage.until(lambda: trial.stage.sent() > 0, "the first mail arrives")
    used, again = [], []
    bad = trial.stage.start_worker(environment={"AWS_ACCESS_KEY_ID": _KEY})
    for code, status in _CODES.items():
        if is_long or code in _SHORT_CODES:
            trial.stage.simulator.add_fault(
                "error", error="bad-signature", status=status, code=code, access_key=_KEY, operation=None
            )
            used.append(_beside(trial, code))
            trial.stage.simulator.clear_faults()
            again.append(trial.stage.until(lambda: not _resting(trial), f"it sends again after {code}", 90))
    trial.stage.stop_worker(bad)
    for code, way in _WAYS.items():
        if is_long or code in _SHORT_WAYS:
            bad = trial.stage.start_worker(environment={"AWS_ENDPOINT_URL_SESV2": way.format(port=free_port())})
            used.append(_beside(trial, code))
            trial.stage.stop_worker(bad)
    trial.enough()
    trial.expect("of the rate used beside such a host", min(used), _USED, " %", at_most=False)
    trial.expect("a host that may send again does so after", max(again), _AGAIN_SECONDS, " s")


def _beside(trial: Trial, code: str) -> float:
    """Per cent of the rate that is used once the host has failed with ``code``, which status and doctor must name."""
    stage = trial.stage
    worker = f"soak-{stage.workers[-1].number}@localhost"

    def is_named() -> bool:
        return any(each.worker == worker and code in each.why for each in _resting(trial))

    named = stage.until(is_named, f"it is named for {code}")
    trial.pull()
    seconds = _SECONDS if trial.size == FAULT.long else _SHORT_SECONDS
    seen = [(time.monotonic(), stage.sent())]
    for _ in range(seconds):
        time.sleep(1)
        seen.append((time.monotonic(), stage.sent()))
    # By the second: a machine that stands still for a moment is not what is looked for.
    used = 100 * median(
        (more - sent) / (end - begin) / stage.wanted.rate for (begin, sent), (end, more) in pairwise(seen)
    )
    with stage.client() as client:
        status = read_status(client, stage.settings)
    found = [each for each in queue.state(status) if each.about == "host localhost" and code in each.text]
    trial.expect(f"findings of the doctor about {code}", len(found), 1, at_most=False)
    trial.expect(f"stops of the account for {code}", status.stop is not None, 0)
    trial.note(f"{code}: named after {named:.1f} s, {used:.1f} % of the rate used")
    return used


def _resting(trial: Trial) -> tuple[RestingHost, ...]:
    with trial.stage.client() as client:
        return read_status(client, trial.stage.settings).hosts


FAULT = Fault(
    name="host",
    what="one host of four whose key is refused, whose token has expired, or that does not reach SES",
    run=run,
    long=Size(messages=60_000, times=len(_CODES) + len(_WAYS)),
    short=Size(messages=20_000, times=len(_SHORT_CODES) + len(_SHORT_WAYS)),
    set=Set(rate=50, workers=3, settings={"max_attempts": 1}),
)
