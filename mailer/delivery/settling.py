"""The settlement of a message, computed from the outcome of its send. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from mailer.delivery.outcome import Kind, Outcome
from mailer.delivery.retry import Draw, draw, wait_after
from mailer.masking import mask_addresses
from mailer.queue import records
from mailer.queue.bounds import shortened
from mailer.queue.headers import ACCEPTED_HEADER, DENIED_HEADER, FAILING_HEADER, KEY_HEADER, LOCAL_HEADERS, LOST
from mailer.queue.settlement import Settlement
from mailer.rules import Rules

_DENIED_FIRST_SECONDS, _DENIED_MOST_SECONDS = 60.0, 900.0
"""The first and the longest wait after SES denied a message. The wait doubles each time."""
_SAID = {"over_quota": Settlement.over_quota, "stop": Settlement.stop, "dead": Settlement.dead}
"""The verbs whose settlement has SES's code and words, and nothing else."""
MOST_PERHAPS_SENT = 12
"""The most attempts of one message with an unknown outcome. The recipient may have received each of them."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that a worker has taken. ``envelope`` is the unchanged envelope, ``taken_us`` is on Redis's clock."""

    id: str
    lane: str
    to: object
    envelope: Mapping[str, Any]
    taken_us: int
    worker: str

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return int(self.envelope["headers"].get("retries") or 0) + 1

    @property
    def was_lost(self) -> bool:
        """Whether another worker was lost while it held the message."""
        return LOST in self.envelope

    def count(self, header: str) -> int:
        """The number in one of our headers; 0 without a valid one."""
        value = self.envelope["headers"].get(header)
        return value if type(value) is int and 0 <= value < 2**53 else 0

    def again(self, changed: Mapping[str, int], *, lost: bool = False, perhaps_sent: bool = False) -> bytes:
        """The envelope for the queue, with ``changed`` headers. If the message may have been sent, the envelope loses
        its idempotency key, so that the key stays in use."""
        raw = {name: value for name, value in self.envelope.items() if name != LOST}
        gone = {KEY_HEADER} if perhaps_sent or self.was_lost else set()
        headers = {name: value for name, value in raw["headers"].items() if name not in LOCAL_HEADERS | gone}
        first = {LOST: 1} if lost else {}
        # orjson writes text unescaped, as it came. Escapes would take up to six times the size.
        return orjson.dumps({**first, **raw, "headers": {**headers, **changed}})

    def note(self, rules: Rules, answer: str, words: str = "") -> str:
        """The record's note about this attempt; empty where no records are kept."""
        if not rules.record_hours:
            return ""
        accepted, words = self.envelope["headers"].get(ACCEPTED_HEADER), mask_addresses(words)
        return records.note(self.id, self.lane, accepted, self.taken_us, self.attempt, self.to, answer, words=words)


def settle(
    outcome: Outcome, taken: Taken, rules: Rules, *, now: float, ends_doubt: bool = False, random: Draw = draw
) -> Settlement:
    """The settlement for an outcome, by the table of `Kind`.

    ``now`` is epoch seconds on Redis's clock. ``ends_doubt`` says that this is the host's first message that was sent,
    or the first after a failure of the host.
    """
    code, words = outcome.code, shortened(outcome.detail)
    note = taken.note(rules, outcome.ses_id or "" if outcome.kind is Kind.SENT else code, words)
    match outcome.kind.value.verb:
        case "sent":
            return Settlement.sent(taken.id, taken.worker if ends_doubt else "", note)
        case "back":
            return Settlement.back()
        case "unfit":
            return Settlement.unfit(taken.worker, mask_addresses(f"{code}: {words}"), note)
        case "throttled":
            return Settlement.throttled(note)
        case verb if verb in _SAID:
            return _SAID[verb](code, words, note)
        case "defer":
            denied = taken.count(DENIED_HEADER)
            seconds = min(_DENIED_MOST_SECONDS, _DENIED_FIRST_SECONDS * 2.0 ** min(denied, 10)) * (3 + random()) / 4
            return Settlement.defer(int((now + seconds) * 1e6), taken.again({DENIED_HEADER: denied + 1}), note)
        case "resend" if rules.unknown_policy(taken.lane) == "hold":
            return Settlement.hold(code, words, note)
        case verb:
            return _again(verb, code, words, taken, rules, random)


def settle_lost(code: str, words: str, taken: Taken, rules: Rules, *, random: Draw = draw) -> Settlement:
    """The settlement for a message whose sending process has ended, while others live on. The message itself or a
    person ended the process. The message may have been sent."""
    if taken.was_lost:
        code, words = "WorkerLostTwice", f"{code}, for the second time in a row: {words}"
    if taken.was_lost or rules.unknown_policy(taken.lane) == "hold":
        return Settlement.hold(code, words, taken.note(rules, code, words))
    return _again("resend", code, words, taken, rules, random, lost=True)


def _again(
    verb: str, code: str, words: str, taken: Taken, rules: Rules, random: Draw, *, lost: bool = False
) -> Settlement:
    """Settle for another attempt after a backoff. Give up when the attempts or their time are used up.

    The time counts the waits between attempts, not the time in the lane.
    """
    waited = taken.count(FAILING_HEADER) / 1000
    seconds = wait_after(taken.attempt, waited, rules.retry_hours * 3600, random)
    perhaps_sent = verb == "resend"
    if seconds is None or (perhaps_sent and taken.attempt >= MOST_PERHAPS_SENT):
        words = f"given up after {taken.attempt} attempts in {timedelta(seconds=round(waited))}: {words}"
        # If it may have been sent, a person or an event of SES must decide.
        give_up = Settlement.hold if perhaps_sent else Settlement.dead
        return give_up(code, words, taken.note(rules, code, words))
    changed = {"retries": taken.attempt, FAILING_HEADER: int((waited + seconds) * 1000)}
    envelope = taken.again(changed, lost=lost, perhaps_sent=perhaps_sent)
    again = Settlement.resend if perhaps_sent else Settlement.retry
    return again(seconds, envelope, taken.note(rules, code, words))
