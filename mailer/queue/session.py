"""One connection to Redis for a few commands in a row. An error says whether the command was carried out."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import redis
from redis._parsers.helpers import parse_info
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import MaxConnectionsError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as TooSlow

from mailer.errors import MailerError, QueueUnavailable
from mailer.queue.failure import words_of
from mailer.queue.replicas import Replicas, online
from mailer.queue.script import CONFIRM_SECONDS, Script, unconfirmed, wait_for

_NOT_KNOWN = "Whether the write was carried out is not known."
_MAY_BE_LOST = "It will be sent, unless a failover loses it."
_REPEAT = "To repeat it safely, pass an idempotency_key: under the same key nothing is enqueued twice."


class Session:
    """A connection from ``client``'s pool, as a context manager. Not thread-safe.

    Each command is sent only once. Errors are QueueUnavailable. Its ``enqueued`` is False if the command surely was not
    carried out: there was no connection, it broke before the command's last byte, or Redis refused the command. It is
    None if no answer came, or if too few replicas confirmed the write.
    """

    def __init__(self, client: redis.Redis, replicas: Replicas) -> None:
        self._pool = client.connection_pool
        self._replicas = replicas
        self._connection: Any = None
        self._reached = 0

    def __enter__(self) -> Self:
        try:
            self._connection = self._pool.get_connection()
        except MaxConnectionsError as error:
            raise all_in_use(error) from error
        except (RedisError, OSError) as error:
            raise _unreachable(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        if error is not None and not isinstance(error, MailerError):
            # A signal handler may have raised it between a command and its answer. The next command would read that
            # answer as its own.
            connection.disconnect()
        self._pool.release(connection)

    # Commands hold only text and bytes. hiredis calls str() on a number, and crashes the process if a signal handler
    # raises during that call (Ctrl-C, SoftTimeLimitExceeded).

    def ask(self, *command: str, extra_seconds: float = 0.0) -> Any:
        """Send a command and return Redis's answer. Waits ``extra_seconds`` longer than usual."""
        try:
            return self._exchange(command, extra_seconds)
        except ResponseError as error:
            raise _refused(error) from error

    def replicas(self) -> int:
        """The number of replicas that follow the server."""
        return online(parse_info(self.ask("INFO", "replication")))

    def is_to_master(self) -> bool:
        """Whether the sentinels still name this connection's server as the master; true without sentinels."""
        return self._replicas.is_master(self._connection)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes]) -> Any:
        """Run a script: one round trip. It takes two if the server does not have the script yet.

        If replicas must confirm writes, the server is asked for its replicas once a second: one more round trip.
        """
        rest = (str(len(keys)), *keys, *arguments)
        replicas = self._replicas
        if replicas.wants_a_look(self._connection):
            replicas.saw(self._connection, parse_info(self.ask("INFO", "replication")))
        then = wait_for(replicas.expected) if replicas.expected else ()
        try:
            try:
                reply = self._exchange(("EVALSHA", script.sha, *rest), then=then)
            except redis.exceptions.NoScriptError:
                reply = self._exchange(("EVAL", script.text, *rest), then=then)
        except ResponseError as error:
            if str(error).startswith("NOREPLICAS"):
                # They may follow another master. The next connection asks the sentinels, if there are any.
                self._connection.disconnect()
            raise _refused(error) from error
        if then and not replicas.enough(self._connection, self._reached):
            # Another server may be the master by now: the next connection asks the sentinels.
            self._connection.disconnect()
            why = unconfirmed(self._reached, replicas.expected)
            raise QueueUnavailable(f"Redis has it, but {why}. {_MAY_BE_LOST} {_REPEAT}", enqueued=None)
        return reply

    def _exchange(self, command: Sequence[str | bytes], extra_seconds: float = 0.0, *, then: Sequence[str] = ()) -> Any:
        """Send a command and read the answer. Lets redis-py's ResponseError pass.

        ``then`` is a WAIT for the same packet. Its answer becomes the number of replicas reached.
        """
        connection = self._connection
        try:
            connection.send_packed_command(connection.pack_commands([command, then] if then else [command]))
        except (RedisError, OSError) as error:
            connection.disconnect()
            # Redis does not carry out a command that did not arrive whole.
            raise _unreachable(error) from error
        try:
            reply = self._read(extra_seconds)
            reached = self._read(CONFIRM_SECONDS) if then else 0
        except (Disconnected, TooSlow, OSError) as error:
            connection.disconnect()
            # redis-py makes a connection error from some answers of Redis: LOADING, NOAUTH; with Sentinel READONLY.
            if getattr(error, "status_code", None) is not None or isinstance(error.__context__, ReadOnlyError):
                raise _refused(error) from error
            raise QueueUnavailable(words_of(error, f"{_NOT_KNOWN} {_REPEAT}"), enqueued=None) from error
        except BaseException:
            connection.disconnect()
            raise
        if isinstance(reply, ResponseError):
            raise reply
        if isinstance(reached, ResponseError):
            words = f"Redis has it, but does not say how many replicas have it ({reached}). {_MAY_BE_LOST} {_REPEAT}"
            raise QueueUnavailable(words, enqueued=None) from reached
        self._reached = reached
        return reply

    def _read(self, extra_seconds: float) -> Any:
        waits = {"timeout": self._connection.socket_timeout + extra_seconds} if extra_seconds else {}
        try:
            return self._connection.read_response(**waits)
        except ResponseError as refused:
            return refused


def _unreachable(error: Exception) -> QueueUnavailable:
    return QueueUnavailable(words_of(error, "Nothing was enqueued"), enqueued=False)


def all_in_use(error: MaxConnectionsError) -> QueueUnavailable:
    """The error for a call that got no connection because all of this process's are in use."""
    return QueueUnavailable(
        f"Redis was not asked, and nothing was done: {error}. Have fewer threads send at the same time, or give one "
        "send_many what many sends have; if Redis is slow to answer, see why.",
        enqueued=False,
    )


def _refused(error: Exception) -> QueueUnavailable:
    return QueueUnavailable(words_of(error, "Nothing was enqueued", is_answer=True), enqueued=False)
