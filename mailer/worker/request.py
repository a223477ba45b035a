"""One taken message in Celery's form. It passes the reports of Celery and its pools on to `mailer.delivery`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import Terminated, TimeLimitExceeded, WorkerLostError
from celery.exceptions import InvalidTaskError
from celery.utils.log import get_logger
from celery.worker import request as stock
from celery.worker import state

from mailer.delivery.outcome import Kind, Outcome
from mailer.delivery.settling import Taken, settle, settle_lost
from mailer.masking import mask, mask_addresses
from mailer.queue.fitness import MOST_DENIED_SECONDS, MOST_SECONDS
from mailer.queue.headers import CONTENT_HEADER, LOCAL_HEADERS
from mailer.queue.leases import Lease, Leases
from mailer.queue.settlement import Settlement
from mailer.ses.remedies import remedy
from mailer.worker import report

logger = get_logger(__name__)

_LONGEST_SHOWN = 1000
_FOLLOWERS = {"callbacks": "link", "errbacks": "link_error", "chain": "chain", "chord": "chord"}
"""Tasks to run after the message: Celery's name in the message, and the producer's name for it."""
_OBEYED = ("task", "id", "retries", "expires", "eta", CONTENT_HEADER, *LOCAL_HEADERS)
"""The only headers of a message that have an effect. Celery and its pools would obey others too: ``shadow`` writes
another name into logs, ``timelimit`` ends processes, ``callbacks`` run tasks, and a group is counted."""


def _ends_one_message(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Guard a pool's callback: its exception ends its own message. It must not end the worker or leak a lease."""

    @wraps(callback)
    def guarded(self: Request, *args: Any, **kwargs: Any) -> Any:
        try:
            return callback(self, *args, **kwargs)
        except Exception as error:
            logger.exception("The completion of message %s broke off", self.id)
            self.broke_off(error)

    return guarded


class Followed(InvalidTaskError):
    """The message names tasks to run after it. Nothing would run them: `mailer.send` ends when the message is settled,
    perhaps days and several workers later."""

    def __init__(self, names: Iterable[str]) -> None:
        named = " and ".join(_FOLLOWERS.get(name, f"{name:.80}") for name in names)
        super().__init__(
            f"{named}: nothing is run after mailer.send, and it has no result. It was not sent. Send it without; "
            "mailer.operations.history and `mailer show` tell what became of a message"
        )


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
        # Celery's pools would act on these. They treat an unknown name as a header.
        if followers := [name for name in embed or () if embed[name] or name not in _FOLLOWERS]:
            raise Followed(followers)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Celery derives a class for each task. Its on_success does not call its base's, so ours wraps it.
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
        """The positional arguments for Flower and the log: empty, although a stock producer writes all of them."""
        return "()"

    @property
    def kwargsrepr(self) -> str:
        """The named arguments for Flower and the log: the lane and the masked recipient."""
        lease = self.leases.lease(self.tag)
        masked = mask(self._to) if isinstance(self._to, str) and len(self._to) <= _LONGEST_SHOWN else "***"
        return f"{lease.lane if lease else ''} {masked}"

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 - Celery's signature
        """For ``celery inspect`` and Flower's pages of a worker. Both ask for the unmasked arguments, and get them
        masked."""
        return {**super().info(safe=True), "args": self.argsrepr, "kwargs": self.kwargsrepr}

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
    def _to(self) -> Any:
        return self._kwargs.get("to") if isinstance(self._kwargs, dict) else None

    def _taken(self, lease: Lease) -> Taken:
        return Taken(self.id, lease.lane, self._to, self._message._raw, lease.taken_us, self.hostname or "")

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        self.leases.start(self.tag)
        super().on_accepted(pid, time_accepted)

    def settle_as(self, outcome: Outcome) -> None:
        """Store the settlement that the acknowledgement carries out."""
        if (lease := self.leases.lease(self.tag)) is not None:
            now = self.leases.redis_time() or time.time()
            outcome, ends_doubt = self._of_this_host(outcome, lease)
            settlement = settle(outcome, self._taken(lease), self._task.settings, now=now, ends_doubt=ends_doubt)
            self.leases.decide(self.tag, settlement)

    def _of_this_host(self, outcome: Outcome, lease: Lease) -> tuple[Outcome, bool]:
        """Report the outcome to this host's fitness. Returns the outcome, and whether it ends the doubt that this host
        can send. The outcome becomes UNFIT where the fault is the host's."""
        fitness = self.leases.fitness
        longest_rest = MOST_SECONDS
        if outcome.kind is Kind.SENT:
            return outcome, fitness.sent()
        if outcome.kind is Kind.DENIED and not fitness.is_message_s(self.id, f"{outcome.code}: {outcome.detail}"):
            outcome, longest_rest = replace(outcome, kind=Kind.UNFIT), MOST_DENIED_SECONDS
        if outcome.kind.value.verb == "unfit":
            was_doubted = fitness.is_doubted
            if fitness.failed(lease.asked_at, longest_rest) and not was_doubted:
                why = mask_addresses(f"{outcome.code}: {outcome.detail}")
                logger.error(
                    "This worker cannot send, and tries with one message now and then until it can. %s. %s",
                    *(why.rstrip("."), remedy(why)),
                )
        return outcome, False

    def broke_off(self, error: Exception) -> None:
        """End a message after a defect of mailer or Celery that follows the send. A stored settlement stands. Without
        one the message is held."""
        words = "What became of it could not be worked out, see its worker's log. It may be sent."
        self.leases.settle(self.tag, Settlement.hold(type(error).__name__, words))
        state.task_ready(self)

    @_ends_one_message
    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> Any:
        exception = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(exception, WorkerLostError | TimeLimitExceeded | Terminated | SystemExit | KeyboardInterrupt):
            self._lost(type(exception).__name__, "its process ended while it held the message")
        else:
            # The task raised outside of a send. That is a defect of mailer, and nothing was sent.
            self.settle_as(Outcome(Kind.REJECTED, None, type(exception).__name__, str(exception)[:500]))
        return super().on_failure(exc_info, *args, **kwargs)

    @_ends_one_message
    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft:
            self._lost("TimeLimitExceeded", f"not finished after {timeout:g} s, and its process was ended")
        return super().on_timeout(soft, timeout)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        # Only the pool of forked children uses a semaphore, and only it has a process to end.
        if self.time_start is None or pool.uses_semaphore:
            super().terminate(pool, signal)
        else:
            logger.warning("Message %s is being sent, which cannot be called back", self.id)

    def maybe_expire(self) -> bool:
        """Whether its ``expires`` has passed on Redis's clock. This host's clock may be fast, which would drop mail too
        early."""
        expires: datetime | None = self.expires
        now = self.leases.redis_time()
        return expires is not None and now is not None and expires.timestamp() < now

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> Any:
        if terminated:
            self._lost("Terminated", "its process was ended by a person while it held the message")
        elif (lease := self.leases.lease(self.tag)) is not None:
            note = self._taken(lease).note(self._task.settings, "Expired" if expired else "Revoked")
            self.leases.decide(self.tag, Settlement.forget(note))
        return super()._announce_revoked(reason, terminated, signum, expired)

    def _lost(self, code: str, words: str) -> None:
        """Settle a message whose process has ended."""
        if (lease := self.leases.lease(self.tag)) is not None:
            self.leases.decide(self.tag, settle_lost(code, words, self._taken(lease), self._task.settings))
