"""What an outcome means for the message in the queue."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

import orjson
from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import InvalidTaskError
from celery.utils.log import get_logger
from celery.worker import request as stock
from celery.worker import state

from mailer.bounds import shortened
from mailer.broker.fitness import MOST_DENIED_SECONDS, MOST_SECONDS
from mailer.broker.gate import LOCAL_HEADERS, LOST
from mailer.broker.leases import BACK, Leases, Settlement
from mailer.broker.record import note
from mailer.delivery import Kind, Outcome, backoff
from mailer.masking import mask, mask_addresses
from mailer.payload import ACCEPTED_HEADER, CONTENT_HEADER, DENIED_HEADER, FAILING_HEADER, KEY_HEADER
from mailer.ses.remedies import remedy
from mailer.settings import Settings
from mailer.worker import report

logger = get_logger(__name__)

_VERBS = {Kind.OVER_QUOTA: "over_quota", Kind.PAUSED: "stop", Kind.REJECTED: "dead"}
_DENIED_FIRST_SECONDS, _DENIED_MOST_SECONDS = 60.0, 900.0
"""When a message that its key may not send is tried again: each time after twice as long."""


_LONGEST_SHOWN = 1000
_FOLLOWERS = {"callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord"}
"""What Celery writes into a message of what is to follow it, and what producers call that."""
_OBEYED = ("task", "id", "retries", "expires", "eta", CONTENT_HEADER, *LOCAL_HEADERS)
"""The headers that a message may have anything done with. Celery and its pools would do much more with others:
``shadow`` writes another name into logs, ``timelimit`` ends processes, ``callbacks`` run tasks, a group is counted."""


def _ends_one_message(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Have an exception of this callback of a pool end its own message, and neither the worker nor a lease's count."""

    @wraps(callback)
    def guarded(self: Request, *args: Any, **kwargs: Any) -> Any:
        try:
            return callback(self, *args, **kwargs)
        except Exception as error:
            logger.exception("The completion of message %s broke off", self.id)
            self.broke_off(error)

    return guarded


class Followed(InvalidTaskError):
    """Something is to be done once the task is done, and nothing would do it: `mailer.send` ends when the message is
    settled, maybe days and several workers later."""

    def __init__(self, embed: Mapping[str, Any]) -> None:
        named = " and ".join(_FOLLOWERS.get(name, f"{name:.80}") for name in embed if _follows(embed, name))
        super().__init__(
            f"{named}: nothing is run after mailer.send, and it has no result. It was not sent. Send it without; "
            "mailer.history and `mailer show` tell what became of a message"
        )


def _follows(embed: Mapping[str, Any], name: str) -> bool:
    """Whether Celery's pools would do something about it: what they do not know they take for a header."""
    return bool(embed[name]) or name not in _FOLLOWERS


