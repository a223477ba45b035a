"""One host of four that cannot send, for each reason that there is: the others send what the account allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mailer.doctor import queue
from mailer.testbed.waiting import free_port
from ops.soak.pace import per_second
from ops.soak.stage import Set
from ops.soak.trial import Fault, Size, Trial

_KEY = "AKIAONEHOSTSKEY"
_USED = 98.0
_AGAIN_SECONDS = 60.0
_SECONDS, _SHORT_SECONDS = 6, 2
# A machine that is busy with other tests sends less for some seconds. A host that takes its share takes it each time.
_SHORT_TRIES = 5

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
_SHORT_CODES = ("UnrecognizedClientException",)
_WAYS = {"COULDNT_CONNECT": "http://127.0.0.1:{port}", "COULDNT_RESOLVE_HOST": "http://ses.invalid"}
_SHORT_WAYS = ("COULDNT_CONNECT",)


def run(trial: Trial) -> None:
    is_long = trial.size == FAULT.long
    stage = trial.stage
    stage.until(lambda: stage.sent() > 0, "the first mail arrives")
    used: list[float] = []
    again: list[float] = []
    bad = stage.start_worker(environment={"AWS_ACCESS_KEY_ID": _KEY})
    for code, status in _CODES.items():
        if is_long or code in _SHORT_CODES:
            with _compared(trial, code, used):
                stage.simulator.add_fault(
                    "error", error="bad-signature", status=status, code=code, access_key=_KEY, operation=None
                )
                _is_named(trial, code)
            stage.simulator.clear_faults()
            again.append(stage.until(lambda: not trial.status().hosts, f"it sends again after {code}", 90))
    stage.stop_worker(bad)
    for code, way in _WAYS.items():
        if is_long or code in _SHORT_WAYS:
            with _compared(trial, code, used):
                bad = stage.start_worker(environment={"AWS_ENDPOINT_URL_SESV2": way.format(port=free_port())})
                _is_named(trial, code)
            stage.stop_worker(bad)
    trial.enough()
    trial.expect("of what the others could send, beside such a host", min(used), _USED, " %", at_most=False)
    trial.expect("a host that may send again does so after", max(again), _AGAIN_SECONDS, " s")


@contextmanager
def _compared(trial: Trial, code: str, used: list[float]) -> Iterator[None]:
    """The block makes one host fail. Appends how much is sent after it, per cent of before.

    It measures by the second: a machine that stands still for a moment must not count.
    """
    is_long = trial.size == FAULT.long
    seconds = _SECONDS if is_long else _SHORT_SECONDS
    could = min(per_second(trial.stage, seconds), trial.stage.wanted.rate)
    yield
    trial.pull()
    sent = per_second(trial.stage, seconds)
    for _ in range(0 if is_long else _SHORT_TRIES - 1):
        if 100 * sent < _USED * could:
            sent = max(sent, per_second(trial.stage, seconds))
    used.append(100 * sent / could)
    status = trial.status()
    found = [each for each in queue.state(status) if each.about == "host localhost" and code in each.text]
    trial.expect(f"findings of the doctor about {code}", len(found), 1, at_most=False)
    trial.expect(f"stops of the account for {code}", status.stop is not None, 0)
    trial.note(f"{code}: {sent:.1f} a second, {could:.1f} before it")


def _is_named(trial: Trial, code: str) -> None:
    worker = f"{trial.stage.workers[-1].log.stem}@localhost"

    def is_named() -> bool:
        return any(each.worker == worker and code in each.why for each in trial.status().hosts)

    trial.stage.until(is_named, f"it is named for {code}")


FAULT = Fault(
    name="host",
    what="one host of four whose key is refused, whose token has expired, or that does not reach SES",
    run=run,
    long=Size(messages=60_000, times=len(_CODES) + len(_WAYS)),
    short=Size(messages=20_000, times=len(_SHORT_CODES) + len(_SHORT_WAYS)),
    set=Set(rate=50, workers=3, settings={"retry_hours": 0}),
)
