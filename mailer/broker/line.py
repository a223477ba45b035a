"""One connection to Redis for a few commands in a row. Of a command that fails it says whether it was carried out."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import redis
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import MaxConnectionsError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as TooSlow

from mailer.broker.script import Script
from mailer.errors import MailerError, QueueUnavailable

_CHECK = "Check MAILER_REDIS_URL and the server."
_REPEAT = (
    "Whether the write was carried out is not known. To repeat it safely, pass an idempotency_key: under the same key "
    "nothing is enqueued twice."
)


class Line:
    """A connection of ``client``'s pool, for as long as the block of the context manager. Not thread-safe.

    Nothing is ever sent twice. What it raises is QueueUnavailable: ``enqueued`` is False where the command surely was
    not carried out (no connection, cut off before its last byte, refused by Redis), None where no answer came.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

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
            # A signal's handler may have raised it between a command and its answer, which the next command would get.
            connection.disconnect()
        self._pool.release(connection)

    # Commands are of text and bytes only. hiredis asks a number for its text, and crashes the process where a signal's
    # handler raises just then (Ctrl-C, SoftTimeLimitExceeded).

    def ask(self, *command: str, extra_seconds: float = 0.0) -> Any:
        """Redis's answer, which is waited for ``extra_seconds`` longer than others."""
        try:
            return self._exchange(command, extra_seconds)
        except ResponseError as error:
            raise _refused(error) from error

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes]) -> Any:
        """One round trip; two where the server does not have the script yet."""
        rest = (str(len(keys)), *keys, *arguments)
        try:
            try:
                return self._exchange(("EVALSHA", script.sha, *rest))
            except redis.exceptions.NoScriptError:
                return self._exchange(("EVAL", script.text, *rest))
        except ResponseError as error:
            raise _refused(error) from error

    def _exchange(self, command: Sequence[str | bytes], extra_seconds: float = 0.0) -> Any:
        """Raises redis-py's ResponseError as it is."""
        connection = self._connection
        try:
            connection.send_command(*command)
        except (RedisError, OSError) as error:
            connection.disconnect()
            # A command that did not go out whole is none to Redis.
            raise _unreachable(error) from error
        waits: dict[str, float] = {}
        if extra_seconds and connection.socket_timeout is not None:
            waits["timeout"] = connection.socket_timeout + extra_seconds
        try:
            return connection.read_response(**waits)
        except ResponseError:
            raise
        except (Disconnected, TooSlow, OSError) as error:
            connection.disconnect()
            if _is_redis_s_answer(error):
                raise _refused(error) from error
            raise QueueUnavailable(f"Redis did not answer ({error}). {_REPEAT} {_CHECK}", enqueued=None) from error
        except BaseException:
            connection.disconnect()
            raise


def _is_redis_s_answer(error: Exception) -> bool:
    """Whether redis-py made an error of the connection from an answer (LOADING, NOAUTH; under Sentinel READONLY)."""
    return getattr(error, "status_code", None) is not None or isinstance(error.__context__, ReadOnlyError)


def _unreachable(error: Exception) -> QueueUnavailable:
    why = str(error).rstrip(".")
    return QueueUnavailable(f"Redis cannot be reached ({why}). Nothing was enqueued. {_CHECK}", enqueued=False)


def all_in_use(error: MaxConnectionsError) -> QueueUnavailable:
    """The error of a call that got none of this process's connections."""
    return QueueUnavailable(
        f"Redis was not asked, and nothing was done: {error}. Have fewer threads send at the same time, or give one "
        "send_many what many sends have; if Redis is slow to answer, see why.",
        enqueued=False,
    )


def _refused(error: Exception) -> QueueUnavailable:
    return QueueUnavailable(f"Redis refused: {error}. Nothing was enqueued.", enqueued=False)