class Request(stock.Request):
    """One taken message, in the worker's main process."""

    def __init__(self, message: Any, **options: Any) -> None:
        """Raises Followed, and Celery's own errors."""
        headers = options.pop("headers", None) or message.headers
        options["headers"] = {name: headers[name] for name in _OBEYED if name in headers}
        super().__init__(message, **options)
        embed = self._payload[2]
        if embed and not isinstance(embed, dict):
            raise InvalidTaskError("the third part of its body is no object")
        if any(_follows(embed, name) for name in embed or ()):
            raise Followed(embed)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Celery derives a class per task whose on_success does not call its base's; ours goes before it.
        super().__init_subclass__(**kwargs)
        celerys: Callable[..., Any] | None = cls.__dict__.get("on_success")
        if celerys is not None:

            def on_success(self: Request, result: tuple[Any, Any, Any], **options: Any) -> Any:
                failed, told, runtime = result
                if not failed:
                    outcome = report.read(told)
                    self.settle_as(outcome)
                    result = (failed, mask_addresses(report.line(outcome)), runtime)
                return celerys(self, result, **options)

            cls.on_success = _ends_one_message(on_success)

    @property
    def argsrepr(self) -> str:
        """What Flower and the log show of its arguments: nothing, though a stock producer has written all there."""
        return "()"

    @property
    def kwargsrepr(self) -> str:
        """What Flower and the log show of its arguments: the lane and the masked recipient."""
        lease = self.leases.lease(self.tag)
        to = self._kwargs.get("to") if isinstance(self._kwargs, dict) else None
        masked = mask(to) if isinstance(to, str) and len(to) <= _LONGEST_SHOWN else "***"
        return f"{lease.lane if lease else ''} {masked}"

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 - Celery's signature
        """For ``celery inspect`` and Flower's pages of a worker, which ask for the arguments themselves."""
        found: dict[str, Any] = super().info(safe=True)
        return {**found, "args": self.argsrepr, "kwargs": self.kwargsrepr}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.humaninfo()} {self.argsrepr} {self.kwargsrepr}>"

    @property
    def tag(self) -> str:
        return str(self._message.delivery_tag)

    @property
    def leases(self) -> Leases:
        leases: Leases = self._message.channel.leases
        return leases

    @property
    def settings(self) -> Settings:
        settings: Settings = self._task.settings
        return settings

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self.leases.start(self.tag)
        super().on_accepted(pid, time_accepted)

    def settle_as(self, outcome: Outcome) -> None:
        """Decide what the acknowledgement will mean."""
        self.leases.decide(self.tag, self._settlement(outcome))

    def broke_off(self, error: Exception) -> None:
        """A defect, of ours or Celery's, after the send: what was decided stands, else it is held."""
        words = "What became of it could not be worked out, see its worker's log. It may be sent."
        self.leases.settle(self.tag, Settlement("hold", type(error).__name__, words))
        state.task_ready(self)

    @_ends_one_message
    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> Any:
        exception = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(exception, WorkerLostError | TimeLimitExceeded | Terminated | SystemExit | KeyboardInterrupt):
            self._lost(type(exception).__name__, "its process ended while it held the message")
        else:
            # The door raised outside of a send: a defect of ours, and nothing went out.
            outcome = Outcome(Kind.REJECTED, None, type(exception).__name__, str(exception)[:500])
            self.leases.decide(self.tag, self._settlement(outcome))
        return super().on_failure(exc_info, *args, **kwargs)

    @_ends_one_message
    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft:
            self._lost("TimeLimitExceeded", f"not finished after {timeout:g} s, and its process was ended")
        return super().on_timeout(soft, timeout)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        # Only the pool of forked children has a process to end, and it alone counts its places with a semaphore.
        if self.time_start is None or pool.uses_semaphore:
            super().terminate(pool, signal)
        else:
            logger.warning("Message %s is being sent, which cannot be called back", self.id)

    def maybe_expire(self) -> bool:
        """Whether its ``expires`` has passed on Redis's clock: by this host's it might drop mail in time."""
        expires: datetime | None = self.expires
        now = self.leases.redis_time()
        return expires is not None and now is not None and expires.timestamp() < now

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> Any:
        if terminated:
            self._lost("Terminated", "its process was ended by a person while it held the message")
        else:
            code = "Expired" if expired else "Revoked"
            self.leases.decide(self.tag, Settlement("forget", note=self._note(code)))
        return super()._announce_revoked(reason, terminated, signum, expired)

    def _settlement(self, outcome: Outcome) -> Settlement:
        """The outcome table of the design."""
        code, detail = outcome.code, shortened(outcome.detail)
        match outcome.kind:
            case Kind.SENT:
                # This host can send, if there was a doubt.
                fit = self.hostname if self.leases.fitness.sent() else ""
                return Settlement("sent", self.id, fit, self._note(outcome.ses_id or ""))
            case Kind.THROTTLED:
                return Settlement("throttled", note=self._note(code, detail))
            case Kind.OVER_QUOTA | Kind.PAUSED | Kind.REJECTED:
                return Settlement(_VERBS[outcome.kind], code, detail, self._note(code, detail))
            case Kind.UNFIT | Kind.UNREACHABLE | Kind.MISDATED:
                return self._unfit(code, detail)
            case Kind.DENIED:
                return self._denied(code, detail)
            case Kind.LATE:
                return BACK
            case Kind.FAILED:
                return self._again("retry", code, detail)
            case Kind.UNKNOWN:
                hold = Settlement("hold", code, detail, self._note(code, detail))
                return self._again("resend", code, detail) if self._resends else hold

    def _unfit(self, code: str, detail: str, longest_rest: float = MOST_SECONDS) -> Settlement:
        """This host's fault: others may send it."""
        why = mask_addresses(f"{code}: {detail}")
        fitness, lease = self.leases.fitness, self.leases.lease(self.tag)
        was_doubted = fitness.is_doubted
        if lease is not None and fitness.failed(lease.asked_at, longest_rest) and not was_doubted:
            logger.error(
                "This worker cannot send, and tries with one message now and then until it can. %s. %s",
                *(why.rstrip("."), remedy(why)),
            )
        return Settlement("unfit", self.hostname or "", why, self._note(code, detail))

    def _denied(self, code: str, detail: str) -> Settlement:
        """The host's fault, or the sender's, which a permission mends: then it is tried later, out of the way of other
        mail."""
        if not self.leases.fitness.is_message_s(self.id, f"{code}: {detail}"):
            return self._unfit(code, detail, MOST_DENIED_SECONDS)
        now = self.leases.redis_time()
        denied = self._count(DENIED_HEADER)
        delay = min(_DENIED_MOST_SECONDS, _DENIED_FIRST_SECONDS * 2.0 ** min(denied, 10)) * random.uniform(0.75, 1)
        envelope = self._envelope({DENIED_HEADER: denied + 1})
        return Settlement("defer", int(((now or time.time()) + delay) * 1e6), envelope, self._note(code, detail))

    @property
    def _resends(self) -> bool:
        """Whether its lane resends what may have been sent."""
        lease = self.leases.lease(self.tag)
        return lease is not None and self.settings.unknown_policy(lease.lane) == "resend"

    @property
    def _attempt(self) -> int:
        return int(self._message.headers.get("retries") or 0) + 1

    def _lost(self, code: str, words: str) -> None:
        """The process that held it is gone, and it alone: it is what ended it, or somebody did."""
        suspect = LOST in self._message._raw
        if suspect:
            code, words = "WorkerLostTwice", f"{code}, for the second time in a row: {words}"
        if suspect or not self._resends:
            settlement = Settlement("hold", code, words, self._note(code, words))
        else:
            settlement = self._again("resend", code, words, lost=True)
        self.leases.decide(self.tag, settlement)

    def _again(self, verb: str, code: str, detail: str, *, lost: bool = False) -> Settlement:
        """One more attempt, after a backoff, unless they or their time are used up.

        Only the time between its attempts counts, not the time in its lane.
        """
        settings, attempt = self.settings, self._attempt
        delay = backoff(attempt, base=settings.retry_base_seconds, cap=settings.retry_cap_seconds)
        failing = self._count(FAILING_HEADER) / 1000
        if attempt >= settings.max_attempts or failing + delay > settings.retry_hours * 3600:
            words = f"given up after {attempt} attempts in {timedelta(seconds=round(failing))}: {detail}"
            # What may have been sent is for a person, or an event, to settle.
            return Settlement("hold" if verb == "resend" else "dead", code, words, self._note(code, words))
        changed = {"retries": attempt, FAILING_HEADER: int((failing + delay) * 1000)}
        again = self._envelope(changed, lost=lost, perhaps_sent=verb == "resend")
        return Settlement(verb, int(delay * 1e6), again, self._note(code, detail))

    def _count(self, header: str) -> int:
        """The number in a header of ours; 0 where there is none."""
        value = self._message.headers.get(header)
        return value if type(value) is int and 0 <= value < 2**53 else 0

    def _envelope(self, changed: dict[str, int], *, lost: bool = False, perhaps_sent: bool = False) -> bytes:
        """The envelope as it goes back into the queue; without its key, which stays taken, if it may have been sent."""
        raw = {name: value for name, value in self._message._raw.items() if name != LOST}
        gone = {KEY_HEADER} if perhaps_sent or LOST in self._message._raw else set()
        headers = {name: value for name, value in raw["headers"].items() if name not in LOCAL_HEADERS | gone}
        first = {LOST: 1} if lost else {}
        # As it came, so that it is no larger: escapes take up to six times as much.
        return orjson.dumps({**first, **raw, "headers": {**headers, **changed}})

    def _note(self, answer: str, words: str = "") -> str:
        """What the record of this attempt says; empty where none is kept."""
        lease = self.leases.lease(self.tag)
        if lease is None or not self.settings.record_hours:
            return ""
        to = self._kwargs.get("to") if isinstance(self._kwargs, dict) else None
        accepted = self._message.headers.get(ACCEPTED_HEADER)
        return note(
            *(self.id, lease.lane, accepted, lease.taken_us, self._attempt, to, answer),
            words=mask_addresses(words),
        )
